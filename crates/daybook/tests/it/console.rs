//! The console's side of the server: sessions, the page with its policy, and what one screen reads.

use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::estate::{Estate, PASSWORD};
use crate::harness::{Answer, Daybook, becomes_true};

/// A browser on this machine: its cookie, and the headers of the page.
struct Browser<'a> {
    server: &'a Daybook,
    cookie: String,
}

impl<'a> Browser<'a> {
    fn new(server: &'a Daybook) -> Browser<'a> {
        Browser { server, cookie: String::new() }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.server.address)
    }

    fn with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all = headers.to_vec();
        if !self.cookie.is_empty() {
            all.push(("Cookie", &self.cookie));
        }
        self.server.request(method, path, &all, body.as_bytes())
    }

    /// A request as the page sends it.
    fn request(&self, method: &str, path: &str, body: &str) -> Answer {
        let origin = self.origin();
        let headers =
            [("X-Daybook-Console", "1"), ("Origin", &origin), ("Content-Type", "application/json")];
        self.with(method, path, &headers, body)
    }

    fn sign_in(&mut self, body: &Value) -> Answer {
        let answer = self.request("POST", "/api/v1/session", &body.to_string());
        if let Some(cookie) = answer.headers.get("set-cookie") {
            self.cookie = cookie.split(';').next().unwrap().to_owned();
        }
        answer
    }

    fn lines(&self, path: &str) -> Vec<Value> {
        let answer = self.request("GET", path, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The number of all events; the question is not one of them.
fn size(browser: &Browser<'_>) -> u64 {
    browser.request("GET", "/api/v1/log", "").json()["size"].as_u64().unwrap()
}

fn reader() -> Value {
    json!({ "domain": "acme-corp", "user": "reader", "password": PASSWORD })
}

#[test]
fn a_session_is_a_cookie_that_no_other_page_can_use() {
    let estate = Estate::new();
    let server = estate.serve();
    let mut browser = Browser::new(&server);
    let wrong = json!({ "domain": "acme-corp", "user": "reader", "password": "not it" });
    let refused = browser.sign_in(&wrong);
    assert_eq!(
        (refused.status, refused.json()["detail"].as_str()),
        (401, Some("Wrong name or password."))
    );
    let signed_in = browser.sign_in(&reader());
    assert_eq!(signed_in.status, 200, "{}", signed_in.text());
    let cookie = &signed_in.headers["set-cookie"];
    assert!(cookie.starts_with("daybook=") && cookie.contains("HttpOnly"), "{cookie}");
    assert!(cookie.contains("SameSite=Strict") && cookie.contains("Path=/"), "{cookie}");
    let session = browser.request("GET", "/api/v1/session", "").json();
    assert_eq!(session["user"], "reader");
    assert_eq!(session["grants"][0]["role"], "reader");
    assert!(session["own_trail"].as_str().unwrap().starts_with("dbaudit/"));
    assert_eq!(browser.request("GET", "/api/v1/events", "").status, 200);
    // A download has no header of the page, but the browser's word for where it comes from.
    let download =
        |site: &str| browser.with("GET", "/api/v1/events", &[("Sec-Fetch-Site", site)], "");
    assert_eq!(download("same-origin").status, 200);
    for site in ["cross-site", "same-site", "none"] {
        assert_eq!(download(site).status, 401, "{site}");
    }
    assert_eq!(browser.with("GET", "/api/v1/events", &[], "").status, 401);
    // The live tail takes the cookie as well.
    let mut live = std::net::TcpStream::connect(server.address).unwrap();
    let head = format!(
        "GET /api/v1/tail HTTP/1.1\r\nHost: {}\r\nX-Daybook-Console: 1\r\nCookie: {}\r\n\r\n",
        server.address, browser.cookie
    );
    live.write_all(head.as_bytes()).unwrap();
    let mut status = [0; 12];
    live.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    drop(live);
    // Without TLS the cookie is for this machine alone: another host of a domain can set it.
    let mut client = server.client();
    client.host = "audit.example.com".to_owned();
    let named = [("X-Daybook-Console", "1"), ("Cookie", &*browser.cookie)];
    assert_eq!(client.request("GET", "/api/v1/events", &named, b"").unwrap().status, 401);
    // What changes something comes from this very page.
    let elsewhere = [("X-Daybook-Console", "1"), ("Origin", "http://evil.example")];
    assert_eq!(browser.with("DELETE", "/api/v1/session", &elsewhere, "").status, 401);
    assert_eq!(
        browser.with("DELETE", "/api/v1/session", &[("X-Daybook-Console", "1")], "").status,
        401
    );
    // The cookie is nothing for the vendor's APIs, and its text is no token.
    assert_eq!(browser.request("GET", "/v3/projects", "").status, 401);
    let text = browser.cookie.split_once('=').unwrap().1.to_owned();
    assert_eq!(server.request("GET", "/v3/projects", &[("X-Auth-Token", &text)], b"").status, 401);
    assert_eq!(
        server.request("GET", "/api/v1/events", &[("X-Auth-Token", &text)], b"").status,
        401
    );
    // Nor is a token a session.
    let token = server.login("reader");
    let other = Browser { server: &server, cookie: format!("daybook={token}") };
    assert_eq!(other.request("GET", "/api/v1/events", "").status, 401);
    let signed_out = browser.request("DELETE", "/api/v1/session", "");
    assert_eq!(signed_out.status, 204);
    assert!(signed_out.headers["set-cookie"].contains("Max-Age=0"));
    assert_eq!(browser.request("GET", "/api/v1/events", "").status, 401);
    drop(server);
    assert_eq!(estate.test_dir.acts("logout").len(), 1);
    let logins = estate.test_dir.acts("login");
    assert!(logins.iter().any(|act| act.contains("\"method\":\"session\"")), "{logins:?}");
    assert!(logins.iter().all(|act| !act.contains(PASSWORD) && !act.contains("not it")));
}

#[test]
fn a_link_signs_in_once_and_the_console_can_be_off() {
    let estate = Estate::new();
    let server = estate.serve();
    let printed = estate.test_dir.access(&["link", "reader"]);
    let (_, code) = printed.lines().next().unwrap().split_once("/console/#code=").unwrap();
    let body = json!({ "code": code });
    let mut browser = Browser::new(&server);
    assert_eq!(server.request("GET", "/v3/projects", &[("X-Auth-Token", code)], b"").status, 401);
    let exchange =
        format!(r#"{{"auth":{{"identity":{{"methods":["token"],"token":{{"id":"{code}"}}}}}}}}"#);
    assert_eq!(server.request("POST", "/v3/auth/tokens", &[], exchange.as_bytes()).status, 401);
    assert_eq!(browser.sign_in(&body).status, 200);
    assert_eq!(browser.request("GET", "/api/v1/session", "").json()["user"], "reader");
    assert_eq!(Browser::new(&server).sign_in(&body).status, 401, "it was good once");
    // From another machine without TLS nobody signs in.
    let host = "audit.example.com";
    let headers = [
        ("Host", host),
        ("Origin", "http://audit.example.com"),
        ("Content-Type", "application/json"),
    ];
    let with_host = |scheme: &str| {
        let mut client = server.client();
        client.host = host.to_owned();
        let origin = format!("{scheme}://{host}");
        let headers: Vec<(&str, &str)> = headers[1..]
            .iter()
            .map(|(name, value)| (*name, if *name == "Origin" { &*origin } else { value }))
            .collect();
        client
            .request("POST", "/api/v1/session", &headers, reader().to_string().as_bytes())
            .unwrap()
    };
    let refused = with_host("http");
    assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("insecure")));
    let secure = with_host("https");
    assert_eq!(secure.status, 200, "a proxy does the TLS: {}", secure.text());
    let cookie = &secure.headers["set-cookie"];
    assert!(cookie.starts_with("__Host-daybook=") && cookie.contains("Secure"), "{cookie}");
    let cookie = browser.cookie.clone();
    drop(server);
    // A session from before is nothing once the console is off.
    let config = estate.test_dir.path("daybook.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[console]\nenabled = false\n")).unwrap();
    let server = estate.serve();
    let mut browser = Browser { server: &server, cookie };
    assert_eq!(browser.request("GET", "/api/v1/events", "").status, 401);
    assert_eq!(browser.sign_in(&reader()).status, 404);
    assert_eq!(server.request("GET", "/console/", &[], b"").status, 404);
}

#[test]
fn the_page_is_served_with_its_policy() {
    let estate = Estate::new();
    let server = estate.serve();
    let get = |path: &str, headers: &[(&str, &str)]| server.request("GET", path, headers, b"");
    let root = get("/", &[("Accept", "text/html,application/xhtml+xml")]);
    assert_eq!((root.status, root.headers["location"].as_str()), (303, "/console/"));
    assert_eq!(get("/", &[("Accept", "application/json")]).status, 404);
    for path in
        ["/console/", "/console/app.js", "/console/app.css", "/console/event/5", "/console/trails"]
    {
        let answer = get(path, &[]);
        assert_eq!(answer.status, 200, "{path}");
        let policy = &answer.headers["content-security-policy"];
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "trusted-types 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(directive), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    }
    let page = get("/console/", &[]).text();
    let (_, script) = page.split_once("src=\"").unwrap();
    let script = script.split_once('"').unwrap().0;
    assert!(script.starts_with("/console/app.js?v="), "{page}");
    assert!(get(script, &[]).headers["cache-control"].contains("immutable"));
    let plain = get("/console/app.js", &[]);
    assert_eq!(plain.headers["cache-control"], "no-cache");
    let tag = plain.headers["etag"].clone();
    assert_eq!(get("/console/app.js", &[("If-None-Match", &tag)]).status, 304);
    let compressed = get("/console/app.js", &[("Accept-Encoding", "br, gzip")]);
    assert_eq!(compressed.headers["content-encoding"], "gzip");
    assert!(compressed.body.len() < plain.body.len() / 2);
}

#[test]
fn all_parts_of_a_view_are_of_one_moment_and_one_record() {
    let estate = Estate::new();
    estate.test_dir.access(&["grant", "reader", "auditor", "dbaudit/daybook/*/*"]);
    let server = estate.serve();
    server.take("registry", include_str!("transcripts/registry.ndjson"));
    let mut browser = Browser::new(&server);
    assert_eq!(browser.sign_in(&reader()).status, 200);
    let before = size(&browser);
    let path = "/api/v1/view?q=operation:pull&buckets=30&facet=operation&facet=actor.name\
                &facet=service&without_own=true&gaps=true&limit=2";
    let parts = browser.lines(path);
    assert_eq!(size(&browser), before + 1, "a screen is one query");
    let part = |name: &str| parts.iter().find(|part| part["part"] == name).unwrap();
    let page = part("page");
    let (as_of, total) = (page["as_of"].as_u64().unwrap(), page["total"].as_u64().unwrap());
    assert!(total > 0 && page["events"].as_array().unwrap().len() as u64 == total.min(2));
    let histogram = part("histogram");
    assert_eq!(histogram["as_of"], as_of);
    let bars: u64 = histogram["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|bar| ["success", "failure", "unknown"].map(|name| bar[name].as_u64().unwrap()))
        .sum();
    assert_eq!(bars, total);
    let sum = |facet: &str| -> u64 {
        let part = parts.iter().find(|part| part["facet"] == facet).unwrap();
        let counts = part["values"].as_array().unwrap().iter();
        counts.map(|one| one["count"].as_u64().unwrap()).sum::<u64>()
            + part["others"].as_u64().unwrap()
            + part["without"].as_u64().unwrap()
    };
    assert_eq!(sum("actor.name"), total);
    assert_eq!(sum("service"), total);
    // The field that the question narrows is counted without that, so that it can be switched.
    let whole = format!("/api/v1/events?limit=0&as_of={as_of}");
    assert_eq!(
        sum("operation"),
        browser.request("GET", &whole, "").json()["total"].as_u64().unwrap()
    );
    assert_eq!(part("gaps")["gaps"], json!([]));
    assert_eq!(parts.last().unwrap()["part"], "end");
    let wrong = browser.request("GET", "/api/v1/view?q=nofield:x", "");
    assert_eq!((wrong.status, wrong.json()["parameter"].as_str()), (400, Some("q")));
    // Typing is recorded once a minute.
    let before = size(&browser);
    for beginning in ["a", "al", "ali", "ALI"] {
        let path = format!("/api/v1/values?beginning={beginning}&field=actor.name");
        let found = browser.request("GET", &path, "").json();
        let values = found["values"].as_array().unwrap();
        assert!(values.iter().all(|value| value["field"] == "actor.name"), "{found}");
    }
    assert!(size(&browser) <= before + 2, "at most once a minute");
    // Who opened an event is found, and nobody else.
    let index = page["events"][0]["index"].as_u64().unwrap();
    let opened = format!("/api/v1/events/{index}");
    assert_eq!(browser.request("GET", &opened, "").status, 200);
    assert_eq!(server.of("admin", "GET", &opened, "").status, 200);
    let readers = browser.request("GET", &format!("{opened}/readers"), "").json();
    let names: Vec<&str> = readers["readers"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["user"].as_str())
        .collect();
    assert_eq!((names, &readers["total"]), (vec!["admin", "reader"], &json!(2)));
    let refused = server.of("admin", "GET", &format!("{opened}/readers"), "");
    assert_eq!(refused.status, 403, "without a right on Daybook's own trail");
    let log = browser.request("GET", "/api/v1/log", "").json();
    assert!(log["size"].as_u64().unwrap() >= as_of && log["keys"][0].is_string(), "{log}");
    // Nothing of it may be stored by a browser, and large answers are compressed.
    let headers = [("X-Daybook-Console", "1"), ("Accept-Encoding", "gzip")];
    let compressed = browser.with("GET", "/api/v1/openapi.json", &headers, "");
    assert_eq!(compressed.headers["content-encoding"], "gzip");
    assert_eq!(compressed.headers["cache-control"], "no-store");
}

#[test]
fn a_gap_is_seen_by_whoever_may_read_its_trail() {
    let estate = Estate::new();
    let server = estate.serve();
    let lines: String = [1, 2, 5]
        .map(|number| format!(r#"{{"action":"x","attributes":{{"sequence":{number}}}}}"#) + "\n")
        .concat();
    server.take("artifact", &lines);
    let gaps = |user: &str| {
        let answer = server.of(user, "GET", "/api/v1/gaps", "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["gaps"].as_array().unwrap().clone()
    };
    becomes_true(|| !gaps("reader").is_empty());
    let found = gaps("reader");
    assert_eq!((found.len(), &found[0]["count"], &found[0]["kind"]), (1, &json!(2), &json!("gap")));
    assert_eq!(found[0]["source"], "artifact");
    assert!(gaps("rival").is_empty() && gaps("nobody").is_empty());
}
