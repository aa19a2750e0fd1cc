//! Twelve things in the vendor's protocols that break a naive server, one test each.

use crate::estate::{
    DATABASE, DBAUDIT, Estate, LATER, REGISTRY, REPOSITORY, SECRET_OF_ALL, TENANT, key_of,
};
use crate::harness::{Daybook, PROJECT, now, sdk_date};
use crate::signer::{Signed, authorization};

fn set_up() -> (Estate, Daybook) {
    let estate = Estate::new();
    estate.lay_down_token("token of reader", "reader", "", LATER);
    let server = estate.serve();
    server.take("registry", include_str!("transcripts/registry.ndjson"));
    server.take("artifact", include_str!("transcripts/artifact.ndjson"));
    server.take("database", include_str!("transcripts/database.ndjson"));
    server.take("dbaudit", include_str!("transcripts/dbaudit.ndjson"));
    (estate, server)
}

fn swr(query: &str) -> String {
    format!("/v2/{PROJECT}/instances/{REGISTRY}/audit-logs?{query}")
}

fn taurusdb(zone: &str) -> String {
    format!(
        "/v3/{PROJECT}/instances/{DATABASE}/audit-logs?start_time=2019-11-06T00:00:00{zone}&end_time=2019-11-07T00:00:00{zone}"
    )
}

#[test]
fn trap_01_the_size_of_a_file_is_an_integer() {
    let (_estate, server) = set_up();
    let answer = server.of("reader", "GET", &taurusdb("%2B0800"), "");
    let files = answer.json()["audit_logs"].as_array().unwrap().clone();
    assert!(
        !files.is_empty() && files.iter().all(|file| file["size"].is_u64()),
        "{}",
        answer.text()
    );
    // As text too: `1.0` is a float to the Go SDK.
    assert!(answer.text().contains("\"size\":1,"), "{}", answer.text());
}

#[test]
fn trap_02_the_plus_of_an_offset_arrives_in_three_forms() {
    let (_estate, server) = set_up();
    let answers =
        ["%2B0800", "+0800", "%200800"].map(|zone| server.of("reader", "GET", &taurusdb(zone), ""));
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (200, &answers[0].body), "{}", answer.text());
        assert_eq!(answer.json()["audit_logs"][0]["begin_time"], "2019-11-06T09:03:34+0800");
    }
}

#[test]
fn trap_03_no_header_but_the_date_must_be_signed() {
    let (_estate, server) = set_up();
    let target = swr("operation=pull");
    let status = |headers: &[(&str, &str)]| {
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let signed = Signed { method: "GET", target: &target, headers: &headers, body: b"" };
        let shown = authorization(&key_of("reader"), SECRET_OF_ALL, &signed);
        let mut sent: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        sent.push(("Authorization", &shown));
        server.request("GET", &target, &sent, b"").status
    };
    let date = sdk_date(now());
    assert_eq!(status(&[("X-Sdk-Date", &date)]), 200, "as Go's identity call");
    let go =
        [("User-Agent", "huaweicloud-usdk-go/3.0"), ("X-Project-Id", "p"), ("X-Sdk-Date", &date)];
    assert_eq!(status(&go), 200, "as Go");
}

#[test]
fn trap_04_errors_have_code_and_text_at_the_top_level() {
    let (_estate, server) = set_up();
    for (method, target, body) in [
        ("GET", swr("operation=update"), ""),
        ("GET", format!("/cloudartifact/v5/{TENANT}/{PROJECT}/none/{REPOSITORY}/audit"), ""),
        ("GET", taurusdb("x"), ""),
        ("POST", format!("/v1/{PROJECT}/audit/{DBAUDIT}/operation-log"), "[]"),
        ("GET", "/rest/dataapi/homs/open-api/v1/cloudAuditlog".to_owned(), ""),
        ("GET", "/nowhere".to_owned(), ""),
    ] {
        let body = server.of("reader", method, &target, body).json();
        for member in ["error_code", "error_msg"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{target}: {body}");
        }
    }
    let swr = server.of("reader", "GET", &swr("operation=update"), "").json();
    assert_eq!(swr["errors"][0]["errorCode"], swr["error_code"], "and where older clients look");
}

#[test]
fn trap_05_the_request_id_is_in_the_header() {
    let (_estate, server) = set_up();
    for target in [swr("operation=pull"), swr("operation=x"), taurusdb("Z"), "/nowhere".to_owned()]
    {
        let id = server.of("reader", "GET", &target, "").headers["x-request-id"].clone();
        let is_id = id.len() == 32 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        assert!(is_id, "{target}: {id}");
    }
}

#[test]
fn trap_06_nothing_is_redirected() {
    let (_estate, server) = set_up();
    let slash = |target: String| target.replace('?', "/?");
    for target in [slash(swr("operation=pull")), slash(taurusdb("Z"))] {
        let answer = server.of("reader", "GET", &target, "");
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    }
    for target in ["/", "//v3/projects", "/v2", "/v3/projects//", "/audit-log-files/x/y"] {
        let answer = server.of("reader", "GET", target, "");
        assert!(!(300..400).contains(&answer.status), "{target}: {}", answer.status);
        assert!(!answer.headers.contains_key("location"), "{target}");
    }
}

#[test]
fn trap_07_required_parameters_may_be_missing_or_bare() {
    let (_estate, server) = set_up();
    for query in ["", "operation", "operation=", "limit=10&offset=0&operation"] {
        let answer = server.of("reader", "GET", &swr(query), "");
        assert_eq!((answer.status, answer.code().as_str()), (400, "SVCSTG.SWR.4001014"), "{query}");
    }
    for query in ["operation=pull", "operation=pull&limit&offset", "operation=pull&limit=&offset="]
    {
        assert_eq!(server.of("reader", "GET", &swr(query), "").status, 200, "{query}");
    }
    let bare = format!("/v3/{PROJECT}/instances/{DATABASE}/audit-logs");
    assert_eq!(server.of("reader", "GET", &bare, "").code(), "DBS.280001");
}

#[test]
fn trap_08_every_api_is_at_the_root_of_one_address() {
    let (_estate, server) = set_up();
    for (method, target, body) in [
        ("GET", swr("operation=pull"), ""),
        ("GET", format!("/cloudartifact/v5/{TENANT}/{PROJECT}/file/{REPOSITORY}/audit"), ""),
        ("GET", taurusdb("Z"), ""),
        (
            "POST",
            format!("/v1/{PROJECT}/audit/{DBAUDIT}/operation-log"),
            r#"{"time":{},"page":1,"size":1}"#,
        ),
        ("GET", "/v3/projects".to_owned(), ""),
    ] {
        assert_eq!(server.of("reader", method, &target, body).status, 200, "{target}");
    }
    let platform = server.of("reader", "GET", "/rest/dataapi/homs/open-api/v1/cloudAuditlog", "");
    assert_eq!(
        (platform.status, platform.code().as_str()),
        (401, "APIG.0301"),
        "there, and by token alone"
    );
}

#[test]
fn trap_09_pages_are_texts_or_numbers_and_no_time_is_all_time() {
    let (_estate, server) = set_up();
    let target = format!("/v1/{PROJECT}/audit/{DBAUDIT}/operation-log");
    let bodies = [
        r#"{"time":{},"page":"1","size":"100"}"#,
        r#"{"time":{},"page":1,"size":100}"#,
        "{\"page\":1,\"size\":100,\"time\":{}}\n",
    ];
    let answers = bodies.map(|body| server.of("reader", "POST", &target, body));
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (200, &answers[0].body));
        assert_eq!(answer.json()["total_num"], 4);
    }
}

#[test]
fn trap_10_lists_are_there_when_they_are_empty_and_totals_are_true() {
    let (_estate, server) = set_up();
    let log = format!("/v1/{PROJECT}/audit/{DBAUDIT}/operation-log");
    for (method, target, body, list, total) in [
        ("GET", swr("operation=pull&limit=100&offset=100"), "", "audit_logs", ("total", 2)),
        ("GET", taurusdb("Z") + "&offset=100", "", "audit_logs", ("total_count", 2)),
        ("POST", log, r#"{"time":{},"page":100,"size":100}"#, "operate_log", ("total_num", 4)),
    ] {
        let answer = server.of("reader", method, &target, body);
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        let body = answer.json();
        assert_eq!(
            (&body[list], &body[total.0]),
            (&serde_json::json!([]), &serde_json::json!(total.1))
        );
    }
    let files =
        format!("/cloudartifact/v5/{TENANT}/{PROJECT}/file/{REPOSITORY}/audit?page_num=100");
    let result = server.of("reader", "GET", &files, "").json()["result"].clone();
    assert_eq!(result, serde_json::json!({"auditInfoList": [], "total": 2}));
}

#[test]
fn trap_11_a_region_names_exactly_one_project() {
    let (_estate, server) = set_up();
    let answer = server.of("reader", "GET", "/v3/projects?name=cn-north-4", "").json();
    let arrays = answer.as_object().unwrap().values().filter(|value| value.is_array()).count();
    assert_eq!(arrays, 1, "and no other member is a list");
    let projects = answer["projects"].as_array().unwrap();
    assert_eq!((projects.len(), projects[0]["id"].as_str()), (1, Some(PROJECT)));
}

#[test]
fn trap_12_texts_are_texts_and_numbers_are_numbers() {
    let (_estate, server) = set_up();
    let row =
        server.of("reader", "GET", &swr("operation=pull"), "").json()["audit_logs"][0].clone();
    assert!(row["id"].is_u64(), "{row}");
    let files = format!("/cloudartifact/v5/{TENANT}/{PROJECT}/file/{REPOSITORY}/audit");
    let row = server.of("reader", "GET", &files, "").json()["result"]["auditInfoList"][0].clone();
    assert!(row["id"].is_string() && row["time"].is_string(), "{row}");
}
