//! Every route with every kind of credential. What is expected of a route stands in
//! `data/rights.toml`; a route without a row fails.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::estate::{
    APP_CODE, DATABASE, DBAUDIT, Estate, HCSO_CODE, LATER, OTHER_PROJECT, REGISTRY, REPOSITORY,
    RIVALS_PROJECT, SECRET_OF_ALL, TENANT, key_of,
};
use crate::harness::{Answer, Daybook, PROJECT, TOKEN, becomes_true, now, run, sign, text};

#[derive(Deserialize)]
struct Table {
    route: Vec<Row>,
}

/// What is expected of one route.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    route: String,
    /// Who is let in: `anyone`, `link`, `source`, `caller`, `trail` (a caller with the right on the
    /// trail), `token` (the same, by token alone).
    kind: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    body: String,
    /// The answer to whoever may.
    good: u16,
    /// The answer where the project is not the caller's, and where it is but not the right.
    #[serde(default)]
    foreign: u16,
    #[serde(default)]
    forbidden: u16,
    /// The answer where the trail does not exist for the caller.
    #[serde(default)]
    hidden: u16,
    /// Whether the path names no trail, so that a caller without the right gets an empty list.
    #[serde(default)]
    is_listing: bool,
}

/// Who a credential shows, if it shows anyone.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Shows {
    Nobody,
    User(&'static str),
    /// A user with a credential that is good for another project alone.
    Elsewhere(&'static str),
}

/// Where the credential stands.
#[derive(Clone, Copy, PartialEq, Debug)]
enum By {
    None,
    Signature,
    Token,
}

struct Column {
    name: &'static str,
    by: By,
    shows: Shows,
}

// The exact ends of the window are tested beside the verifier; here a slow machine has half a
// minute.
const COLUMNS: [Column; 28] = [
    Column { name: "none", by: By::None, shows: Shows::Nobody },
    Column { name: "malformed signature", by: By::Signature, shows: Shows::Nobody },
    Column { name: "unknown access key", by: By::Signature, shows: Shows::Nobody },
    Column { name: "wrong secret", by: By::Signature, shows: Shows::Nobody },
    Column { name: "14:30 ahead", by: By::Signature, shows: Shows::User("reader") },
    Column { name: "14:30 behind", by: By::Signature, shows: Shows::User("reader") },
    Column { name: "15:30 ahead", by: By::Signature, shows: Shows::Nobody },
    Column { name: "15:30 behind", by: By::Signature, shows: Shows::Nobody },
    Column { name: "body changed", by: By::Signature, shows: Shows::Nobody },
    Column { name: "query changed", by: By::Signature, shows: Shows::Nobody },
    Column { name: "header changed", by: By::Signature, shows: Shows::Nobody },
    Column { name: "disabled key", by: By::Signature, shows: Shows::Nobody },
    Column { name: "key of a removed user", by: By::Signature, shows: Shows::Nobody },
    Column { name: "key of a disabled user", by: By::Signature, shows: Shows::Nobody },
    Column { name: "reader", by: By::Signature, shows: Shows::User("reader") },
    Column { name: "writer", by: By::Signature, shows: Shows::User("writer") },
    Column { name: "auditor", by: By::Signature, shows: Shows::User("auditor") },
    Column { name: "admin", by: By::Signature, shows: Shows::User("admin") },
    Column { name: "puller", by: By::Signature, shows: Shows::User("puller") },
    Column { name: "rival", by: By::Signature, shows: Shows::User("rival") },
    Column { name: "nobody", by: By::Signature, shows: Shows::User("nobody") },
    Column { name: "signature and a wrong token", by: By::Signature, shows: Shows::User("reader") },
    Column { name: "token of reader", by: By::Token, shows: Shows::User("reader") },
    Column { name: "token of admin", by: By::Token, shows: Shows::User("admin") },
    Column { name: "token of rival", by: By::Token, shows: Shows::User("rival") },
    Column { name: "token for another project", by: By::Token, shows: Shows::Elsewhere("admin") },
    Column { name: "expired token", by: By::Token, shows: Shows::Nobody },
    Column { name: "revoked token", by: By::Token, shows: Shows::Nobody },
];

#[test]
fn every_route_times_every_credential() {
    let table: Table = toml::from_str(include_str!("data/rights.toml")).unwrap();
    let mut rows: BTreeMap<String, Row> =
        table.route.into_iter().map(|row| (row.route.clone(), row)).collect();
    let estate = Estate::with_settings("[limits]\nrefusals_counted_s = 1");
    let server = set_up(&estate);
    let (mut cells, mut refused, mut wrong) = (0, 0, Vec::new());
    for line in text(&run(&["routes"]).stdout).lines() {
        let [method, path, _, needs] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let route = format!("{method} {path}");
        let row =
            rows.remove(&route).unwrap_or_else(|| panic!("{route} has no row in data/rights.toml"));
        for column in &COLUMNS {
            let events = server.events();
            let answer = ask(&server, &row, column, method, &path_of(path));
            let expected = expected(&row, column, needs);
            if answer.status != expected {
                wrong.push(format!(
                    "{route} with {}: {expected} expected: {}",
                    column.name,
                    answer.text()
                ));
            }
            cells += 1;
            if expected >= 400 {
                if server.events() != events {
                    wrong.push(format!("{route} with {}: something was recorded", column.name));
                }
                let is_recorded =
                    !["anyone", "source"].contains(&row.kind.as_str()) || needs == "-";
                refused += u64::from(is_recorded && row.kind != "absent");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows.is_empty(), "rows without a route: {:?}", rows.keys());
    assert_refusals_are_recorded(&server, refused);
    println!("{cells} cells, {refused} of them refused and recorded");
}

/// Puts down the tokens and users that the columns speak of.
fn set_up(estate: &Estate) -> Daybook {
    let test_dir = &estate.test_dir;
    let secret = test_dir.path("secret");
    for user in ["removed", "disabled"] {
        test_dir.access(&["user", "add", user, "--id", user]);
        test_dir.access(&["grant", user, "admin", "*/*/*/*"]);
        test_dir.access(&[
            "key",
            "add",
            user,
            "--id",
            &key_of(user),
            "--secret-file",
            secret.to_str().unwrap(),
        ]);
    }
    test_dir.access(&[
        "key",
        "add",
        "admin",
        "--id",
        "KEYDISABLED",
        "--secret-file",
        secret.to_str().unwrap(),
    ]);
    test_dir.access(&["key", "disable", "KEYDISABLED"]);
    test_dir.access(&["user", "remove", "removed"]);
    test_dir.access(&["user", "disable", "disabled"]);
    for user in ["reader", "admin", "rival"] {
        estate.lay_down_token(&format!("token of {user}"), user, "", LATER);
    }
    let other = format!("project = \"{OTHER_PROJECT}\"\n");
    estate.lay_down_token("token for another project", "admin", &other, LATER);
    estate.lay_down_token("expired token", "admin", "", &crate::harness::utc_text(now() - 60));
    estate.lay_down_token("revoked token", "auditor", "", LATER);
    test_dir.access(&["token", "revoke", "auditor"]);
    estate.serve()
}

fn path_of(route: &str) -> String {
    route
        .replace("{project_id}", PROJECT)
        .replace("{tenant_id}", TENANT)
        .replace("{module}", "file")
        .replace("{repo}", REPOSITORY)
        .replace("{repo_id}", REPOSITORY)
        .replace("{source}", "artifact")
        .replace("{file_id}", "00")
        .replace("{name}", "name")
        .replace("{*tile}", "0/000.p/1")
        .replace("{index}", "0")
        .replace("{number}", "0")
        .replace(
            "{instance_id}",
            if route.starts_with("/v2/") {
                REGISTRY
            } else if route.starts_with("/v3") {
                DATABASE
            } else {
                DBAUDIT
            },
        )
}

fn ask(server: &Daybook, row: &Row, column: &Column, method: &str, path: &str) -> Answer {
    let target =
        if row.query.is_empty() { path.to_owned() } else { format!("{path}?{}", row.query) };
    let mut body = row.body.clone();
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut sent = target.clone();
    match column.by {
        By::None => {}
        By::Token => headers.push(("X-Auth-Token".to_owned(), column.name.to_owned())),
        By::Signature => {
            headers = signed(server, column.name, method, &target, &body);
            match column.name {
                "body changed" => body.push(' '),
                "query changed" => {
                    sent.push_str(if row.query.is_empty() { "?x=1" } else { "&x=1" })
                }
                "header changed" => headers.push(("Host".to_owned(), "elsewhere".to_owned())),
                _ => {}
            }
        }
    }
    if row.kind == "token" {
        headers.push(("X-APIG-Appcode".to_owned(), APP_CODE.to_owned()));
        headers.push(("x-hcso-appcode".to_owned(), HCSO_CODE.to_owned()));
        headers.push(("x-hcso-domainid".to_owned(), TENANT.to_owned()));
    }
    if row.route == "GET /v3/auth/tokens" {
        headers.push(("X-Subject-Token".to_owned(), column.name.to_owned()));
    }
    let mut client = server.client();
    if let Some(position) = headers.iter().position(|(name, _)| name == "Host") {
        client.host = headers.remove(position).1;
    }
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    client.request(method, &sent, &headers, body.as_bytes()).unwrap()
}

fn signed(
    server: &Daybook,
    column: &str,
    method: &str,
    target: &str,
    body: &str,
) -> Vec<(String, String)> {
    let (key, secret, at) = match column {
        "malformed signature" => {
            return vec![("Authorization".to_owned(), "SDK-HMAC-SHA256 Access=x".to_owned())];
        }
        "unknown access key" => ("UNKNOWN".to_owned(), SECRET_OF_ALL, now()),
        "wrong secret" => (key_of("admin"), "another secret", now()),
        "14:30 ahead" => (key_of("reader"), SECRET_OF_ALL, now() + 870),
        "14:30 behind" => (key_of("reader"), SECRET_OF_ALL, now() - 870),
        "15:30 ahead" => (key_of("reader"), SECRET_OF_ALL, now() + 930),
        "15:30 behind" => (key_of("reader"), SECRET_OF_ALL, now() - 930),
        "disabled key" => ("KEYDISABLED".to_owned(), SECRET_OF_ALL, now()),
        "key of a removed user" => (key_of("removed"), SECRET_OF_ALL, now()),
        "key of a disabled user" => (key_of("disabled"), SECRET_OF_ALL, now()),
        "body changed" | "query changed" | "header changed" => {
            (key_of("admin"), SECRET_OF_ALL, now())
        }
        "signature and a wrong token" => {
            let mut headers = sign(
                server.address,
                &key_of("reader"),
                SECRET_OF_ALL,
                method,
                target,
                body.as_bytes(),
                now(),
            );
            headers.push(("X-Auth-Token".to_owned(), "no token".to_owned()));
            return headers;
        }
        user => (key_of(user), SECRET_OF_ALL, now()),
    };
    sign(server.address, &key, secret, method, target, body.as_bytes(), at)
}

fn expected(row: &Row, column: &Column, needs: &str) -> u16 {
    match row.kind.as_str() {
        "anyone" | "absent" | "link" => return row.good,
        // A source's own token opens it; a user's token does where the user may write.
        "source" => return if column.name == "token of admin" { row.good } else { 401 },
        "token" if column.by != By::Token => return 401,
        _ => {}
    }
    let user = match column.shows {
        Shows::Nobody => return 401,
        Shows::User(user) => user,
        // Identity and the domain's own list are not a project's.
        Shows::Elsewhere(_) if ["caller", "token"].contains(&row.kind.as_str()) => return row.good,
        Shows::Elsewhere(_) => return row.foreign,
    };
    if row.kind == "caller" {
        // Only a token can be looked up.
        let is_about_a_token = row.route == "GET /v3/auth/tokens";
        return if is_about_a_token && column.by != By::Token { 404 } else { row.good };
    }
    let is_read = !["gaussdbformysql:auditlog:operate", "daybook:events:write"].contains(&needs);
    match user {
        "rival" | "nobody" => row.foreign,
        "reader" | "auditor" if is_read => row.good,
        "admin" => row.good,
        "writer" if !is_read && needs == "daybook:events:write" => row.good,
        "puller" if needs == "swr:instance:getAuditLogs" => row.good,
        // Trails that the caller may not read are left out.
        _ if row.kind == "token" => row.good,
        // A listing leaves out what the caller may not list.
        _ if row.is_listing => row.good,
        "puller" if needs != "swr:instance:list" => row.hidden,
        _ => row.forbidden,
    }
}

/// What was refused is in Daybook's record of itself, one by one or counted.
fn assert_refusals_are_recorded(server: &Daybook, refused: u64) {
    becomes_true(|| {
        let rows = server.own_rows(r#","result":"fail""#);
        let one_by_one = rows.len() as u64;
        let counted: u64 = rows
            .iter()
            .filter_map(|row| {
                row["description"]
                    .as_str()?
                    .strip_suffix(" further requests were refused and not recorded one by one")?
                    .parse::<u64>()
                    .ok()
            })
            .map(|count| count - 1)
            .sum();
        one_by_one + counted >= refused
    });
}

#[test]
fn a_trail_that_a_caller_may_not_see_does_not_exist() {
    let estate = Estate::new();
    let server = estate.serve();
    server.take("artifact", r#"{"action":"upload","resource":{"type":"file","name":"a"}}"#);
    server.take("rivals-artifact", r#"{"action":"upload","resource":{"type":"file","name":"a"}}"#);
    server.take("database", r#"{"action":"x"}"#);
    let without_id = |answer: Answer, id: &str| {
        let request_id = answer.headers["x-request-id"].clone();
        let trace_id = answer.json()["trace_id"].as_str().unwrap_or_default().to_owned();
        let text = answer.text().replace(&request_id, "").replace(id, "");
        (answer.status, if trace_id.is_empty() { text } else { text.replace(&trace_id, "") })
    };
    let nothing = "00000000000000000000000000000000in01";
    // `puller` reaches the project, and sees only its registry. What exists is answered like what
    // does not.
    for (there, not_there) in [
        (
            format!("/cloudartifact/v5/{TENANT}/{PROJECT}/file/{REPOSITORY}/audit"),
            format!("/cloudartifact/v5/{TENANT}/{PROJECT}/file/{nothing}/audit"),
        ),
        (
            format!("/v3/{PROJECT}/instances/{DATABASE}/audit-log-policy"),
            format!("/v3/{PROJECT}/instances/{nothing}/audit-log-policy"),
        ),
    ] {
        assert_eq!(
            without_id(server.of("puller", "GET", &there, ""), DATABASE),
            without_id(server.of("puller", "GET", &not_there, ""), nothing),
            "{there}"
        );
    }
    // So is a rival's project, and what is in it.
    for target in [
        format!("/v3/{RIVALS_PROJECT}/instances/{DATABASE}/audit-log-policy"),
        format!("/v2/{RIVALS_PROJECT}/instances/{REGISTRY}/audit-logs?operation=pull"),
    ] {
        let unknown = target.replace(RIVALS_PROJECT, "00000000000000000000000000000000");
        assert_eq!(
            without_id(server.of("admin", "GET", &target, ""), ""),
            without_id(server.of("admin", "GET", &unknown, ""), ""),
            "{target}"
        );
    }
}

#[test]
fn a_writer_sends_with_a_token_of_its_own() {
    let estate = Estate::new();
    estate.lay_down_token("token of writer", "writer", "", LATER);
    estate.lay_down_token("token of reader", "reader", "", LATER);
    let server = estate.serve();
    let send = |source: &str, header: (&str, &str)| {
        server.request("POST", &format!("/intake/{source}"), &[header], br#"{"action":"x"}"#).status
    };
    assert_eq!(send("artifact", ("X-Auth-Token", "token of writer")), 200);
    assert_eq!(send("artifact", ("Authorization", &format!("Bearer {TOKEN}"))), 200);
    assert_eq!(send("artifact", ("X-Auth-Token", "token of reader")), 401);
    assert_eq!(send("rivals-artifact", ("X-Auth-Token", "token of writer")), 401);
    assert_eq!(server.events(), 2);
}

#[test]
fn whoever_has_no_right_on_platforms_is_refused_their_list() {
    let estate = Estate::new();
    estate.lay_down_token("token of puller", "puller", "", LATER);
    estate.lay_down_token("token of writer", "writer", "", LATER);
    estate.lay_down_token("token of reader", "reader", "", LATER);
    let server = estate.serve();
    let ask = |token: &str| {
        let target = "/rest/dataapi/homs/open-api/v1/cloudAuditlog?begin_time=0&end_time=1&page_size=1&offset_value=0";
        let headers = [
            ("x-auth-token", token),
            ("X-APIG-Appcode", APP_CODE),
            ("x-hcso-appcode", HCSO_CODE),
            ("x-hcso-domainid", TENANT),
        ];
        let answer = server.request("GET", target, &headers, b"");
        (answer.status, if answer.status == 200 { String::new() } else { answer.code() })
    };
    assert_eq!(ask("token of puller"), (403, "APIG.0304".to_owned()));
    assert_eq!(ask("token of writer"), (403, "APIG.0304".to_owned()));
    assert_eq!(ask("token of reader"), (200, String::new()));
}
