//! What is known of each source: counts by API, metrics and command line, gaps in what it numbers,
//! silence.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

use serde_json::Value;

use crate::estate::{Estate, LATER};
use crate::harness::{
    Answer, Daybook, OPERATOR_KEY, TOKEN, TestDir, becomes_true, daybook, notification, run, text,
};

const AT: &str = "2026-11-20T17:49:51.255562537Z";

fn sources(server: &Daybook) -> BTreeMap<String, Value> {
    let answer = server.signed_get("/api/v1/sources");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sources = answer.json()["sources"].as_array().unwrap().clone();
    sources
        .into_iter()
        .map(|source| (source["name"].as_str().unwrap().to_owned(), source))
        .collect()
}

fn count(source: &Value, name: &str) -> u64 {
    source["counts"][name].as_u64().unwrap_or_else(|| panic!("no {name}: {source}"))
}

/// Events numbered so, one a line.
fn numbered(numbers: impl IntoIterator<Item = u64>) -> String {
    numbers
        .into_iter()
        .map(|number| format!(r#"{{"id":"n{number}","action":"x","attributes":{{"sequence":{number},"sequence_of":"web"}}}}"#))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn counts_say_what_became_of_everything() {
    let test_dir = TestDir::with_settings("[limits]\nbody_bytes_max = 10000\n");
    let server = test_dir.serve();
    let before = &sources(&server)["own"];
    assert_eq!((&before["last_received_at"], &before["lag_s"]), (&Value::Null, &Value::Null));
    let own = [
        r#"{"id":"a","action":"x","occurred_at":"2026-11-20T10:00:00Z"}"#,
        r#"{"id":"b","action":"x","attributes":{"truncated":true},"occurred_at":"2026-11-19T10:00:00Z"}"#,
        r#"{"id":"a","action":"x","occurred_at":"2026-11-20T10:00:00Z"}"#,
        r#"{"id":"no action"}"#,
    ];
    for _ in 0..2 {
        assert_eq!(server.send("own", own.join("\n")).status, 200);
    }
    for (body, status) in
        [("{", 400), (r#"{"id":"a","action":"other"}"#, 409), (&*"x".repeat(10_001), 413)]
    {
        assert_eq!(server.send("own", body).status, status);
    }
    assert_eq!(server.send("hub", notification("n1", "pull", "sha256:aa", AT)).status, 200);
    let head = notification("n2", "pull", "sha256:aa", AT).replace("\"GET\"", "\"HEAD\"");
    assert_eq!(server.send("hub", head).status, 200);

    let found = sources(&server);
    let own = &found["own"];
    for (name, expected) in [
        ("received", 8),
        ("recorded", 2),
        ("duplicate", 5),
        ("dead_letters", 1),
        ("skipped", 0),
        ("refused", 3),
        ("truncated", 1),
        ("missing", 0),
    ] {
        assert_eq!(count(own, name), expected, "{name}: {own}");
    }
    becomes_true(|| !test_dir.acts("source.truncated").is_empty());
    let cut: Value = serde_json::from_str(&test_dir.acts("source.truncated")[0]).unwrap();
    assert_eq!(
        (&cut["attributes"]["count"], &cut["resource"]["name"]),
        (&"1".into(), &"own".into()),
        "{cut}"
    );
    assert_eq!(own["last_event_at"], "2026-11-20T10:00:00.000000000Z");
    assert!(own["lag_max_s"].as_f64() >= own["lag_s"].as_f64().map(|lag| lag + 86_000.0), "{own}");
    assert_eq!(
        (&own["format"], &own["transports"]),
        (&"daybook".into(), &serde_json::json!(["http"]))
    );
    let hub = &found["hub"];
    assert_eq!(
        (count(hub, "received"), count(hub, "recorded"), count(hub, "skipped")),
        (2, 1, 1),
        "{hub}"
    );
    // The same by another way, read by a parser of its own.
    let metrics = read_metrics(&server.signed_by(OPERATOR_KEY, "GET", "/metrics", b""));
    for (name, source) in &found {
        let labels = format!("source=\"{name}\"");
        for counter in source["counts"].as_object().unwrap().keys() {
            let sample = &metrics[&(format!("daybook_source_{counter}_total"), labels.clone())];
            assert_eq!(sample, &count(source, counter).to_string(), "{name} {counter}");
        }
    }
    let sum = ["recorded", "duplicate", "dead_letters", "skipped"]
        .map(|name| count(own, name))
        .iter()
        .sum::<u64>();
    assert_eq!(sum, count(own, "received"));
    let info = metrics
        .keys()
        .find(|(name, labels)| name == "daybook_source_info" && labels.contains("\"hub\""))
        .unwrap();
    assert!(
        info.1.contains("format=\"docker-registry\"") && info.1.contains("trail=\"registry/acme/"),
        "{info:?}"
    );
    assert_eq!(metrics[&("daybook_requests_in_flight".to_owned(), String::new())], "1");
    let events: u64 = metrics[&("daybook_events".to_owned(), String::new())].parse().unwrap();
    assert!(events > 3);
}

/// Reads a page in the text format 0.0.4, strictly: name and labels to value.
pub fn read_metrics(answer: &Answer) -> BTreeMap<(String, String), String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.headers["content-type"].starts_with("text/plain; version=0.0.4"));
    let page = answer.text();
    assert!(page.ends_with('\n') && !page.contains('\r'));
    let (mut found, mut families, mut described) =
        (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let mut family = String::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(
                !help.is_empty() && described.insert(name.to_owned()),
                "{name} is described twice"
            );
            name.clone_into(&mut family);
        } else if let Some(of_type) = line.strip_prefix("# TYPE ") {
            let (name, kind) = of_type.split_once(' ').unwrap();
            assert_eq!(name, family, "HELP and TYPE go together");
            assert!(["counter", "gauge", "histogram"].contains(&kind));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            assert_eq!(families.insert(name.to_owned(), kind.to_owned()), None);
        } else {
            let (name, labels, value) = sample(line);
            let is_distribution = families.get(&family).is_some_and(|kind| kind == "histogram");
            let ending = name.strip_prefix(&family).expect("a sample stands below its family");
            match ending {
                "_bucket" | "_sum" | "_count" => assert!(is_distribution, "{line}"),
                ending => assert!(ending.is_empty() && !is_distribution, "{line}"),
            }
            value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
            assert_eq!(found.insert((name, labels), value), None, "{line}: twice");
        }
    }
    let distributions = families.iter().filter(|(_, kind)| *kind == "histogram");
    distributions.for_each(|(name, _)| assert_buckets_add_up(name, &found));
    found
}

/// Buckets ascend, and the last of each distribution is its count.
fn assert_buckets_add_up(name: &str, found: &BTreeMap<(String, String), String>) {
    let number = |text: &str| text.parse::<f64>().unwrap();
    let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for ((_, labels), value) in found.iter().filter(|((of, _), _)| *of == format!("{name}_bucket"))
    {
        let (labels, bound) = labels.rsplit_once("le=\"").unwrap();
        let bound = bound.trim_end_matches('"').replace("+Inf", "inf");
        let labels = labels.trim_end_matches(',').to_owned();
        buckets.entry(labels).or_default().push((number(&bound), number(value)));
    }
    for (labels, mut buckets) in buckets {
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert!(
            buckets.is_sorted_by(|one, other| one.0 < other.0 && one.1 <= other.1),
            "{name}: {buckets:?}"
        );
        let count = number(&found[&(format!("{name}_count"), labels.clone())]);
        assert_eq!(buckets.last().unwrap(), &(f64::INFINITY, count), "{name}");
        number(&found[&(format!("{name}_sum"), labels)]);
    }
}

fn sample(line: &str) -> (String, String, String) {
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let (name, labels, value) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, value) = rest.rsplit_once("} ").unwrap();
            (name, labels, value)
        }
        None => {
            let (name, value) = line.split_once(' ').unwrap();
            (name, "", value)
        }
    };
    assert!(is_name(name), "{line}");
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").unwrap();
        assert!(is_name(label), "{line}");
        let mut escaped = false;
        let end = after
            .char_indices()
            .find(|(_, c)| {
                let is_end = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                is_end
            })
            .unwrap()
            .0;
        rest = after[end + 1..].strip_prefix(',').unwrap_or(&after[end + 1..]);
    }
    (name.to_owned(), labels.to_owned(), value.to_owned())
}

#[test]
fn counts_are_for_those_who_may_know_of_a_source() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    assert_eq!(sources(&server).len(), 2);
    let operators = server.signed_by(OPERATOR_KEY, "GET", "/api/v1/sources", b"").json();
    assert_eq!(
        operators["sources"],
        serde_json::json!([]),
        "a trail of one's own is no right on others"
    );
    for (answer, status) in [
        (server.request("GET", "/api/v1/sources", &[], b""), 401),
        (server.request("GET", "/metrics", &[], b""), 401),
        (server.signed_get("/metrics"), 403),
        (server.signed_by(OPERATOR_KEY, "GET", "/metrics", b""), 200),
    ] {
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    becomes_true(|| {
        server.own_rows("").iter().any(|row| row["description"] == "refused with 403 Forbidden")
    });
    assert_eq!(server.stop(), Some(0));

    let scrape = |settings: &str, token: &str| {
        let config = std::fs::read_to_string(test_dir.path("daybook.toml")).unwrap();
        std::fs::write(test_dir.path("daybook.toml"), format!("{settings}\n{config}")).unwrap();
        let server = test_dir.serve();
        let answer = server.request(
            "GET",
            "/metrics",
            &[("Authorization", &format!("Bearer {token}"))],
            b"",
        );
        std::fs::write(test_dir.path("daybook.toml"), config).unwrap();
        assert_eq!(server.stop(), Some(0));
        answer.status
    };
    let with_token = "[metrics]\ntoken = { file = \"token\" }";
    assert_eq!(scrape(with_token, TOKEN), 200);
    assert_eq!(scrape(with_token, "another token, as long"), 401);
    assert_eq!(scrape("", TOKEN), 401, "a source's token is no token of metrics");
    assert_eq!(scrape("[metrics]\npublic = true", "none"), 200);
}

/// Members of the entries that the log has of these acts.
fn acts(test_dir: &TestDir, action: &str, members: &[&str]) -> Vec<Vec<String>> {
    let member = |entry: &Value, name: &&str| {
        entry["attributes"][*name].as_str().unwrap_or_default().to_owned()
    };
    test_dir
        .acts(action)
        .iter()
        .map(|entry| serde_json::from_str(entry).unwrap())
        .map(|entry: Value| members.iter().map(|name| member(&entry, name)).collect())
        .collect()
}

#[test]
fn what_never_came_is_reported_once_across_restarts_and_kills() {
    let test_dir = TestDir::new();
    let mut server = test_dir.serve();
    let gaps = || acts(&test_dir, "source.gap", &["stream", "first", "last", "count"]);
    // Out of order, twice, and with two numbers missing.
    for numbers in [vec![5, 6, 7], vec![3, 4], vec![12, 11], vec![8, 5], vec![13]] {
        assert_eq!(server.send("own", numbered(numbers)).status, 200);
    }
    becomes_true(|| count(&sources(&server)["own"], "missing") == 2);
    assert_eq!(gaps(), [["web", "9", "10", "2"]]);
    // What is recorded just before a kill is no gap; what the sender lost meanwhile is one.
    assert_eq!(server.send("own", numbered(14..20)).status, 200);
    server.kill_9();
    let mut server = test_dir.serve();
    assert_eq!(server.send("own", numbered(20..22)).status, 200);
    server.kill_9();
    let server = test_dir.serve();
    assert_eq!(server.send("own", numbered([25])).status, 200);
    becomes_true(|| count(&sources(&server)["own"], "missing") == 3);
    assert_eq!(server.send("own", numbered([10])).status, 200);
    assert_eq!(
        count(&sources(&server)["own"], "found"),
        1,
        "what comes after all is known, across kills too"
    );
    assert_eq!(server.stop(), Some(0));
    let server = test_dir.serve();
    assert_eq!(server.send("own", numbered([1, 2, 26, 27])).status, 200);
    assert_eq!(server.send("own", numbered([30])).status, 200);
    becomes_true(|| count(&sources(&server)["own"], "missing") == 2);
    assert_eq!(count(&sources(&server)["own"], "renumbered"), 1);
    assert_eq!(
        gaps(),
        [["web", "9", "10", "2"], ["web", "22", "24", "3"], ["web", "28", "29", "2"]]
    );
    assert_eq!(server.stop(), Some(0));
    // The state file can be lost: then numbers count anew.
    std::fs::write(test_dir.data().join("sources.kept"), "nonsense").unwrap();
    let server = test_dir.serve();
    assert_eq!(server.send("own", numbered([40, 41])).status, 200);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(gaps().len(), 3);
    test_dir.check();
}

#[test]
fn silence_is_reported_once_and_so_is_its_end() {
    let test_dir = TestDir::new();
    let config = std::fs::read_to_string(test_dir.path("daybook.toml")).unwrap();
    let config = config.replace("name = \"own\"\n", "name = \"own\"\nsilent_after_s = 1\n");
    std::fs::write(test_dir.path("daybook.toml"), config).unwrap();
    let reported = |action: &str| acts(&test_dir, action, &["since"]).len();
    let mut server = test_dir.serve();
    becomes_true(|| reported("source.silent") == 1);
    becomes_true(|| sources(&server)["own"]["silent_since"].is_string());
    assert_eq!(sources(&server)["hub"]["silent_since"], Value::Null);
    server.kill_9();
    let server = test_dir.serve();
    assert!(sources(&server)["own"]["silent_since"].is_string());
    assert_eq!(server.send("own", "{").status, 400);
    becomes_true(|| reported("source.heard") == 1);
    becomes_true(|| reported("source.silent") == 2);
    assert_eq!(reported("source.heard"), 1);
    assert_eq!(server.stop(), Some(0));
    let silent = acts(&test_dir, "source.silent", &["since", "trail"]);
    assert!(silent[0][0] < silent[1][0] && silent[0][1].ends_with("/own"), "{silent:?}");
}

fn status(test_dir: &TestDir, server: &Daybook, more: &[&str]) -> Output {
    let mut command = daybook();
    command.args([
        "source",
        "status",
        "--url",
        &format!("http://{}", server.address),
        "--token-file",
    ]);
    command.arg(test_dir.path("user-token")).args(more).output().unwrap()
}

#[test]
fn the_command_line_shows_what_a_server_knows() {
    let estate = Estate::new();
    estate.lay_down_token("token of reader", "reader", "", LATER);
    let (test_dir, server) = (&estate.test_dir, estate.serve());
    std::fs::write(test_dir.path("user-token"), "token of reader\n").unwrap();
    server.take("artifact", &numbered(1..4));
    let good = status(test_dir, &server, &[]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    let table = text(&good.stdout);
    let lines: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..3], ["SOURCE", "STATE", "RECORDED"]);
    assert_eq!(lines.len(), 6, "the reader's five sources: {table}");
    let artifact = lines.iter().find(|line| line[0] == "artifact").unwrap();
    assert_eq!(artifact[..7], ["artifact", "ok", "3", "0", "0", "0", "0"]);
    server.take("artifact", &numbered([6]));
    becomes_true(|| status(test_dir, &server, &[]).status.code() == Some(6));
    let lost = status(test_dir, &server, &["-o", "json"]);
    assert_eq!(text(&lost.stderr), "daybook: silent, or lost something: artifact\n");
    let json: Value = serde_json::from_slice(&lost.stdout).unwrap();
    assert_eq!(json["sources"].as_array().unwrap().len(), 5);
    std::fs::write(test_dir.path("user-token"), "no token").unwrap();
    let refused = status(test_dir, &server, &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("answered 401: show a token or a signature; the token of "),
        "{}",
        text(&refused.stderr)
    );
}

#[test]
fn every_format_comes_with_a_stanza_that_is_right() {
    let list = text(&run(&["source", "formats"]).stdout);
    let json: Value =
        serde_json::from_slice(&run(&["source", "formats", "-o", "json"]).stdout).unwrap();
    assert_eq!(list.lines().count(), json.as_array().unwrap().len());
    let dir = tempfile::tempdir().unwrap();
    for line in list.lines() {
        let (name, about) = line.split_once("  ").unwrap();
        let stanza = text(&run(&["source", "formats", name]).stdout);
        assert!(stanza.contains(about.trim()), "{stanza}");
        let file = dir.path().join("daybook.toml");
        std::fs::write(&file, &stanza).unwrap();
        let checked = run(&["config", "check", "--config", file.to_str().unwrap()]);
        assert!(checked.status.success(), "{stanza}{}", text(&checked.stderr));
        assert!(
            text(&checked.stdout).contains(&format!("accepts {name} for")),
            "{}",
            text(&checked.stdout)
        );
    }
    assert_eq!(run(&["source", "formats", "syslog-ng"]).status.code(), Some(2));
}
