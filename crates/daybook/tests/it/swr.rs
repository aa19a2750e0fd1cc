//! `ListAuditLogs` on the wire: every member, every error, stable pages.

use crate::harness::{
    ACCESS_KEY, Daybook, OWN_AT_START, PROJECT, SECRET, TestDir, notification, now, sign,
};

fn target(query: &str) -> String {
    format!("/v2/{PROJECT}/instances/hub/audit-logs?{query}")
}

/// Pulls numbered 0 and up, one second apart.
fn pulls(server: &Daybook, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let at = format!("2026-11-20T17:{:02}:{:02}.987654321+08:00", number / 60, number % 60);
        assert_eq!(
            server
                .send(
                    "hub",
                    notification(
                        &format!("p{number}"),
                        "pull",
                        &format!("sha256:{number:064x}"),
                        &at
                    )
                )
                .status,
            200
        );
    }
}

#[test]
fn a_row_has_the_members_of_the_page_in_its_order() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    pulls(&server, 0..1);
    let answer = server.signed_get(&target("operation=pull"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-daybook-tree-size"], (OWN_AT_START + 1).to_string());
    let expected = format!(
        r#"{{"audit_logs":[{{"id":1,"op_time":"2026-11-20T09:00:00.987Z","operation":"pull","resource":"library/ubuntu:sha256:{:064x}","resource_type":"artifact","username":"alice"}}],"total":1}}"#,
        0
    );
    assert_eq!(answer.text(), expected);
}

#[test]
fn verbs_are_the_three_of_the_page() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let digest = "sha256:aa";
    let at = |second: u32| format!("2026-11-20T17:00:{second:02}Z");
    server.send("hub", notification("1", "push", digest, &at(1)));
    server.send("hub", notification("2", "pull", digest, &at(2)));
    server.send("hub", notification("3", "pull", digest, &at(3)).replace("\"GET\"", "\"HEAD\""));
    server.send("hub", notification("4", "mount", digest, &at(4)));
    server.send(
        "hub",
        notification("5", "pull", digest, &at(5))
            .replace("application/vnd.oci.image.manifest.v1+json", "application/octet-stream"),
    );
    server.send("hub", notification("6", "delete", "", &at(6)).replace("\"alice\"", "\"\""));
    for (operation, expected) in [
        ("create", vec![(1, "artifact", "library/ubuntu:sha256:aa", "alice")]),
        ("pull", vec![(2, "artifact", "library/ubuntu:sha256:aa", "alice")]),
        // The HEAD request is not recorded, so the sixth notification is the fifth event.
        ("delete", vec![(5, "tag", "library/ubuntu:24.04", "anonymous")]),
    ] {
        let answer = server.signed_get(&target(&format!("operation={operation}"))).json();
        assert_eq!(answer["total"], expected.len());
        let rows: Vec<_> = answer["audit_logs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                assert_eq!(row["operation"], operation);
                let text = |name: &str| row[name].as_str().unwrap().to_owned();
                (
                    row["id"].as_u64().unwrap(),
                    text("resource_type"),
                    text("resource"),
                    text("username"),
                )
            })
            .collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(id, kind, resource, user)| {
                (id, kind.to_owned(), resource.to_owned(), user.to_owned())
            })
            .collect();
        assert_eq!(rows, expected, "{operation}");
    }
}

#[test]
fn pages_are_newest_first_and_exact() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    pulls(&server, 0..23);
    let page = |query: &str| {
        let answer = server.signed_get(&target(query)).json();
        let ids: Vec<u64> = answer["audit_logs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_u64().unwrap())
            .collect();
        (ids, answer["total"].as_u64().unwrap())
    };
    assert_eq!(page("operation=pull"), ((14..=23).rev().collect(), 23));
    assert_eq!(page("operation=pull&limit=100"), ((1..=23).rev().collect(), 23));
    assert_eq!(page("limit=10&offset=20&operation=pull"), (vec![3, 2, 1], 23));
    assert_eq!(
        page("operation=pull&offset=30&limit=10"),
        (vec![], 23),
        "past the end: empty, true total"
    );
    assert_eq!(page("operation=create"), (vec![], 0));
}

#[test]
fn pages_do_not_move_with_what_arrives() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    pulls(&server, 0..25);
    let ids = |offset: u32| -> Vec<u64> {
        let answer =
            server.signed_get(&target(&format!("operation=pull&limit=10&offset={offset}"))).json();
        answer["audit_logs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_u64().unwrap())
            .collect()
    };
    let mut paged = ids(0);
    pulls(&server, 25..32);
    paged.extend(ids(10));
    pulls(&server, 32..37);
    paged.extend(ids(20));
    assert_eq!(paged, (1..=25).rev().collect::<Vec<u64>>(), "none twice, none missing");
    assert_eq!(ids(0), (28..=37).rev().collect::<Vec<u64>>(), "a new first page has what arrived");
}

#[test]
fn errors_have_the_dual_form() {
    let test_dir = TestDir::new();
    test_dir.access(&["project", "add", "other", "--tenant", "rival", "--id", "rivals-project"]);
    let server = test_dir.serve();
    let hub = |query: &str| target(query);
    let other = |project: &str, instance: &str| {
        format!("/v2/{project}/instances/{instance}/audit-logs?operation=pull")
    };
    for (target, status, code, message) in [
        (hub(""), 400, "SVCSTG.SWR.4001014", "Mandatory parameters must be configured."),
        (hub("operation=update"), 400, "SVCSTG.SWR.4001025", "Invalid parameters."),
        (other(PROJECT, "nowhere"), 404, "SVCSTG.SWR.4040083", "The instance does not exist."),
        (other("nobodys", "hub"), 403, "SVCSTG.SWR.4030170", "Insufficient permissions"),
        (other("rivals-project", "hub"), 403, "SVCSTG.SWR.4030170", "Insufficient permissions"),
        (other("%7Bproject_id%7D", "hub"), 403, "SVCSTG.SWR.4030170", "Insufficient permissions"),
    ] {
        let answer = server.signed_get(&target);
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        let body = answer.json();
        let id = &answer.headers["x-request-id"];
        assert_eq!(
            (body["error_code"].as_str(), body["error_msg"].as_str()),
            (Some(code), Some(message)),
            "{target}"
        );
        assert_eq!(body["request_id"].as_str(), Some(id.as_str()));
        assert_eq!(body["errors"][0]["errorCode"].as_str(), Some(code));
        assert_eq!(body["errors"][0]["errorMessage"].as_str(), Some(message));
        assert_eq!(body["errors"][0]["detail"].as_str(), Some(""));
        assert_eq!(body["details"][0]["error_code"].as_str(), Some(code));
        assert_eq!(body["details"][0]["error_msg"].as_str(), Some(message));
        for test_dir in [
            &body["encoded_authorization_message"],
            &body["errors"][0]["encoded_authorization_message"],
        ] {
            assert_eq!(
                test_dir.is_string(),
                status == 403,
                "{target}: only where a right is missing"
            );
        }
    }
}

#[test]
fn checks_come_in_the_documented_order() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    // Everything wrong at once, then one thing after another put right.
    let wrong = "/v2/nobodys/instances/nowhere/audit-logs?limit=0";
    assert_eq!(server.request("GET", wrong, &[], b"").status, 401);
    assert_eq!(server.signed_get(wrong).status, 403);
    assert_eq!(
        server.signed_get(&format!("/v2/{PROJECT}/instances/nowhere/audit-logs?limit=0")).status,
        404
    );
    assert_eq!(server.signed_get(&target("limit=0")).status, 400);
    assert_eq!(server.signed_get(&target("operation=pull")).status, 200);
}

#[test]
fn rights_are_decided_on_the_path_alone() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let target = "/v2/nobodys/instances/hub/audit-logs?operation=pull";
    let mut signed = sign(server.address, ACCESS_KEY, SECRET, "GET", target, b"", now());
    signed.push(("X-Project-Id".to_owned(), PROJECT.to_owned()));
    let headers: Vec<(&str, &str)> =
        signed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(server.request("GET", target, &headers, b"").status, 403);
}

#[test]
fn paths_take_a_slash_at_the_end_and_are_never_redirected() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let with_slash = format!("/v2/{PROJECT}/instances/hub/audit-logs/?operation=pull");
    assert_eq!(server.signed_get(&with_slash).status, 200);
    for (method, target, message) in [
        ("GET", "/", "The API does not exist or has not been published in the environment"),
        ("GET", "/v2", "The API does not exist or has not been published in the environment"),
        (
            "GET",
            "/V2/p/instances/i/audit-logs",
            "The API does not exist or has not been published in the environment",
        ),
        ("POST", "/v2/p/instances/i/audit-logs", "The API does not exist"),
        ("DELETE", "/v3/projects", "The API does not exist"),
    ] {
        let answer = server.request(method, target, &[], b"");
        assert_eq!((answer.status, answer.code().as_str()), (404, "APIGW.0101"), "{target}");
        assert_eq!(answer.json()["error_msg"], message, "{method} {target}");
        assert!(!answer.headers.contains_key("location"));
    }
}

#[test]
fn projects_are_found_by_name() {
    let test_dir = TestDir::new();
    test_dir.access(&["project", "add", "ap-2", "--tenant", "acme", "--id", "second"]);
    test_dir.access(&["project", "add", "cn-north-4", "--tenant", "rival", "--id", "third"]);
    let server = test_dir.serve();
    let ids = |target: &str| -> Vec<String> {
        let answer = server.signed_get(target);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        let arrays: Vec<_> =
            body.as_object().unwrap().values().filter(|value| value.is_array()).collect();
        assert_eq!(arrays.len(), 1, "Terraform takes the first array it finds");
        body["projects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|project| project["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        ids("/v3/projects?name=cn-north-4"),
        [PROJECT],
        "another tenant's project of that name does not exist"
    );
    assert_eq!(ids("/v3/projects?name=nowhere"), Vec::<String>::new());
    assert_eq!(ids("/v3/projects"), [PROJECT, "second"]);
    let one = &server.signed_get("/v3/projects?name=ap-2").json()["projects"][0];
    assert_eq!(
        *one,
        serde_json::json!({
            "id": "second", "name": "ap-2", "domain_id": "acme", "parent_id": "acme", "is_domain": false, "enabled": true,
            "description": "", "links": { "self": format!("http://{}/v3/projects/second", server.address) }
        })
    );
    assert_eq!(server.request("GET", "/v3/projects", &[], b"").code(), "APIGW.0301");
}

#[test]
fn a_missing_operation_lists_all_where_configured() {
    let test_dir = TestDir::with_settings("[swr]\noperation_may_be_absent = true");
    let server = test_dir.serve();
    server.send("hub", notification("1", "push", "sha256:aa", "2026-11-20T17:00:00Z"));
    server.send("hub", notification("2", "pull", "sha256:aa", "2026-11-20T17:00:01Z"));
    let answer = server.signed_get(&target("")).json();
    let operations: Vec<_> = answer["audit_logs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["operation"].clone())
        .collect();
    assert_eq!(operations, ["pull", "create"]);
}
