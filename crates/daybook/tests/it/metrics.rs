//! Metrics of the whole server, and its limits.

use std::collections::BTreeMap;

use crate::harness::{
    ACCESS_KEY, Daybook, OPERATOR_KEY, TestDir, becomes_true, notification, workspace,
};
use crate::sources::read_metrics;

struct Metrics(BTreeMap<(String, String), String>);

impl Metrics {
    fn of(server: &Daybook) -> Metrics {
        Metrics(read_metrics(&server.signed_by(OPERATOR_KEY, "GET", "/metrics", b"")))
    }

    /// A sample; 0 where there is none.
    fn get(&self, name: &str, labels: &str) -> f64 {
        let sample = self.0.get(&(name.to_owned(), labels.to_owned()));
        sample.map_or(0.0, |value| value.parse().unwrap())
    }
}

fn push(number: u32) -> String {
    let digest = format!("sha256:{number:064x}");
    notification(&format!("n{number}"), "push", &digest, "2026-11-20T17:49:51Z")
}

#[test]
fn metrics_move_with_what_happens() {
    let test_dir = TestDir::with_settings("[limits]\nflush_events = 8\n");
    let server = test_dir.serve();
    let before = Metrics::of(&server);
    for number in 0..40 {
        assert_eq!(server.send("hub", push(number)).status, 200);
    }
    assert_eq!(server.send("hub", push(1)).status, 200, "sent again");
    assert_eq!(server.request("GET", "/nowhere", &[], b"").status, 404);
    let project = crate::harness::PROJECT;
    let target = format!("/v2/{project}/instances/hub/audit-logs?operation=pull");
    assert_eq!(server.signed_by(ACCESS_KEY, "GET", &target, b"").status, 200);
    becomes_true(|| Metrics::of(&server).get("daybook_segments", "") > 0.0);
    becomes_true(|| {
        let now = Metrics::of(&server);
        now.get("daybook_checkpoint_events", "") == now.get("daybook_events", "")
    });
    let after = Metrics::of(&server);
    let grew = |name: &str, labels: &str| after.get(name, labels) - before.get(name, labels);
    assert!(grew("daybook_recorded_events_total", "") >= 40.0);
    assert_eq!(grew("daybook_duplicates_total", ""), 1.0);
    let events = after.get("daybook_events", "");
    assert_eq!(
        after.get("daybook_flushed_events", "") + after.get("daybook_unflushed_events", ""),
        events
    );
    assert_eq!(
        after.get("daybook_commits_total", ""),
        after.get("daybook_commit_requests_count", "")
    );
    assert_eq!(
        after.get("daybook_commit_events_sum", ""),
        after.get("daybook_recorded_events_total", "")
    );
    for (name, labels) in [
        ("daybook_journal_written_bytes_total", ""),
        ("daybook_journal_sync_seconds_count", ""),
        ("daybook_journal_sync_seconds_sum", ""),
        ("daybook_flushes_total", ""),
        ("daybook_segment_bytes", ""),
        ("daybook_http_responses_total", "class=\"2xx\""),
        ("daybook_http_responses_total", "class=\"4xx\""),
        ("daybook_http_request_seconds_count", "endpoint=\"intake\""),
        ("daybook_http_request_seconds_sum", "endpoint=\"swr.ListAuditLogs\""),
        ("process_cpu_seconds_total", ""),
    ] {
        assert!(grew(name, labels) > 0.0, "{name} {labels}");
    }
    assert_eq!(grew("daybook_http_request_seconds_count", "endpoint=\"intake\""), 41.0);
    for (name, labels) in [
        ("daybook_checkpoint_signed_timestamp_seconds", ""),
        ("daybook_checkpoint_bytes", ""),
        ("daybook_disk_bytes", "part=\"journal\""),
        ("daybook_disk_bytes", "part=\"segments\""),
        ("daybook_disk_free_bytes", ""),
        ("process_resident_memory_bytes", ""),
        ("process_open_fds", ""),
        ("process_max_fds", ""),
    ] {
        assert!(after.get(name, labels) > 0.0, "{name} {labels}");
    }
    // Metrics count from the start of the server, what there is stays.
    assert_eq!(server.stop(), Some(0));
    let server = test_dir.serve();
    let again = Metrics::of(&server);
    assert!(again.get("daybook_recorded_events_total", "") < 40.0);
    assert!(again.get("daybook_events", "") >= events);
}

#[test]
fn callers_may_know_the_limits_in_force() {
    let test_dir = TestDir::with_settings("[limits]\nuri_bytes_max = 4321\n");
    let server = test_dir.serve();
    assert_eq!(server.request("GET", "/api/v1/limits", &[], b"").status, 401);
    let answer = server.signed_get("/api/v1/limits");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let limits = answer.json()["limits"].as_array().unwrap().clone();
    let uri = limits.iter().find(|limit| limit["name"] == "uri_bytes_max").unwrap();
    assert_eq!((&uri["value"], &uri["unit"]), (&4321.into(), &"bytes".into()));
    assert_eq!(uri["what"], "Bytes of path and query; beyond, 414.");
    let beyond = "x".repeat(4400);
    assert_eq!(server.signed_get(&format!("/api/v1/limits?{beyond}")).status, 414);
}

/// Every name of a metric in a text.
fn names_in(text: &str) -> std::collections::BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_name = |word: &&str| word.starts_with("daybook_") || word.starts_with("process_");
    words.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn documents_and_alarms_name_the_metrics_there_are() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let page = server.signed_by(OPERATOR_KEY, "GET", "/metrics", b"").text();
    let document =
        |name: &str| std::fs::read_to_string(workspace().join("docs").join(name)).unwrap();
    let listed = names_in(&document("api/metrics.md"));
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for family in families {
        // Counts of sources have a row together, and a list of their own.
        let is_count = family.starts_with("daybook_source_") && family.ends_with("_total");
        assert!(is_count || listed.contains(family), "docs/api/metrics.md lacks {family}");
    }
    let there_are = names_in(&page);
    let operations = document("operations.md");
    let (_, alarms) = operations.split_once("```yaml\n").unwrap();
    let (alarms, table) = alarms.split_once("```").unwrap();
    for name in names_in(alarms) {
        assert!(there_are.contains(name.trim_end_matches("_bucket")), "an alarm is about {name}");
    }
    let alerts = alarms.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        assert!(table.contains(&format!("| `{alert}` |")), "{alert} is not explained");
    }
}
