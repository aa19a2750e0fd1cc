//! Pages stay stable while events arrive: through all five APIs, by offset and by page number.

use crate::estate::{
    APP_CODE, DATABASE, DBAUDIT, Estate, HCSO_CODE, LATER, REGISTRY, REPOSITORY, TENANT,
};
use crate::harness::{Daybook, PROJECT};

/// Events with the given numbers, one second apart, each at a time of its own.
fn events(extra: &str, numbers: std::ops::Range<u32>) -> String {
    numbers
        .map(|number| {
            let at = format!("2026-11-20T{:02}:{:02}:{:02}Z", number / 3600, number / 60 % 60, number % 60);
            format!("{{\"occurred_at\":\"{at}\",\"actor\":\"a\",\"resource\":{{\"type\":\"file\",\"name\":\"n{number}\"}},{extra}}}\n")
        })
        .collect()
}

/// Reads 25 rows by pages of 10 while others arrive between the pages: some newer, some older than
/// all, some in the middle. `names` gives the names on the page with this number, from 0.
fn read_pages(
    server: &Daybook,
    source: &str,
    extra: &str,
    newest_first: bool,
    names: &dyn Fn(u32) -> Vec<String>,
) {
    server.take(source, &events(extra, 100..125));
    let mut read = names(0);
    server.take(source, &events(extra, 125..132));
    server.take(source, &events(extra, 0..4));
    read.extend(names(1));
    server.take(source, &events(extra, 132..140));
    read.extend(names(2));
    let mut expected: Vec<String> = (100..125).map(|number| format!("n{number}")).collect();
    if newest_first {
        expected.reverse();
    }
    assert_eq!(read, expected, "{source}: none twice, none missing");
    assert_ne!(names(0), expected[..10], "{source}: a new first page has what arrived");
}

fn texts(rows: &serde_json::Value, member: &str) -> Vec<String> {
    rows.as_array().unwrap().iter().map(|row| row[member].as_str().unwrap().to_owned()).collect()
}

#[test]
fn swr_by_offset() {
    let estate = Estate::new();
    let server = estate.serve();
    read_pages(&server, "registry", "\"action\":\"pull\"", true, &|page| {
        let target = format!(
            "/v2/{PROJECT}/instances/{REGISTRY}/audit-logs?operation=pull&limit=10&offset={}",
            page * 10
        );
        texts(&server.of("reader", "GET", &target, "").json()["audit_logs"], "resource")
    });
}

#[test]
fn codearts_by_page() {
    let estate = Estate::new();
    let server = estate.serve();
    read_pages(&server, "artifact", "\"action\":\"upload\"", true, &|page| {
        let target = format!(
            "/cloudartifact/v5/{TENANT}/{PROJECT}/file/{REPOSITORY}/audit?page_num={}&page_size=10",
            page + 1
        );
        texts(&server.of("reader", "GET", &target, "").json()["result"]["auditInfoList"], "data")
    });
}

#[test]
fn hcs_by_offset() {
    let estate = Estate::new();
    estate.lay_down_token("token of reader", "reader", "", LATER);
    let server = estate.serve();
    let headers = [
        ("X-APIG-Appcode", APP_CODE),
        ("x-hcso-appcode", HCSO_CODE),
        ("x-hcso-domainid", TENANT),
        ("x-auth-token", "token of reader"),
    ];
    read_pages(&server, "platform", "\"action\":\"create\"", true, &|page| {
        let target = format!(
            "/rest/dataapi/homs/open-api/v1/cloudAuditlog?begin_time=0&end_time=4102444800000&page_size=10&offset_value={}",
            page * 10
        );
        texts(&server.request("GET", &target, &headers, b"").json()["list"], "resource_name")
    });
}

#[test]
fn dbss_by_page_on_both_paths() {
    for target in [
        format!("/v1/{PROJECT}/audit/{DBAUDIT}/operation-log"),
        format!("/v1/{PROJECT}/{DBAUDIT}/dbss/audit/operate-log"),
    ] {
        let estate = Estate::new();
        let server = estate.serve();
        read_pages(&server, "dbaudit", "\"action\":\"update\"", true, &|page| {
            let body = format!(r#"{{"time":{{}},"page":"{}","size":10}}"#, page + 1);
            texts(&server.of("reader", "POST", &target, &body).json()["operate_log"], "name")
        });
    }
}

/// A range counts back from the moment of the first page: what is an hour old on the first page is
/// so on the last.
#[test]
fn dbss_ranges_do_not_move_between_pages() {
    let estate = Estate::new();
    let server = estate.serve();
    let now = crate::harness::now();
    let event = |at: u64, name: &str| {
        format!(
            "{{\"occurred_at\":\"{}\",\"action\":\"update\",\"resource\":\"{name}\"}}\n",
            crate::harness::utc_text(at)
        )
    };
    // Leaves the last half hour while pages are read.
    let soon_too_old = event(now - 1800 + 3, "oldest");
    server
        .take("dbaudit", &(soon_too_old + &event(now - 60, "middle") + &event(now - 30, "newest")));
    let target = format!("/v1/{PROJECT}/audit/{DBAUDIT}/operation-log");
    let page = |page: u32| {
        let body = format!(r#"{{"time":{{"time_range":"HALF_HOUR"}},"page":{page},"size":1}}"#);
        let answer = server.of("reader", "POST", &target, &body).json();
        (texts(&answer["operate_log"], "name"), answer["total_num"].as_u64())
    };
    assert_eq!(page(1), (vec!["newest".to_owned()], Some(3)));
    while crate::harness::now() <= now + 4 {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(page(2), (vec!["middle".to_owned()], Some(3)));
    assert_eq!(page(3), (vec!["oldest".to_owned()], Some(3)));
    assert_eq!(page(1), (vec!["newest".to_owned()], Some(2)), "a new first page begins now");
}

#[test]
fn taurusdb_by_offset() {
    let estate = Estate::new();
    let server = estate.serve();
    // One event a file: each names another log file of the database.
    let files = |numbers: std::ops::Range<u32>| -> String {
        numbers
            .map(|number| {
                let (minute, second) = (number / 60, number % 60);
                format!("{{\"occurred_at\":\"2026-11-20T00:{minute:02}:{second:02}Z\",\"action\":\"QUERY\",\"attributes\":{{\"log_file\":\"{number}\"}}}}\n")
            })
            .collect()
    };
    let page = |page: u32| {
        let target = format!(
            "/v3/{PROJECT}/instances/{DATABASE}/audit-logs?start_time=2026-11-20T00:00:00Z&end_time=2026-11-21T00:00:00Z&limit=10&offset={}",
            page * 10
        );
        let answer = server.of("reader", "GET", &target, "").json();
        (texts(&answer["audit_logs"], "begin_time"), answer["total_count"].as_u64().unwrap())
    };
    server.take("database", &files(100..126));
    let mut read = page(0).0;
    server.take("database", &files(126..130));
    server.take("database", &files(0..3));
    read.extend(page(1).0);
    read.extend(page(2).0);
    let expected: Vec<String> = (100..125)
        .map(|number: u32| format!("2026-11-20T00:{:02}:{:02}+0000", number / 60, number % 60))
        .collect();
    assert_eq!(read, expected, "the 26th file was not finished when the first page was read");
    assert_eq!(page(0).1, 32, "a new first page has the files finished since");
}
