// src/evidence/bytes.ts
var e = new TextEncoder();
function t(t) {
	return e.encode(t);
}
function n(...e) {
	let t = new Uint8Array(e.reduce((e, t) => e + t.length, 0)), n = 0;
	for (let r of e) t.set(r, n), n += r.length;
	return t;
}
async function r(e) {
	return new Uint8Array(await crypto.subtle.digest("SHA-256", e));
}
function i(e, t) {
	return e.length === t.length && e.every((e, n) => e === t[n]);
}
function a(e) {
	return [...e].map((e) => e.toString(16).padStart(2, "0")).join("");
}
function o(e) {
	if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/u.test(e)) throw new l("base64");
	let t = Uint8Array.from(atob(e), (e) => e.charCodeAt(0));
	if (s(t) !== e) throw new l("base64");
	return t;
}
function s(e) {
	let t = "";
	for (let n of e) t += String.fromCharCode(n);
	return btoa(t);
}
function c(e) {
	if (!/^(0|[1-9]\d{0,15})$/u.test(e)) throw new l("number");
	let t = Number(e);
	if (!Number.isSafeInteger(t)) throw new l("number");
	return t;
}
var l = class extends Error {
	reason;
	constructor(e) {
		super(e), this.reason = e;
	}
};
function u(e, t) {
	if (!e) throw new l(t);
}
// src/evidence/note.ts
var d = 1, f = 4, p = 1e6, m = 100;
async function h(e) {
	let [, a, s, c] = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/u.exec(e.trim()) ?? [];
	if (a === void 0 || s === void 0 || c === void 0) throw new l("key");
	let p = o(c), m = p[0] ?? 0;
	u(p.length === 33 && (m === d || m === f), "key");
	let h = (await r(n(t(`${a}\n`), p))).slice(0, 4);
	return u(i(h, Uint8Array.from(s.match(/../gu) ?? [], (e) => parseInt(e, 16))), "key"), {
		name: a,
		id: h,
		kind: m,
		key: p.slice(1),
		text: e.trim()
	};
}
function g(e) {
	u(e.length <= p, "note");
	let t = e.lastIndexOf("\n\n");
	u(t > 0 && e.endsWith("\n"), "note");
	let n = e.slice(t + 2, -1).split("\n");
	u(n.length <= m, "note");
	let r = n.map((e) => {
		let [, t, n] = /^— ([^\s+]+) (\S+)$/u.exec(e) ?? [];
		if (t === void 0 || n === void 0) throw new l("note");
		let r = o(n);
		return u(r.length > 4, "note"), {
			name: t,
			id: r.slice(0, 4),
			bytes: r.slice(4)
		};
	});
	return {
		text: e.slice(0, t + 1),
		signatures: r
	};
}
async function _(e, n) {
	let r = e.signatures.find((e) => e.name === n.name && i(e.id, n.id));
	if (r === void 0) return !1;
	let a = t(e.text), o = r.bytes;
	return n.kind === f && (u(o.length === 72, "signature"), a = t(`cosignature/v1\ntime ${o.slice(0, 8).reduce((e, t) => e * 256 + t, 0)}\n${e.text}`), o = o.slice(8)), u(o.length === 64, "signature"), u(await v(n.key, o, a), "signature"), !0;
}
async function v(e, t, n) {
	let r;
	try {
		r = await crypto.subtle.importKey("raw", e, { name: "Ed25519" }, !1, ["verify"]);
	} catch {
		throw new l("crypto");
	}
	return crypto.subtle.verify({ name: "Ed25519" }, r, t, n);
}
async function y(e, t) {
	for (let n of t) if (await _(e, n)) return n;
	throw new l("noKey");
}
function b(e) {
	let [t, n, r] = e.split("\n");
	if (t === void 0 || n === void 0 || r === void 0) throw new l("checkpoint");
	let i = o(r);
	return u(t !== "" && i.length === 32, "checkpoint"), {
		origin: t,
		size: c(n),
		root: i
	};
}
async function x(e, t) {
	let n = g(e), r = await y(n, t), i = b(n.text);
	return u(i.origin === r.name, "origin"), {
		...i,
		key: r
	};
}
// src/evidence/proof.ts
var S = Uint8Array.of(0), C = Uint8Array.of(1), w = 63;
function T(e) {
	return r(n(S, e));
}
function E(e, t) {
	return r(n(C, e, t));
}
var D = (e) => Math.floor(e / 2), O = (e) => e % 2 == 1;
async function k(e, t, n, r) {
	u(t < n, "index"), u(r.length <= w, "path");
	let i = t, a = n - 1, o = e;
	for (let e of r) {
		if (u(a > 0, "path"), O(i) || i === a) for (o = await E(e, o); !O(i) && i !== 0;) i = D(i), a = D(a);
		else o = await E(o, e);
		i = D(i), a = D(a);
	}
	return u(a === 0, "path"), o;
}
async function A(e, t, n, r, a) {
	if (u(e <= n, "smaller"), e === n) {
		u(a.length === 0 && i(t, r), "fork");
		return;
	}
	if (e === 0) return;
	let o = Number.isInteger(Math.log2(e)) ? [t, ...a] : [...a], s = o.shift();
	u(s !== void 0 && o.length <= w, "consistency");
	let c = e - 1, l = n - 1;
	for (; O(c);) c = D(c), l = D(l);
	let d = s, f = s;
	for (let e of o) {
		if (u(l > 0, "consistency"), O(c) || c === l) for (d = await E(e, d), f = await E(e, f); !O(c) && c !== 0;) c = D(c), l = D(l);
		else f = await E(f, e);
		c = D(c), l = D(l);
	}
	u(l === 0 && i(d, t) && i(f, r), "consistency");
}
function j(e) {
	let t = e.indexOf("\n\n");
	u(t > 0, "proof");
	let n = e.slice(0, t).split("\n");
	u(n.shift() === "c2sp.org/tlog-proof@v1", "proof");
	let r = n[0]?.startsWith("extra ") ? o(n.shift()?.slice(6) ?? "") : void 0, i = n.shift();
	u(i !== void 0 && i.startsWith("index "), "proof");
	let a = n.map((e) => o(e));
	return u(a.every((e) => e.length === 32), "proof"), {
		index: c(i.slice(6)),
		path: a,
		extra: r,
		note: e.slice(t + 2)
	};
}
// src/evidence/receipt.ts
function M(e, t, n) {
	let r = e.split("\n");
	return u(r[0] === t && r.at(-1) === "", "receipt"), u(r.length === n.length + 2, "receipt"), Object.fromEntries(n.map((e, t) => {
		let n = r[t + 1] ?? "";
		return u(n.startsWith(`${e} `), "receipt"), [e, n.slice(e.length + 1)];
	}));
}
async function N(e, t, n) {
	let a = g(e), s = await y(a, n), l = M(a.text, "daybook-receipt/v1", [
		"origin",
		"tree",
		"time",
		"caller",
		"asked",
		"rows",
		"indexes",
		"digests",
		"body"
	]);
	u(l.origin === s.name, "origin"), u(i(o(l.body ?? ""), await r(t)), "body");
	let [d, f] = (l.rows ?? "").split(" ").map(c), p = P(o(l.indexes ?? ""));
	return u(d !== void 0 && f !== void 0 && d === p.length, "rows"), {
		rows: d,
		total: f,
		size: c((l.tree ?? "").split(" ")[0] ?? ""),
		indexes: p
	};
}
function P(e) {
	let t = [], n = 0, r = 0, i = 1;
	for (let a of e) r += a % 128 * i, i *= 128, a >= 128 || (n += r % 2 == 0 ? r / 2 : -(r + 1) / 2, t.push(n), r = 0, i = 1);
	return u(i === 1, "receipt"), t;
}
async function F(e, t, n) {
	let i = g(e.receipt), s = await y(i, n), l = M(i.text, "daybook-export/v1", [
		"origin",
		"tree",
		"caller",
		"trails",
		"question",
		"format",
		"rows",
		"digests",
		"file"
	]);
	u(l.origin === s.name, "origin");
	let [d, f] = (l.file ?? "").split(" ");
	u(c(d ?? "") === e.bytes, "size"), u(a(o(f ?? "")) === e.sha256, "file"), u(c(l.rows ?? "") === e.rows, "rows"), u(l.format === e.format, "receipt"), u(JSON.parse(l.question ?? "") === e.question, "receipt"), u(c((l.tree ?? "").split(" ")[0] ?? "") === e.tree_size, "receipt"), t !== void 0 && (u(t.length === e.bytes, "size"), u(a(await r(t)) === e.sha256, "file"));
}
// src/evidence/tiles.ts
var I = 256;
function L(e, t, n) {
	let r = String(t % 1e3).padStart(3, "0");
	for (let e = Math.floor(t / 1e3); e > 0; e = Math.floor(e / 1e3)) r = `x${String(e % 1e3).padStart(3, "0")}/${r}`;
	return `tile/${e}/${r}${n < I ? `.p/${n}` : ""}`;
}
var R = class {
	#e;
	#t;
	#n = /* @__PURE__ */ new Map();
	constructor(e, t) {
		this.#e = e, this.#t = t;
	}
	async #r(e, t) {
		let n = Math.floor(e / 8), r = 2 ** (e - 8 * n), i = t * r, a = (await this.#i(n, Math.floor(i / I))).slice(i % I, i % I + r);
		for (u(a.length === r, "tile"); a.length > 1;) {
			let e = a.filter((e, t) => t % 2 == 0);
			a = await Promise.all(e.map((e, t) => E(e, a[2 * t + 1])));
		}
		return a[0];
	}
	#i(e, t) {
		let n = Math.floor(this.#e / I ** e), r = Math.min(I, n - t * I), i = L(e, t, r), a = this.#n.get(i);
		if (a !== void 0) return a;
		let o = this.#t(i).then((e) => (u(e.length === 32 * r, "tile"), Array.from({ length: r }, (t, n) => e.slice(32 * n, 32 * n + 32))));
		return this.#n.set(i, o), o;
	}
	async root(e, t) {
		let n = t - e, r = Math.log2(n);
		if (Number.isInteger(r) && e % n === 0) return this.#r(r, e / n);
		let i = z(n), [a, o] = await Promise.all([this.root(e, e + i), this.root(e + i, t)]);
		return E(a, o);
	}
	path(e) {
		return e === 0 || e === this.#e ? Promise.resolve([]) : this.#a(e, 0, this.#e, !0);
	}
	async #a(e, t, n, r) {
		let i = n - t;
		if (e === i) return r ? [] : [await this.root(t, n)];
		let a = z(i);
		return e <= a ? [...await this.#a(e, t, t + a, r), await this.root(t + a, n)] : [...await this.#a(e - a, t + a, n, !1), await this.root(t, t + a)];
	}
};
function z(e) {
	let t = 1;
	for (; t * 2 < e;) t *= 2;
	return t;
}
// src/evidence/verify.ts
async function B(e) {
	return Promise.all(e.map((e) => h(e)));
}
async function V(e) {
	let n = t(e.entry), s = await r(n);
	u(a(s) === e.digest, "digest");
	let c = JSON.parse(e.entry);
	u(c.raw_sha256 === a(await r(e.rawEncoding === "utf-8" ? t(e.raw) : o(e.raw))), "raw");
	let l = j(e.proof);
	u(l.index === e.index, "index"), u(l.extra === void 0 || i(l.extra, n), "entry");
	let d = await x(l.note, await B(e.keys)), f = await k(await T(s), l.index, d.size, l.path);
	return u(i(f, d.root), "root"), {
		size: d.size,
		root: a(f),
		key: d.key.text,
		fields: c
	};
}
async function H(e, t) {
	let n = j(e), { extra: o } = n;
	if (o === void 0) throw new l("entry");
	let s = await x(n.note, await B(t)), c = await k(await T(await r(o)), n.index, s.size, n.path);
	u(i(c, s.root), "root");
	let d = JSON.parse(new TextDecoder("utf-8", { fatal: !0 }).decode(o));
	return {
		size: s.size,
		root: a(c),
		key: s.key.text,
		fields: d
	};
}
async function U(e, t, n, r) {
	let i = await B(n), o = await x(e, i), s = {
		size: o.size,
		root: a(o.root),
		key: o.key.text
	};
	if (t === void 0) return {
		...s,
		from: void 0
	};
	let c = await x(t, i);
	u(c.origin === o.origin, "origin"), u(o.size >= c.size, "smaller");
	let l = await new R(o.size, r).path(c.size);
	return await A(c.size, c.root, o.size, o.root, l), {
		...s,
		from: c.size
	};
}
async function W(e, t, n) {
	await F(e, t, await B(n));
}
async function G(e, t, n) {
	return N(e, t, await B(n));
}
async function K(e) {
	let t = await h(e);
	return {
		name: t.name,
		id: a(t.id)
	};
}
function q(e) {
	return e instanceof l ? e.reason : "";
}
export { G as checkAnswer, V as checkEvent, W as checkExport, U as checkGrowth, H as checkProofFile, K as describeKey, q as reasonOf };
