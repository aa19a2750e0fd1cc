//! Dead letters: listed, shown, and parsed again after a fix.

use std::process::Output;

use serde_json::{Value, json};

use crate::estate::{Estate, LATER, TENANT};
use crate::harness::{
    Answer, Daybook, PROJECT, TestDir, becomes_true, daybook, notification, run, text,
};

const AT: &str = "2026-11-20T17:49:51.255562537Z";

/// An estate with a source configured for the wrong format, MariaDB's, and users with tokens.
fn estate(settings: &str) -> Estate {
    let estate = Estate::with_settings(settings);
    for user in ["reader", "writer", "rival", "operator"] {
        estate.lay_down_token(&format!("token of {user}"), user, "", LATER);
        std::fs::write(
            estate.test_dir.path(&format!("token-{user}")),
            format!("token of {user}\n"),
        )
        .unwrap();
    }
    let trail = format!(
        "{{ service = \"artifact\", tenant = \"{TENANT}\", project = \"{PROJECT}\", instance = \"web\" }}"
    );
    configure(&estate.test_dir, |config| {
        format!(
            "{config}\n[[source]]\nname = \"web\"\nformat = \"mariadb-audit\"\ntoken = {{ file = \"token\" }}\ntrail = {trail}\n"
        )
    });
    estate
}

fn configure(test_dir: &TestDir, change: impl Fn(&str) -> String) {
    let path = test_dir.path("daybook.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, change(&config)).unwrap();
}

/// A line of nginx, without an id.
fn line(name: &str) -> String {
    format!(r#"{{"msec":1700000000.5,"method":"GET","status":200,"uri":"/{name}.jar"}}"#)
}

fn ask(server: &Daybook, user: &str, method: &str, target: &str, body: &str) -> Answer {
    server.request(
        method,
        target,
        &[("X-Auth-Token", &format!("token of {user}"))],
        body.as_bytes(),
    )
}

fn retry(test_dir: &TestDir, server: &Daybook, user: &str, which: &[&str]) -> Output {
    let mut command = daybook();
    command.args([
        "dead-letters",
        "retry",
        "--url",
        &format!("http://{}", server.address),
        "--token-file",
    ]);
    command.arg(test_dir.path(&format!("token-{user}"))).args(which).output().unwrap()
}

fn listed(test_dir: &TestDir, more: &[&str]) -> Vec<Value> {
    let data = test_dir.data();
    let mut arguments = vec!["dead-letters", "list", "-o", "json", "-d", data.to_str().unwrap()];
    arguments.extend(more);
    let output = run(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn after_a_fix_each_is_recorded_once() {
    let estate = estate("");
    let test_dir = &estate.test_dir;
    let server = estate.serve();
    let lines = [line("a"), line("b"), "nonsense".to_owned(), line("c")].join("\n");
    assert_eq!(server.send("web", &lines).status, 200);
    let before = retry(test_dir, &server, "writer", &["--source", "web"]);
    assert!(before.status.success(), "{}", text(&before.stderr));
    assert!(
        text(&before.stdout).ends_with("0 retried, 0 events recorded, 4 remain\n"),
        "{}",
        text(&before.stdout)
    );
    assert_eq!(server.stop(), Some(0));

    configure(test_dir, |config| config.replace("mariadb-audit", "nginx-json"));
    let mut server = estate.serve();
    let first = retry(test_dir, &server, "writer", &["--source", "web"]);
    let said = text(&first.stdout);
    assert!(
        first.status.success() && said.contains("0: 1 recorded\n"),
        "{}{said}",
        text(&first.stderr)
    );
    assert!(
        said.contains("\n2: rejected again, ")
            && said.ends_with("3 retried, 3 events recorded, 1 remain\n"),
        "{said}"
    );
    assert_eq!(server.events(), 3);
    let again = text(&retry(test_dir, &server, "writer", &["0", "3"]).stdout);
    assert_eq!(
        again,
        "0: 0 recorded, 1 recorded before\n3: 0 recorded, 1 recorded before\n2 retried, 0 events recorded, 0 remain\n"
    );
    // Without --all, retried dead letters are not listed.
    becomes_true(|| listed(test_dir, &[]).len() == 1);
    assert_eq!(listed(test_dir, &["--all"]).len(), 4);
    let status = ask(&server, "reader", "GET", "/api/v1/sources", "").json();
    let web = status["sources"]
        .as_array()
        .unwrap()
        .iter()
        .find(|source| source["name"] == "web")
        .unwrap()
        .clone();
    assert_eq!((&web["counts"]["retried"], &web["counts"]["received"]), (&json!(3), &json!(0)));
    // The state file of retries may be lost: events of retries have keys.
    server.kill_9();
    let mut server = estate.serve();
    assert_eq!(text(&retry(test_dir, &server, "writer", &["--all"]).stdout).lines().count(), 2);
    server.kill_9();
    std::fs::remove_file(test_dir.data().join("set-aside.retried")).unwrap();
    let server = estate.serve();
    let once_more = text(&retry(test_dir, &server, "writer", &["--all"]).stdout);
    assert!(once_more.ends_with("3 retried, 0 events recorded, 1 remain\n"), "{once_more}");
    assert_eq!(server.events(), 3);
    assert_eq!(server.stop(), Some(0));
    // Each retry is on record, and each event names its dead letter.
    let acts = test_dir.acts("daybook.RetryDeadLetters");
    assert_eq!(acts.len(), 5);
    let act: Value = serde_json::from_str(&acts[1]).unwrap();
    assert_eq!(
        (&act["actor"]["id"], &act["attributes"]["records"]),
        (&json!("writer"), &json!("0, 1, 2, 3")),
        "{act}"
    );
    let events: Vec<Value> =
        test_dir.acts("GET").iter().map(|entry| serde_json::from_str(entry).unwrap()).collect();
    let named: Vec<&str> =
        events.iter().map(|event| event["attributes"]["dead_letter"].as_str().unwrap()).collect();
    assert_eq!(named, ["0", "1", "3"]);
    assert!(events[1].to_string().contains("set-aside:1:0"), "{}", events[1]);
    test_dir.check();
}

#[test]
fn a_large_or_conflicting_record_is_retried_in_its_envelope() {
    let estate = estate("[limits]\nevent_bytes_max = 900\n");
    let test_dir = &estate.test_dir;
    let server = estate.serve();
    let large = notification("n1", "pull", "sha256:aa", AT)
        .replace("sha256:aa", &format!("sha256:{}", "a".repeat(900)));
    for body in [
        &notification("n2", "pull", "sha256:aa", AT),
        &notification("n2", "pull", "sha256:bb", AT),
        &large,
    ] {
        assert_eq!(server.send("hub", body).status, 200);
    }
    assert_eq!(server.stop(), Some(0));
    let records = listed(test_dir, &[]);
    let reasons: Vec<&str> =
        records.iter().map(|record| record["reason"].as_str().unwrap()).collect();
    assert!(
        reasons[0].starts_with("id_conflict") && reasons[1].starts_with("event_too_large"),
        "{reasons:?}"
    );

    configure(test_dir, |config| config.replace("event_bytes_max = 900\n", ""));
    test_dir.access(&["grant", "writer", "writer", "registry/acme/*/*"]);
    let server = estate.serve();
    let said = text(&retry(test_dir, &server, "writer", &["--all"]).stdout);
    assert_eq!(
        said,
        "0: rejected again, id_conflict: what is in record 0 is recorded with other bytes\n1: 1 recorded\n1 retried, 1 events recorded, 1 remain\n"
    );
    assert_eq!(
        (server.events(), listed(test_dir, &["--all"]).len()),
        (2, 2),
        "no dead letter is added"
    );
}

#[test]
fn a_hidden_record_looks_like_a_missing_one() {
    let estate = estate("");
    let test_dir = &estate.test_dir;
    let server = estate.serve();
    assert_eq!(server.send("web", "one\ntwo").status, 200);
    assert_eq!(server.send("rivals-artifact", r#"{"id":"x"}"#).status, 200);
    let numbers = |user: &str, server: &Daybook| {
        let answer = ask(server, user, "GET", "/api/v1/dead-letters", "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let records = answer.json()["records"].as_array().unwrap().clone();
        records.iter().map(|record| record["number"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let seen = |server: &Daybook| {
        ["reader", "writer", "rival", "operator"].map(|user| numbers(user, server))
    };
    assert_eq!(seen(&server), [vec![0, 1], vec![], vec![2], vec![]]);
    let show = |user: &str, number: u64| {
        ask(&server, user, "GET", &format!("/api/v1/dead-letters/{number}"), "")
    };
    let one = show("reader", 1).json();
    assert_eq!(
        (&one["raw"], &one["source"], &one["is_retried"]),
        (&json!("two"), &json!("web"), &json!(false))
    );
    let retried =
        |user: &str, body: &str| ask(&server, user, "POST", "/api/v1/dead-letters/retry", body);
    let hidden = show("reader", 2);
    let absent = show("reader", 99);
    assert_eq!(
        (hidden.status, hidden.code(), hidden.json()["error_msg"].clone()),
        (404, absent.code(), absent.json()["error_msg"].clone())
    );
    for (answer, status) in [
        (show("writer", 0), 404),
        (show("rival", 0), 404),
        (retried("reader", r#"{"numbers":[0]}"#), 404),
        (retried("rival", r#"{"numbers":[2,0]}"#), 404),
        (retried("reader", r#"{"source":"web"}"#), 404),
        (retried("rival", r#"{"source":"web"}"#), 404),
        (retried("writer", r#"{"source":"web"}"#), 200),
        (retried("writer", r#"{"all":false}"#), 400),
        (retried("writer", r#"{"all":true,"source":"web"}"#), 400),
        (retried("writer", r#"{"numbers":[0],"more":1}"#), 400),
        (retried("writer", "{}"), 400),
        (ask(&server, "reader", "GET", "/api/v1/dead-letters/x", ""), 400),
        (ask(&server, "reader", "GET", "/api/v1/dead-letters?limit=0", ""), 400),
        (ask(&server, "reader", "GET", "/api/v1/dead-letters?since=noon", ""), 400),
    ] {
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    // Reading and refusals are on record.
    becomes_true(|| {
        server
            .own_rows("")
            .iter()
            .filter(|row| row["description"] == "1 of 1 rows were returned")
            .count()
            >= 1
    });
    becomes_true(|| {
        server.own_rows("").iter().any(|row| row["description"] == "refused with 404 Not Found")
    });
    assert_eq!(server.stop(), Some(0));
    // A source that is no longer configured has no trail: its records are for managers of sources.
    configure(test_dir, |config| config.replace("name = \"web\"", "name = \"web2\""));
    test_dir.access(&["grant", "operator", "admin", "dbaudit/daybook/*/*"]);
    let server = estate.serve();
    assert_eq!(seen(&server), [vec![], vec![], vec![2], vec![0, 1]]);
    let gone = ask(&server, "operator", "POST", "/api/v1/dead-letters/retry", r#"{"numbers":[0]}"#);
    assert_eq!((gone.status, gone.code().as_str()), (409, "no_source"));
}

#[test]
fn lists_are_read_page_by_page_and_filtered() {
    let estate = estate("");
    let test_dir = &estate.test_dir;
    let server = estate.serve();
    for batch in 0..6 {
        let lines: Vec<String> = (0..5).map(|number| format!("line {batch} {number}")).collect();
        assert_eq!(server.send("web", lines.join("\n")).status, 200);
        assert_eq!(server.send("artifact", format!(r#"{{"id":"{batch}"}}"#)).status, 200);
        // More events, so that dead letters are flushed if the settings say so.
        server.take("artifact", &format!(r#"{{"id":"e{batch}","action":"x"}}"#));
    }
    for (query, expected) in [
        ("limit=7", (0..36).collect::<Vec<u64>>()),
        ("limit=4&source=artifact", (0..6).map(|batch| 6 * batch + 5).collect()),
        ("limit=1000&source=web", (0..36).filter(|number| number % 6 != 5).collect()),
        ("reason=action&limit=1", (0..6).map(|batch| 6 * batch + 5).collect()),
        ("since=2100-01-01T00:00:00Z", vec![]),
        ("since=2020-01-01T00:00:00Z&offset=34", vec![34, 35]),
    ] {
        let (mut found, mut next) = (Vec::new(), Some(0));
        while let Some(offset) = next {
            let offset = if offset > 0 || !query.contains("offset") {
                format!("&offset={offset}")
            } else {
                String::new()
            };
            let page =
                ask(&server, "reader", "GET", &format!("/api/v1/dead-letters?{query}{offset}"), "")
                    .json();
            found.extend(
                page["records"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|record| record["number"].as_u64().unwrap()),
            );
            next = page["next"].as_u64();
        }
        assert_eq!(found, expected, "{query}");
    }
    let first = ask(&server, "reader", "GET", "/api/v1/dead-letters?limit=1", "").json();
    assert_eq!(
        (&first["records"][0]["beginning"], &first["records"][0]["len_bytes"]),
        (&json!("line 0 0"), &json!(8))
    );
    // The command line beside the server.
    assert_eq!(listed(test_dir, &["--source", "web"]).len(), 30);
    assert_eq!(listed(test_dir, &["--reason", "action", "--since", "1h"]).len(), 6);
    assert_eq!(listed(test_dir, &["--since", "2100-01-01T00:00:00Z"]).len(), 0);
}

#[test]
fn one_is_shown_with_all_its_bytes() {
    let estate = estate("");
    let test_dir = &estate.test_dir;
    let server = estate.serve();
    assert_eq!(server.send("web", b"text \x1b[2J\n\x00\xff\xfe").status, 200);
    let show = |number: &str, form: &str| {
        let data = test_dir.data();
        run(&["dead-letters", "show", number, "-o", form, "-d", data.to_str().unwrap()])
    };
    let shown = text(&show("0", "text").stdout);
    assert!(
        shown.starts_with("number: 0\nreceived: 2") && shown.contains("\nsource: web\nreason: "),
        "{shown}"
    );
    assert!(shown.ends_with("\nbytes: 9\n\ntext \\u{1b}[2J\n"), "{shown}");
    assert!(
        text(&show("1", "text").stdout)
            .ends_with("00000000  00 ff fe                                         |...|\n")
    );
    assert_eq!(show("1", "raw").stdout, b"\x00\xff\xfe");
    let json: Value = serde_json::from_slice(&show("1", "json").stdout).unwrap();
    assert_eq!((&json["raw_hex"], &json["raw"]), (&json!("00fffe"), &Value::Null));
    let absent = show("2", "text");
    assert_eq!(
        (absent.status.code(), text(&absent.stderr)),
        (Some(1), "daybook: there is no dead letter 2\n".to_owned())
    );
}
