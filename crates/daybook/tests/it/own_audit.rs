//! Daybook's record of itself: every login, change, download and query, through the DBSS API.

use std::time::Duration;

use crate::estate::{DATABASE, Estate, PASSWORD, REGISTRY, SECRET_OF_ALL, key_of};
use crate::harness::{Daybook, PROJECT, TestDir, becomes_true, daybook, now, run, sign, text};

/// The rows whose description or name holds this text.
fn rows(server: &Daybook, text: &str) -> Vec<serde_json::Value> {
    server
        .own_rows("")
        .into_iter()
        .filter(|row| {
            ["description", "name", "function"]
                .iter()
                .any(|member| row[*member].as_str().unwrap().contains(text))
        })
        .collect()
}

fn members(row: &serde_json::Value) -> [&str; 4] {
    ["user", "action", "name", "result"].map(|member| row[member].as_str().unwrap())
}

#[test]
fn every_query_is_recorded_before_its_answer() {
    let estate = Estate::new();
    let mut server = estate.serve();
    server.take("registry", include_str!("transcripts/registry.ndjson"));
    let target = format!("/v2/{PROJECT}/instances/{REGISTRY}/audit-logs?operation=pull");
    let queries = 20;
    for _ in 0..queries {
        assert_eq!(server.of("reader", "GET", &target, "").status, 200);
    }
    server.kill_9();
    let server = estate.serve();
    let found = rows(&server, "2 of 2 rows were returned");
    assert_eq!(found.len(), queries);
    let trail = format!("registry/{}/{PROJECT}/{REGISTRY}", crate::estate::TENANT);
    assert_eq!(members(&found[0]), ["reader", "Download", &trail, "success"]);
    assert_eq!(found[0]["function"], "Audit log query");
}

#[test]
fn starts_stops_and_crashes_are_recorded() {
    let test_dir = TestDir::new();
    assert_eq!(test_dir.serve().stop(), Some(0));
    let mut server = test_dir.serve();
    server.send("own", r#"{"action":"x"}"#);
    server.kill_9();
    assert_eq!(test_dir.serve().stop(), Some(0));
    let starts = test_dir.acts("server.start");
    let clean = ["unknown", "yes", "no"].map(|clean| format!("\"clean\":\"{clean}\""));
    assert!(starts.iter().zip(&clean).all(|(act, clean)| act.contains(clean)), "{starts:?}");
    let version = format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(starts.len() == 3 && starts[2].contains(&version), "{starts:?}");
    assert_eq!((test_dir.acts("server.stop").len(), test_dir.acts("server.crash").len()), (2, 1));
    let last = test_dir.entries().pop().unwrap();
    assert!(last.contains("\"action\":\"server.stop\""), "{last}");
}

#[test]
fn commands_that_read_the_directory_are_recorded() {
    let test_dir = TestDir::new();
    let data = test_dir.data();
    let read = |arguments: &[&str]| {
        let mut command = daybook();
        command.args(arguments).arg("--data-dir").arg(&data).env("SUDO_USER", "mallory");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let server = test_dir.serve();
    assert!(!read(&["search", "action:secret"]).contains("not recorded"));
    becomes_true(|| test_dir.acts("command.search").len() == 1);
    let act = &test_dir.acts("command.search")[0];
    let uid = format!("\"id\":\"uid:{}\"", rustix::process::getuid().as_raw());
    for part in ["search action:secret", "\"claimed_sudo_user\":\"mallory\"", &uid] {
        assert!(act.contains(part), "{act}");
    }
    assert_eq!(server.stop(), Some(0));
    // Without a server, the next start records it; with a server's lock or not, once.
    read(&["export", "--to", "-"]);
    read(&["access", "list"]);
    run(&["check", data.to_str().unwrap()]);
    assert_eq!(test_dir.serve().stop(), Some(0));
    drop(test_dir.serve());
    for (action, count) in [("search", 1), ("export", 1), ("access", 1), ("check", 1)] {
        assert_eq!(test_dir.acts(&format!("command.{action}")).len(), count, "{action}");
    }
    // A copy stays as it is, and where nothing can be written, the command says so.
    let copy = test_dir.path("copy");
    crate::evidence::copy(&data, &copy);
    let output = run(&["search", "--data-dir", copy.to_str().unwrap()]);
    assert!(text(&output.stderr).contains("is not recorded"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(copy.join("commands.ndjson")).unwrap(), b"");
    let lock = data.join("commands.ndjson.lock");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    assert!(read(&["search"]).contains("is not recorded"));
    // It does not hold up the server either.
    std::fs::remove_file(data.join("commands.ndjson")).unwrap();
    std::fs::create_dir(data.join("commands.ndjson")).unwrap();
    assert_eq!(test_dir.serve().stop(), Some(0));
}

#[test]
fn recording_is_not_recorded() {
    let estate = Estate::new();
    let server = estate.serve();
    std::thread::sleep(Duration::from_secs(1));
    let before = server.own_rows("").len();
    std::thread::sleep(Duration::from_secs(2));
    // The query before, and nothing that follows from recording it.
    let after = server.own_rows("").len();
    assert!((1..=2).contains(&(after - before)), "{before} then {after}");
}

#[test]
fn logins_and_refused_logins_are_recorded() {
    let estate = Estate::new();
    let server = estate.serve();
    server.login("reader");
    let body = format!(
        r#"{{"auth":{{"identity":{{"methods":["password"],"password":{{"user":{{"name":"mallory","password":"{PASSWORD}","domain":{{"name":"acme-corp"}}}}}}}}}}}}"#
    );
    assert_eq!(server.request("POST", "/v3/auth/tokens", &[], body.as_bytes()).status, 401);
    becomes_true(|| !rows(&server, "a login was refused").is_empty());
    assert_eq!(
        members(&rows(&server, "a login was refused")[0]),
        ["", "Operate", "mallory", "fail"]
    );
    assert_eq!(
        members(&rows(&server, "a token was handed out")[0]),
        ["reader", "Operate", "reader", "success"]
    );
}

#[test]
fn a_login_is_recorded_before_its_token_is_good() {
    let estate = Estate::new();
    let mut server = estate.serve();
    let token = server.login("reader");
    server.kill_9();
    let server = estate.serve();
    let target = format!("/v2/{PROJECT}/instances/{REGISTRY}/audit-logs?operation=pull");
    assert_eq!(server.request("GET", &target, &[("X-Auth-Token", &token)], b"").status, 200);
    assert_eq!(rows(&server, "a token was handed out").len(), 1);
}

#[test]
fn refused_requests_are_recorded_and_floods_of_them_are_counted() {
    let estate = Estate::with_settings("[limits]\nrefusals_counted_s = 1");
    let server = estate.serve();
    let target = "/v3/projects";
    let mut client = server.client();
    let flood = 400;
    for _ in 0..flood {
        let signed =
            sign(server.address, &key_of("reader"), "wrong secret", "GET", target, b"", now());
        let headers: Vec<(&str, &str)> =
            signed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(client.request("GET", target, &headers, b"").unwrap().status, 401);
    }
    let counted = || {
        let failed = server.own_rows(r#","result":"fail""#);
        let one_by_one = failed
            .iter()
            .filter(|row| row["description"] == "refused with 401 Unauthorized")
            .count();
        let counted: usize = failed
            .iter()
            .filter_map(|row| {
                row["description"]
                    .as_str()
                    .unwrap()
                    .split_once(" further requests")?
                    .0
                    .parse::<usize>()
                    .ok()
            })
            .sum();
        (one_by_one, one_by_one + counted)
    };
    becomes_true(|| counted().1 == flood);
    let _ = SECRET_OF_ALL;
}

#[test]
fn changes_of_rights_are_recorded_before_they_are_in_force() {
    let estate = Estate::new();
    let mut server = estate.serve();
    // Beside a running server: when the command returns, the change is in force and on disk.
    estate.test_dir.access(&["user", "add", "eve", "--id", "eve"]);
    estate.test_dir.access(&["grant", "eve", "reader", "registry/*/*/*"]);
    server.kill_9();
    // While none is running: recorded before the next one takes requests.
    estate.test_dir.access(&["revoke", "eve", "reader", "registry/*/*/*"]);
    estate.test_dir.access(&["key", "disable", &key_of("reader")]);
    let server = estate.serve();
    for description in [
        "create user: eve",
        "create grant: eve reader registry/*/*/*",
        "delete grant: eve reader registry/*/*/*",
        &format!("update access_key: {}", key_of("reader")),
    ] {
        let found = rows(&server, description);
        assert_eq!(found.len(), 1, "{description}");
        assert_eq!(found[0]["function"], "Access control");
    }
    assert_eq!(
        rows(&server, "create user: reader").len(),
        1,
        "what was there at the first start is recorded once"
    );
}

#[test]
fn a_change_that_is_killed_on_the_way_is_recorded_once() {
    let estate = Estate::new();
    let mut server = estate.serve();
    estate.test_dir.access(&["user", "add", "eve", "--id", "eve"]);
    server.kill_9();
    // As if the server had died between recording the change and remembering that it did.
    std::fs::remove_file(estate.test_dir.data().join("access.recorded.toml")).unwrap();
    let server = estate.serve();
    let first = rows(&server, "create user: eve").len();
    drop(server);
    std::fs::remove_file(estate.test_dir.data().join("access.recorded.toml")).unwrap();
    let server = estate.serve();
    assert_eq!(rows(&server, "create user: eve").len(), first, "the same change, once");
}

#[test]
fn other_settings_are_recorded() {
    let estate = Estate::new();
    drop(estate.serve());
    let path = estate.test_dir.path("daybook.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("public_url = \"https://audit.example.com\"\n{config}")).unwrap();
    drop(estate.serve());
    let server = estate.serve();
    let found = server.own_rows(r#","operate_name":"daybook""#);
    assert_eq!(found.len(), 2, "the first settings, and the other ones: {found:?}");
}

#[test]
fn policies_and_downloads_are_recorded_before_they_are_answered() {
    let estate = Estate::new();
    let mut server = estate.serve();
    server.take("database", include_str!("transcripts/database.ndjson"));
    let instance = format!("/v3/{PROJECT}/instances/{DATABASE}");
    let policy = format!("{instance}/audit-log-policy");
    assert_eq!(server.of("admin", "PUT", &policy, r#"{"keep_days":0}"#).status, 200);
    let files = server.of(
        "reader",
        "GET",
        &format!(
            "{instance}/audit-logs?start_time=2019-11-06T00:00:00Z&end_time=2019-11-07T00:00:00Z"
        ),
        "",
    );
    let id = files.json()["audit_logs"][0]["id"].as_str().unwrap().to_owned();
    let links = server.of(
        "reader",
        "POST",
        &format!("{instance}/audit-log-link"),
        &format!(r#"{{"ids":["{id}"]}}"#),
    );
    let link = links.json()["links"][0].as_str().unwrap().to_owned();
    let target = link.split_once(&server.address.to_string()).unwrap().1.to_owned();
    assert_eq!(server.request("GET", &target, &[], b"").status, 200);
    server.kill_9();
    let server = estate.serve();
    assert_eq!(members(&rows(&server, "listed for 0 days")[0])[..2], ["admin", "Update"]);
    assert_eq!(
        members(&rows(&server, "links to 1 audit log files")[0])[..2],
        ["reader", "Download"]
    );
    assert_eq!(rows(&server, "bytes of database/").len(), 1, "the download itself");
    let answer = server.of("reader", "GET", &policy, "").json();
    assert_eq!(answer["keep_days"], 0, "the policy is what the log says");
}

/// Whoever reads the own trail drowns in their own reading, unless it is left out.
#[test]
fn own_reading_is_left_out_of_answers_that_did_not_request_it() {
    let estate = Estate::new();
    estate.test_dir.access(&["grant", "admin", "auditor", "dbaudit/daybook/*/*"]);
    let server = estate.serve();
    server.take("registry", include_str!("transcripts/registry.ndjson"));
    let read = |user: &str, path: &str| {
        let answer = server.of(user, "GET", &format!("/api/v1/{path}"), "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    };
    for _ in 0..3 {
        read("admin", "events?limit=0");
    }
    let numbers = |path: &str| {
        let answer = read("admin", path);
        let number = |name: &str| answer[name].as_u64().unwrap();
        (number("total"), number("own_left_out"), number("tree_size"))
    };
    let others = read("admin", "events?limit=0&-source=daybook")["total"].as_u64().unwrap();
    assert!(others > 0);
    for path in ["events?limit=0", "histogram", "facets", "events?limit=0&as_of=6"] {
        let (total, left_out, size) = numbers(path);
        assert!(total <= others && left_out > 0, "{path}: {total} of {others}, {left_out}");
        assert_eq!(total + left_out, size, "{path}: what is left out is counted");
    }
    // Whoever names the trail or its source gets it, and so does whoever requests it.
    for path in [
        "events?limit=0&own=true",
        "events?limit=0&trail=*/*/*/*",
        "facets?own=true",
        "histogram?own=true",
    ] {
        let (total, left_out, size) = numbers(path);
        assert_eq!((total, left_out), (size, 0), "{path}");
    }
    let (total, left_out, _) = numbers("events?limit=0&source=daybook");
    assert!(total > 10 && left_out == 0);
    assert_eq!(numbers("events?limit=0&trail=registry/*/*/*").1, 0, "it is about others alone");
    // A cursor is of a question with or without it.
    let page = read("admin", "events?limit=1&own=true");
    let cursor = page["next"].as_str().unwrap();
    let target = format!("/api/v1/events?limit=1&cursor={cursor}");
    assert_eq!(server.of("admin", "GET", &target, "").status, 400);
    assert_eq!(server.of("admin", "GET", &format!("{target}&own=true"), "").status, 200);
    assert_eq!(server.of("admin", "GET", "/api/v1/events?own=perhaps", "").status, 400);
    // For whoever may not read the trail it does not exist.
    assert_eq!(read("reader", "events?limit=0")["own_left_out"], 0);
    // An export is the same result, and its question says so.
    let manifest = read("admin", "export/manifest?format=ndjson");
    assert!(manifest.to_string().contains("-trail:dbaudit/"), "{manifest}");
}
