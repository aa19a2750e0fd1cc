import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { concat, sha256, toBase64, utf8 } from '../../src/evidence/bytes.ts'
import type { Bytes, Reason } from '../../src/evidence/bytes.ts'
import { checkConsistency, leafHash, nodeHash } from '../../src/evidence/proof.ts'
import { unpack } from '../../src/evidence/receipt.ts'
import { tilePath, Tiles } from '../../src/evidence/tiles.ts'
import {
  checkAnswer, checkEvent, checkExport, checkGrowth, checkProofFile,
} from '../../src/evidence/verify.ts'

const vectors = JSON.parse(readFileSync('test/unit/vectors.json', 'utf8'))

function evidence() {
  return {
    index: vectors.index, entry: vectors.event.entry, digest: vectors.event.digest,
    raw: vectors.event.raw, rawEncoding: vectors.event.raw_encoding, proof: vectors.proof,
    keys: [vectors.key],
  }
}

async function refuses(promise: Promise<unknown>, ...reasons: Reason[]): Promise<void> {
  await assert.rejects(promise, (error: { reason?: Reason }) => {
    assert.ok(error.reason !== undefined && reasons.includes(error.reason), String(error.reason))
    return true
  })
}

/** Another key pair of the same name, so that nothing but the key differs. */
async function signerNamed(name: string) {
  const pair = await crypto.subtle.generateKey({ name: 'Ed25519' }, true, ['sign', 'verify'])
  const { publicKey, privateKey } = pair as CryptoKeyPair
  const raw = new Uint8Array(await crypto.subtle.exportKey('raw', publicKey))
  const typed = concat(Uint8Array.of(1), raw)
  const id = (await sha256(concat(utf8(`${name}\n`), typed))).slice(0, 4)
  const key = `${name}+${Buffer.from(id).toString('hex')}+${toBase64(typed)}`
  const sign = async (text: string): Promise<string> => {
    const bytes = new Uint8Array(
      await crypto.subtle.sign({ name: 'Ed25519' }, privateKey, utf8(text)),
    )
    return `${text}\n— ${name} ${toBase64(concat(id, bytes))}\n`
  }
  return { key, sign }
}

test('an event of the real server verifies', async () => {
  const check = await checkEvent(evidence())
  assert.equal((check.fields as { operation: string }).operation, 'delete')
  await checkProofFile(vectors.proof, [vectors.key])
})

test('a tampered event is refused', async () => {
  const good = evidence()
  await refuses(checkEvent({ ...good, entry: good.entry.replace('alice', 'alicf') }), 'digest')
  await refuses(checkEvent({ ...good, digest: good.digest.replace(/./u, 'f') }), 'digest')
  await refuses(checkEvent({ ...good, raw: `${good.raw} ` }), 'raw')
  await refuses(checkEvent({ ...good, index: 42 }), 'index')
  const { key } = await signerNamed('daybook.local/demo')
  await refuses(checkEvent({ ...good, keys: [key] }), 'noKey')
  await refuses(checkEvent({ ...good, keys: [] }), 'noKey')
})

test('each changed line of a proof is refused', async () => {
  const lines: string[] = vectors.proof.split('\n')
  for (const [place, line] of lines.entries()) {
    if (line === '') continue
    const at = Math.floor(line.length / 2)
    const other = line[at] === 'A' ? 'B' : 'A'
    const changed = [...lines]
    changed[place] = line.slice(0, at) + other + line.slice(at + 1)
    await assert.rejects(checkEvent({ ...evidence(), proof: changed.join('\n') }), `line ${place}`)
  }
})

test('a changed receipt or body is refused', async () => {
  const keys = [vectors.key]
  const check = await checkAnswer(vectors.receipt, utf8(vectors.body), keys)
  assert.equal(check.rows, 3)
  await refuses(checkAnswer(vectors.receipt, utf8(`${vectors.body} `), keys), 'body')
  const more = vectors.receipt.replace('rows 3', 'rows 4')
  await refuses(checkAnswer(more, utf8(vectors.body), keys), 'signature')
  assert.deepEqual(unpack(Uint8Array.of(0xcc, 0x0d, 1, 1)), [870, 869, 868])
})

test('a changed export or manifest is refused', async () => {
  const keys = [vectors.key]
  const file = utf8(vectors.file)
  await checkExport(vectors.manifest, file, keys)
  await refuses(checkExport(vectors.manifest, utf8(`${vectors.file} `), keys), 'size')
  await refuses(checkExport(vectors.manifest, utf8(vectors.file.replace('a', 'b')), keys), 'file')
  const { manifest } = vectors
  await refuses(checkExport({ ...manifest, rows: manifest.rows + 1 }, file, keys), 'rows')
  await refuses(checkExport({ ...manifest, question: '' }, file, keys), 'receipt')
  await refuses(checkExport({ ...manifest, format: 'ndjson' }, file, keys), 'receipt')
})

/** A log in memory whose tiles are computed from its leaves. */
async function logOf(size: number) {
  const leaves = await Promise.all(
    Array.from({ length: size }, (_, index) => leafHash(utf8(`leaf ${index}`))),
  )
  const levels = [leaves]
  while ((levels.at(-1)?.length ?? 0) >= 256) {
    const below = levels.at(-1) as Bytes[]
    const above: Bytes[] = []
    for (let first = 0; first + 256 <= below.length; first += 256) {
      above.push(await perfect(below.slice(first, first + 256)))
    }
    levels.push(above)
  }
  const fetchTile = async (path: string): Promise<Bytes> => {
    for (const [level, hashes] of levels.entries()) {
      for (let position = 0; position * 256 < hashes.length; position += 1) {
        for (const width of [256, hashes.length - position * 256]) {
          if (tilePath(level, position, Math.min(256, width)) !== path) continue
          return concat(...hashes.slice(position * 256, position * 256 + Math.min(256, width)))
        }
      }
    }
    throw new Error(`no tile ${path}`)
  }
  return { leaves, fetchTile }
}

async function perfect(hashes: Bytes[]): Promise<Bytes> {
  if (hashes.length === 1) return hashes[0] as Bytes
  const half = hashes.length / 2
  return nodeHash(await perfect(hashes.slice(0, half)), await perfect(hashes.slice(half)))
}

async function rootOver(leaves: Bytes[]): Promise<Bytes> {
  if (leaves.length === 1) return leaves[0] as Bytes
  let split = 1
  while (split * 2 < leaves.length) split *= 2
  return nodeHash(await rootOver(leaves.slice(0, split)), await rootOver(leaves.slice(split)))
}

test('growth between any sizes verifies from tiles, and a fork does not', async () => {
  for (const [oldSize, newSize] of [[1, 2], [3, 7], [4, 7], [255, 257], [256, 600], [300, 600], [600, 600]] as const) {
    const { leaves, fetchTile } = await logOf(newSize)
    const [oldRoot, newRoot] = [
      await rootOver(leaves.slice(0, oldSize)), await rootOver(leaves),
    ]
    const path = await new Tiles(newSize, fetchTile).path(oldSize)
    await checkConsistency(oldSize, oldRoot, newSize, newRoot, path)
    const wrong = oldRoot.slice()
    wrong[0] = (wrong[0] as number) ^ 1
    await refuses(checkConsistency(oldSize, wrong, newSize, newRoot, path), 'consistency', 'fork')
    if (path[0] !== undefined) {
      path[0][5] = (path[0][5] as number) ^ 1
      await refuses(checkConsistency(oldSize, oldRoot, newSize, newRoot, path), 'consistency')
    }
  }
})

test('a smaller log, another root, another key and a cut tile are refused', async () => {
  const { leaves, fetchTile } = await logOf(600)
  const { key, sign } = await signerNamed('example.com/log')
  const noteOf = async (size: number, root: Bytes) =>
    sign(`example.com/log\n${size}\n${toBase64(root)}\n`)
  const small = await noteOf(300, await rootOver(leaves.slice(0, 300)))
  const large = await noteOf(600, await rootOver(leaves))
  const grown = await checkGrowth(large, small, [key], fetchTile)
  assert.equal(grown.from, 300)
  await refuses(checkGrowth(small, large, [key], fetchTile), 'smaller')
  const forked = await noteOf(300, await rootOver(leaves.slice(1, 301)))
  await refuses(checkGrowth(large, forked, [key], fetchTile), 'consistency')
  await refuses(checkGrowth(forked, small, [key], fetchTile), 'fork')
  const other = await signerNamed('example.com/log')
  await refuses(checkGrowth(large, small, [other.key], fetchTile), 'noKey')
  const cutTile = async (path: string) => (await fetchTile(path)).slice(32)
  await refuses(checkGrowth(large, small, [key], cutTile), 'tile')
})

test('paths of tiles have groups of three digits', () => {
  assert.equal(tilePath(0, 0, 256), 'tile/0/000')
  assert.equal(tilePath(1, 1_234_067, 5), 'tile/1/x001/x234/067.p/5')
})
