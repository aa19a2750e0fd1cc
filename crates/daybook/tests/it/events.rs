//! Daybook's own API to events: found, counted and shown, of the trails that the caller may read
//! and of no other.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::estate::{DATABASE, Estate, PLATFORM, REGISTRY, TENANT};
use crate::harness::{Answer, Daybook, PROJECT, hex};

/// Escapes a parameter's value as signatures want it.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// What a user is answered to a question.
fn response_to(server: &Daybook, user: &str, path: &str, parameters: &[(&str, &str)]) -> Answer {
    let query: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)))
        .collect();
    server.of(user, "GET", &format!("/api/v1/{path}?{}", query.join("&")), "")
}

fn good(server: &Daybook, path: &str, parameters: &[(&str, &str)]) -> Value {
    let answer = response_to(server, "reader", path, parameters);
    assert_eq!(answer.status, 200, "{path} {parameters:?}: {}", answer.text());
    answer.json()
}

fn problem(server: &Daybook, path: &str, parameters: &[(&str, &str)]) -> Value {
    let answer = response_to(server, "reader", path, parameters);
    assert_eq!(answer.status, 400, "{path} {parameters:?}: {}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    answer.json()
}

/// Events of one source, a line each: the minute they happened, who, what, to what, how it ended.
fn lines(events: &[(u32, &str, &str, &str, &str)]) -> String {
    let line = |(minute, actor, operation, resource, outcome): &(u32, &str, &str, &str, &str)| {
        json!({
            "id": format!("{minute} {actor} {operation} {resource}"),
            "occurred_at": format!("2026-11-20T10:{minute:02}:00Z"),
            "action": operation, "actor": actor, "operation": operation, "outcome": outcome,
            "resource": { "type": "artifact", "name": resource },
            "description": format!("{actor} did {operation} to {resource}"),
            "source_ip": format!("10.0.0.{minute}"), "request_id": format!("r{}", minute / 2),
        })
        .to_string()
    };
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Eight events that the reader may see, on three trails, and two of a rival.
fn filled(estate: &Estate) -> Daybook {
    let server = estate.serve();
    server.take(
        "registry",
        &lines(&[
            (0, "alice", "pull", "library/alpine", "success"),
            (1, "alice", "push", "library/alpine", "failure"),
            (2, "bob", "pull", "library/redis", "success"),
            (3, "bob", "delete", "tools/redis", "unknown"),
        ]),
    );
    server.take(
        "rivals-registry",
        &lines(&[
            (1, "alice", "pull", "library/alpine", "success"),
            (2, "mallory", "push", "x", "success"),
        ]),
    );
    server.take(
        "database",
        &lines(&[
            (4, "alice", "read", "orders", "success"),
            (5, "carol", "update", "orders", "failure"),
        ]),
    );
    server.take(
        "platform",
        &lines(&[
            (6, "carol", "login", "console", "failure"),
            (7, "dave", "login", "console", "success"),
        ]),
    );
    server
}

fn resources(answer: &Value) -> Vec<&str> {
    answer["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["resource"]["name"].as_str().unwrap())
        .collect()
}

#[test]
fn a_search_finds_what_it_names_and_nothing_else() {
    let estate = Estate::new();
    let server = filled(&estate);
    let all = good(&server, "events", &[("order", "asc")]);
    assert_eq!((&all["total"], &all["next"]), (&json!(8), &Value::Null));
    assert_eq!(
        resources(&all),
        [
            "library/alpine",
            "library/alpine",
            "library/redis",
            "tools/redis",
            "orders",
            "orders",
            "console",
            "console"
        ]
    );
    let first = &all["events"][0];
    assert_eq!(first["trail"], format!("registry/{TENANT}/{PROJECT}/{REGISTRY}"));
    assert_eq!(
        (&first["operation"], &first["outcome"]["result"]),
        (&json!("pull"), &json!("success"))
    );
    assert_eq!(first["source"], json!({ "name": "registry", "format": "daybook" }));
    for (parameters, total) in [
        (&[("q", "actor:alice")][..], 3),
        (&[("actor", "alice")], 3),
        (&[("q", "actor:alice -outcome:success")], 1),
        (&[("actor", "alice"), ("-outcome", "success")], 1),
        (&[("q", "resource:library/*")], 3),
        (&[("resource", "library/*"), ("q", "-alice")], 1),
        (&[("operation", "pull"), ("operation", "push")], 3),
        (&[("q", "operation:pull,push after:2026-11-20T10:01")], 2),
        (&[("q", "redis")], 2),
        (&[("q", "\"did delete\"")], 1),
        (&[("q", "red*")], 2),
        (&[("q", "ip:10.0.0.4/31")], 2),
        (&[("q", "10.0.0.3")], 1),
        (&[("service", "database")], 2),
        (&[("-service", "database"), ("-service", "registry")], 2),
        (&[("instance", REGISTRY), ("q", "bob")], 2),
        (&[("trail", "*/*/*/ops")], 2),
        (&[("q", "before:2026-11-20T10:01:00+00:00")], 1),
        (&[("q", "mallory")], 0),
        (&[("as_of", "0")], 0),
    ] {
        assert_eq!(good(&server, "events", parameters)["total"], total, "{parameters:?}");
    }
    // Another sees theirs; who may read nothing finds nothing; auditors read as readers do.
    for (user, total) in
        [("rival", 2), ("nobody", 0), ("writer", 0), ("puller", 0), ("auditor", 8), ("admin", 8)]
    {
        let answer = response_to(&server, user, "events", &[]);
        assert_eq!((answer.status, &answer.json()["total"]), (200, &json!(total)), "{user}");
    }
    assert_eq!(server.request("GET", "/api/v1/events", &[], b"").status, 401);
    assert_eq!(server.stop(), Some(0));
    let acts = estate.test_dir.acts("daybook.ListEvents");
    assert!(acts.iter().any(|act| act.contains("8 of 8 rows were returned")), "{acts:?}");
}

#[test]
fn a_wrong_search_is_a_problem_that_says_where() {
    let estate = Estate::new();
    let server = filled(&estate);
    let wrong = problem(&server, "events", &[("q", "alice foo:bar")]);
    assert_eq!((&wrong["parameter"], &wrong["column"]), (&json!("q"), &json!(7)), "{wrong}");
    assert_eq!(
        (&wrong["status"], &wrong["title"], &wrong["code"]),
        (&json!(400), &json!("Bad Request"), &json!("malformed"))
    );
    for (parameters, parameter) in [
        (&[("actr", "alice")][..], "actr"),
        (&[("limit", "1001")], "limit"),
        (&[("limit", "-1")], "limit"),
        (&[("limit", "1"), ("limit", "2")], "limit"),
        (&[("order", "up")], "order"),
        (&[("as_of", "999999")], "as_of"),
        (&[("cursor", "x")], "cursor"),
        (&[("cursor", "1-2-3-4"), ("offset", "1")], "cursor"),
        (&[("after", "noon")], "q"),
        (&[("severity", "9")], "q"),
    ] {
        assert_eq!(
            problem(&server, "events", parameters)["parameter"],
            parameter,
            "{parameters:?}"
        );
    }
    for (path, name, value) in [
        ("histogram", "interval", "1y"),
        ("histogram", "buckets", "0"),
        ("histogram", "interval", "0s"),
        ("facets", "facet", "description"),
        ("facets", "limit", "0"),
        ("trails", "limit", "1001"),
        ("tail", "from", "999999"),
        ("tail", "as_of", "1"),
    ] {
        assert_eq!(problem(&server, path, &[(name, value)])["parameter"], name);
    }
    let narrow = problem(
        &server,
        "histogram",
        &[("interval", "1s"), ("after", "2026-11-20"), ("before", "2026-11-21")],
    );
    assert_eq!(narrow["parameter"], "interval");
    for (path, status) in [("/api/v1/nothing", 404), ("/api/v1/events/0/nothing", 404)] {
        let answer = server.of("reader", "GET", path, "");
        assert_eq!((answer.status, answer.code()), (status, "not_found".to_owned()));
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    assert_eq!(server.of("reader", "DELETE", "/api/v1/events", "").status, 405);
}

#[test]
fn pages_of_a_snapshot_do_not_move() {
    let estate = Estate::new();
    let server = filled(&estate);
    for order in ["asc", "desc"] {
        let whole = good(&server, "events", &[("q", "before:2026-11-20T11:00"), ("order", order)]);
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let mut parameters =
                vec![("q", "before:2026-11-20T11:00"), ("order", order), ("limit", "3")];
            let next: Option<String> = cursor.take();
            if let Some(next) = &next {
                parameters.push(("cursor", next));
            }
            let page = good(&server, "events", &parameters);
            assert_eq!(page["total"], whole["total"]);
            seen.extend(page["events"].as_array().unwrap().clone());
            // What arrives meanwhile, late and at the ends, is on no later page.
            let more = lines(&[
                (20 + u32::try_from(seen.len()).unwrap(), order, "pull", "late", "success"),
                (0, order, "pull", &seen.len().to_string(), "success"),
            ]);
            server.take("registry", &more);
            cursor = page["next"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(Value::from(seen), whole["events"]);
    }
    let first = good(&server, "events", &[("q", "alice"), ("limit", "1")]);
    let next = first["next"].as_str().unwrap();
    assert_eq!(
        problem(&server, "events", &[("q", "bob"), ("cursor", next)])["parameter"],
        "cursor"
    );
}

#[test]
fn one_event_is_shown_with_what_is_around_it() {
    let estate = Estate::new();
    let server = filled(&estate);
    let found = good(&server, "events", &[("q", "operation:push library/alpine")]);
    let event = &found["events"][0];
    let by_index = good(&server, &format!("events/{}", event["index"]), &[]);
    let mut by_id = good(&server, &format!("events/{}", event["id"].as_str().unwrap()), &[]);
    // The record of the first request is in the log of the second.
    assert!(by_id["tree_size"].as_u64() > by_index["tree_size"].as_u64());
    by_id["tree_size"] = by_index["tree_size"].clone();
    assert_eq!(by_index, by_id);
    assert_eq!(&by_index["event"], event);
    let entry = by_index["entry"].as_str().unwrap();
    assert_eq!(by_index["digest"], hex(&Sha256::digest(entry)));
    assert_eq!(by_index["raw_encoding"], "utf-8");
    assert!(entry.contains(&hex(&Sha256::digest(by_index["raw"].as_str().unwrap()))));
    let related = &by_index["related"];
    for (name, total) in [("actor", 2), ("resource", 2)] {
        let search = related[name]["search"].as_str().unwrap();
        assert_eq!(related[name]["total"], total, "{search}");
        assert_eq!(good(&server, "events", &[("q", search)])["total"], total, "{search}");
    }
    let request = &related["request"];
    assert_eq!(
        (resources(request), &request["is_complete"]),
        (vec!["library/alpine", "library/alpine"], &json!(true))
    );
    // What is not the caller's is not there.
    for (user, event) in [
        ("rival", event["index"].to_string()),
        ("rival", event["id"].as_str().unwrap().to_owned()),
        ("reader", "999999".to_owned()),
        ("reader", "01971234-1234-7234-8234-123412341234".to_owned()),
        ("reader", "0x1".to_owned()),
    ] {
        let answer = response_to(&server, user, &format!("events/{event}"), &[]);
        assert_eq!((answer.status, answer.code()), (404, "not_found".to_owned()), "{user} {event}");
    }
    let binary = "\u{ff}".repeat(3);
    server.take(
        "platform",
        &json!({ "id": "b", "action": "x", "attributes": { "bytes": binary } }).to_string(),
    );
    assert_eq!(
        good(&server, "events", &[("q", "action:x")])["events"][0]["attributes"]["bytes"],
        binary
    );
}

#[test]
fn counts_add_up() {
    let estate = Estate::new();
    let server = filled(&estate);
    let histogram =
        good(&server, "histogram", &[("interval", "2m"), ("after", "2026-11-20T10:01")]);
    let buckets: Vec<(&str, [u64; 3])> = histogram["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bucket| {
            let counts =
                ["success", "failure", "unknown"].map(|name| bucket[name].as_u64().unwrap());
            (&bucket["start"].as_str().unwrap()[11..16], counts)
        })
        .collect();
    assert_eq!(
        buckets,
        [("10:00", [0, 1, 0]), ("10:02", [1, 0, 1]), ("10:04", [1, 1, 0]), ("10:06", [1, 1, 0])]
    );
    assert_eq!((&histogram["total"], &histogram["interval_s"]), (&json!(7), &json!(120)));
    let nothing = good(&server, "histogram", &[("q", "mallory")]);
    assert_eq!(
        (&nothing["total"], &nothing["buckets"], &nothing["from"]),
        (&json!(0), &json!([]), &Value::Null)
    );
    let empty = good(
        &server,
        "histogram",
        &[("after", "2026-11-01"), ("before", "2026-11-02"), ("interval", "6h")],
    );
    assert_eq!(empty["buckets"].as_array().unwrap().len(), 4);

    let named =
        [("facet", "operation"), ("facet", "actor.name"), ("facet", "resource.id"), ("limit", "2")];
    let facets = good(&server, "facets", &named);
    let of = |name: &str| -> BTreeMap<String, u64> {
        let values = facets["facets"][name]["values"].as_array().unwrap().iter();
        values
            .map(|one| (one["value"].as_str().unwrap().to_owned(), one["count"].as_u64().unwrap()))
            .collect()
    };
    assert_eq!(of("actor.name"), BTreeMap::from([("alice".to_owned(), 3), ("bob".to_owned(), 2)]));
    for name in ["operation", "actor.name", "resource.id"] {
        let facet = &facets["facets"][name];
        let rest = facet["others"].as_u64().unwrap() + facet["without"].as_u64().unwrap();
        assert_eq!(of(name).values().sum::<u64>() + rest, 8, "{facet}");
    }
    assert_eq!(facets["facets"]["resource.id"]["without"], 8);
    assert_eq!(good(&server, "facets", &[])["facets"].as_object().unwrap().len(), 6);

    let trails = good(&server, "trails", &[("q", "alice")]);
    let rows: Vec<(&str, u64)> = trails["trails"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["trail"].as_str().unwrap().rsplit('/').next().unwrap(),
                row["events"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!((rows, &trails["total"]), (vec![(REGISTRY, 2), (DATABASE, 1)], &json!(2)));
    // Without a question those too that hold nothing yet.
    let all = good(&server, "trails", &[("limit", "2"), ("offset", "3")]);
    assert_eq!((all["trails"].as_array().unwrap().len(), &all["total"]), (2, &json!(5)));
    assert!(all["trails"][0]["trail"].as_str().unwrap().ends_with(PLATFORM));
    assert_eq!(
        (&all["trails"][1]["first_at"], &all["trails"][1]["events"]),
        (&Value::Null, &json!(0))
    );
}

#[test]
fn the_description_is_of_every_route() {
    let estate = Estate::new();
    let server = estate.serve();
    let description = server.request("GET", "/api/v1/openapi.json", &[], b"").json();
    assert_eq!(description["openapi"], "3.1.1");
    let described: Vec<String> = description["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, of_path)| {
            of_path
                .as_object()
                .unwrap()
                .keys()
                .map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let routes = crate::harness::text(&crate::harness::run(&["routes"]).stdout);
    for line in routes.lines().filter(|line| line.contains(" daybook.")) {
        let mut words = line.split_whitespace();
        let route = format!("{} {}", words.next().unwrap(), words.next().unwrap());
        assert!(described.contains(&route), "{route} is not described");
    }
}

#[test]
fn an_empty_answer_says_which_condition_was_the_reason() {
    let estate = Estate::new();
    let server = estate.serve();
    server.take("registry", include_str!("transcripts/registry.ndjson"));
    let all = good(&server, "facets", &[("facet", "actor.name"), ("facet", "operation")]);
    let actor = all["facets"]["actor.name"]["values"][0]["value"].as_str().unwrap().to_owned();
    let mistyped = format!("{actor}x");
    let why = |parameters: &[(&str, &str)]| {
        let answer = good(&server, "events", parameters);
        assert_eq!(answer["total"], 0, "{answer}");
        answer["why_empty"].as_str().unwrap_or_default().to_owned()
    };
    let nearest = why(&[("actor", &mistyped)]);
    assert!(nearest.contains(&format!("no event has actor {mistyped}; {actor} has")), "{nearest}");
    let time = why(&[("actor", &actor), ("before", "1999-01-01")]);
    assert!(
        time.starts_with("nothing in this time; ") && time.ends_with("outside of it"),
        "{time}"
    );
    let trail = why(&[("trail", "registry/nobody/*/*")]);
    assert_eq!(trail, "you may read no trail with trail:registry/nobody/*/*");
    // A rival's events do not exist, not even as the nearest value.
    let hidden = server.of("rival", "GET", &format!("/api/v1/events?actor={mistyped}"), "").json();
    assert!(!hidden.to_string().contains(&format!("{actor} has")), "{hidden}");
    // Each condition matches something, only not both: nothing is wrong with either.
    assert_eq!(why(&[("actor", &actor), ("-actor", &actor)]), "");
    assert!(good(&server, "events", &[]).get("why_empty").is_none());
}
