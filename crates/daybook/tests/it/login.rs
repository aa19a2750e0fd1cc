//! Tokens: how they are got, how long they are good, and how logins are limited.

use sha2::{Digest, Sha256};

use crate::estate::{Estate, OTHER_PROJECT, PASSWORD, REGISTRY, RIVAL, RIVALS_PROJECT, TENANT};
use crate::harness::{Daybook, PROJECT, text};

fn by_password(user: &str, password: &str, scope: &str) -> String {
    format!(
        r#"{{"auth":{{"identity":{{"methods":["password"],"password":{{"user":{{"name":"{user}","password":"{password}","domain":{{"name":"acme-corp"}}}}}}}}{scope}}}}}"#
    )
}

fn status_with(server: &Daybook, token: &str, project: &str) -> u16 {
    let target = format!("/v2/{project}/instances/{REGISTRY}/audit-logs?operation=pull");
    server.request("GET", &target, &[("X-Auth-Token", token)], b"").status
}

#[test]
fn a_token_opens_what_its_user_may() {
    let estate = Estate::new();
    let server = estate.serve();
    let token = server.login("reader");
    assert!(token.len() >= 64, "random, and long");
    assert_ne!(token, server.login("reader"));
    assert_eq!(status_with(&server, &token, PROJECT), 200, "a new one leaves the old one alone");
    assert_eq!(status_with(&server, &token, RIVALS_PROJECT), 403);
    drop(server);
    let server = estate.serve();
    assert_eq!(status_with(&server, &token, PROJECT), 200, "it outlives the server");
    // Only its hash is stored.
    let access = std::fs::read_to_string(estate.test_dir.data().join("access.toml")).unwrap();
    assert!(!access.contains(&token) && access.contains("[[token]]"));
}

#[test]
fn a_token_is_good_within_its_scope() {
    let estate = Estate::new();
    let server = estate.serve();
    let scoped = |project: &str| {
        let scope = format!(r#","scope":{{"project":{{"id":"{project}"}}}}"#);
        let answer = server.request(
            "POST",
            "/v3/auth/tokens",
            &[],
            by_password("reader", PASSWORD, &scope).as_bytes(),
        );
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.headers["x-subject-token"].clone()
    };
    assert_eq!(status_with(&server, &scoped(PROJECT), PROJECT), 200);
    let other = scoped(OTHER_PROJECT);
    assert_eq!(status_with(&server, &other, PROJECT), 403);
    // A token that a narrow one was exchanged for is no wider.
    let body =
        format!(r#"{{"auth":{{"identity":{{"methods":["token"],"token":{{"id":"{other}"}}}}}}}}"#);
    let again = server.request("POST", "/v3/auth/tokens", &[], body.as_bytes());
    assert_eq!(status_with(&server, &again.headers["x-subject-token"], PROJECT), 403);
    let wider = body
        .replace("]}]}", "")
        .replace("}}}}", &format!("}}}},\"scope\":{{\"project\":{{\"id\":\"{PROJECT}\"}}}}}}}}"));
    assert_eq!(
        server.request("POST", "/v3/auth/tokens", &[], wider.as_bytes()).status,
        401,
        "{wider}"
    );
}

#[test]
fn a_user_ends_a_token() {
    let estate = Estate::new();
    let password = estate.test_dir.path("password");
    let password = password.to_str().unwrap();
    estate.test_dir.access(&["user", "password", "auditor", "--password-file", password]);
    let server = estate.serve();
    let (token, other, rivals) =
        (server.login("reader"), server.login("reader"), server.login("auditor"));
    let exchange =
        format!(r#"{{"auth":{{"identity":{{"methods":["token"],"token":{{"id":"{token}"}}}}}}}}"#);
    let child = server.request("POST", "/v3/auth/tokens", &[], exchange.as_bytes());
    let child = child.headers["x-subject-token"].clone();
    let end = |by: &str, which: &str| {
        let headers = [("X-Auth-Token", by), ("X-Subject-Token", which)];
        server.request("DELETE", "/v3/auth/tokens", &headers, b"").status
    };
    assert_eq!(end(&other, &rivals), 404, "others' tokens do not exist");
    assert_eq!(end(&other, &token), 204);
    assert_eq!(status_with(&server, &token, PROJECT), 401);
    assert_eq!(status_with(&server, &child, PROJECT), 401, "the one issued with it ends, too");
    assert_eq!(status_with(&server, &other, PROJECT), 200);
    assert_eq!(end(&other, &other), 204, "a token may end itself");
    assert_eq!(status_with(&server, &other, PROJECT), 401);
    drop(server);
    let server = estate.serve();
    assert_eq!(status_with(&server, &token, PROJECT), 401, "and it stays ended");
    drop(server);
    assert_eq!(estate.test_dir.acts("logout").len(), 2);
    // Each end of a token is a change of rights, that of the one issued with another too.
    assert_eq!(estate.test_dir.acts("access.delete").len(), 3);
}

#[test]
fn tokens_end_when_they_are_revoked_or_the_password_changes() {
    let estate = Estate::new();
    let server = estate.serve();
    let token = server.login("reader");
    let listed = estate.test_dir.access(&["list"]);
    let id = listed.lines().find_map(|line| line.strip_prefix("token ")).unwrap();
    let id = id.split(' ').next().unwrap().to_owned();
    estate.test_dir.access(&["token", "revoke", &id]);
    assert_eq!(status_with(&server, &token, PROJECT), 401);
    let token = server.login("reader");
    let file = estate.test_dir.path("password");
    estate.test_dir.access(&[
        "user",
        "password",
        "reader",
        "--password-file",
        file.to_str().unwrap(),
    ]);
    assert_eq!(status_with(&server, &token, PROJECT), 401);
    let token = server.login("reader");
    estate.test_dir.access(&["user", "disable", "reader"]);
    assert_eq!(status_with(&server, &token, PROJECT), 401);
    let refused = server.request(
        "POST",
        "/v3/auth/tokens",
        &[],
        by_password("reader", PASSWORD, "").as_bytes(),
    );
    assert_eq!(refused.status, 401);
    estate.test_dir.access(&["user", "enable", "reader"]);
    assert_eq!(status_with(&server, &token, PROJECT), 200);
}

#[test]
fn an_expired_token_is_named_as_such() {
    let estate = Estate::new();
    estate.lay_down_token(
        "old token",
        "reader",
        "",
        &crate::harness::utc_text(crate::harness::now() - 60),
    );
    let server = estate.serve();
    let target = format!("/v2/{PROJECT}/instances/{REGISTRY}/audit-logs?operation=pull");
    let answer = server.request("GET", &target, &[("X-Auth-Token", "old token")], b"");
    assert_eq!((answer.status, answer.code().as_str()), (401, "APIGW.0301"));
    assert!(answer.text().contains("token expires, expires_at: 20"), "{}", answer.text());
}

#[test]
fn failures_are_limited_for_those_who_exist_and_those_who_do_not() {
    let estate = Estate::with_settings("[limits]\nlogin_failures_per_address = 1000");
    let server = estate.serve();
    let statuses = |user: &str, password: &str| -> Vec<u16> {
        (0..7)
            .map(|_| {
                let body = by_password(user, password, "");
                let answer = server.request("POST", "/v3/auth/tokens", &[], body.as_bytes());
                if answer.status == 429 {
                    let seconds: u64 = answer.headers["retry-after"].parse().unwrap();
                    assert!((1..=60).contains(&seconds));
                    assert_eq!(answer.code(), "APIGW.0308");
                }
                answer.status
            })
            .collect()
    };
    let limited = [401, 401, 401, 401, 401, 429, 429];
    assert_eq!(statuses("nobody at all", "wrong"), limited);
    assert_eq!(statuses("reader", "wrong"), limited);
    assert_eq!(statuses("reader", PASSWORD), [429; 7], "the right one has to wait as well");
    // What an account is not looked for by makes no other account of it.
    let by_id = |name: &str| {
        let user = format!(
            r#"{{"id":"reader","name":"{name}","password":"wrong","domain":{{"name":"{name}"}}}}"#
        );
        let body = format!(
            r#"{{"auth":{{"identity":{{"methods":["password"],"password":{{"user":{user}}}}}}}}}"#
        );
        server.request("POST", "/v3/auth/tokens", &[], body.as_bytes()).status
    };
    assert_eq!(["a", "b", "c", "d", "e", "f", "g"].map(by_id), limited);
    // Others are not held up, and a signature is no login.
    let key = r#"{"auth":{"identity":{"methods":["hw_ak_sk"],"hw_ak_sk":{"access":{"key":"KEY00000000000READER"},"secret":{"key":"a-secret-of-the-tests"}}}}}"#;
    assert_eq!(server.request("POST", "/v3/auth/tokens", &[], key.as_bytes()).status, 201);
    assert_eq!(server.of("reader", "GET", "/v3/projects", "").status, 200);
}

#[test]
fn failures_are_limited_for_an_address() {
    let estate = Estate::with_settings("[limits]\nlogin_failures_per_address = 3");
    let server = estate.serve();
    for (number, expected) in [401, 401, 401, 429, 429].into_iter().enumerate() {
        let body = by_password(&format!("user{number}"), "wrong", "");
        assert_eq!(
            server.request("POST", "/v3/auth/tokens", &[], body.as_bytes()).status,
            expected
        );
    }
}

#[test]
fn wrong_tokens_hold_up_nobody_elsewhere() {
    let estate = Estate::with_settings("[limits]\nlogin_failures_per_address = 1000");
    let server = estate.serve();
    let token = server.login("reader");
    let ask = |token: &str| {
        let body = format!(
            r#"{{"auth":{{"identity":{{"methods":["token"],"token":{{"id":"{token}"}}}}}}}}"#
        );
        server.request("POST", "/v3/auth/tokens", &[], body.as_bytes()).status
    };
    assert_eq!((0..20).map(|_| ask("no token")).collect::<Vec<_>>(), [401; 20]);
    assert_eq!(ask(&token), 201);
}

#[test]
fn a_token_of_one_domain_gives_none_of_another() {
    let estate = Estate::new();
    estate.test_dir.access(&["grant", "reader", "reader", &format!("*/{RIVAL}/*/*")]);
    let server = estate.serve();
    let of_domain = |id: &str| format!(r#","scope":{{"domain":{{"id":"{id}"}}}}"#);
    let body = by_password("reader", PASSWORD, &of_domain(RIVAL));
    let answer = server.request("POST", "/v3/auth/tokens", &[], body.as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text());
    let token = &answer.headers["x-subject-token"];
    let ask = |scope: &str| {
        let body = format!(
            r#"{{"auth":{{"identity":{{"methods":["token"],"token":{{"id":"{token}"}}}}{scope}}}}}"#
        );
        server.request("POST", "/v3/auth/tokens", &[], body.as_bytes()).status
    };
    assert_eq!(ask(&of_domain(RIVAL)), 201);
    assert_eq!(ask(&of_domain(TENANT)), 401);
}

#[test]
fn passwords_are_stored_as_argon2id_and_shown_nowhere() {
    let estate = Estate::new();
    let server = estate.serve();
    server.login("reader");
    let access = std::fs::read_to_string(estate.test_dir.data().join("access.toml")).unwrap();
    assert!(access.contains("password = \"$argon2id$v=19$m=19456,t=2,p=1$"), "{access}");
    assert!(!estate.test_dir.access(&["list"]).contains("argon2"));
    let mut said: Vec<u8> = Vec::new();
    for folder in [estate.test_dir.data(), estate.test_dir.data().join("journal")] {
        for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if file.is_file() {
                said.extend(std::fs::read(file).unwrap());
            }
        }
    }
    assert!(!text(&said).contains(PASSWORD), "neither in the log nor beside it");
    let made = estate.test_dir.access(&["user", "password", "admin"]);
    let password = made.lines().next().unwrap().strip_prefix("password: ").unwrap().to_owned();
    let body = by_password("admin", &password, "");
    assert_eq!(server.request("POST", "/v3/auth/tokens", &[], body.as_bytes()).status, 201);
}

#[test]
fn tries_at_once_are_not_more_than_the_limits_allow() {
    let estate = Estate::new();
    let server = estate.serve();
    let statuses = &std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..40 {
            let mut client = server.client();
            scope.spawn(move || {
                let body = by_password("reader", "wrong", "");
                let status =
                    client.request("POST", "/v3/auth/tokens", &[], body.as_bytes()).unwrap().status;
                statuses.lock().unwrap().push(status);
            });
        }
    });
    let statuses = statuses.lock().unwrap();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 35, "{statuses:?}");
}

#[test]
fn a_password_that_is_void_when_its_turn_comes_gives_no_token() {
    let estate = Estate::new();
    let server = estate.serve();
    std::fs::write(estate.test_dir.path("new-password"), "another good password").unwrap();
    let tokens = &std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..30 {
            let mut client = server.client();
            scope.spawn(move || {
                let body = by_password("reader", PASSWORD, "");
                let answer =
                    client.request("POST", "/v3/auth/tokens", &[], body.as_bytes()).unwrap();
                assert!([201, 401, 429].contains(&answer.status), "{}", answer.text());
                tokens.lock().unwrap().extend(answer.headers.get("x-subject-token").cloned());
            });
        }
        let file = estate.test_dir.path("new-password");
        estate.test_dir.access(&[
            "user",
            "password",
            "reader",
            "--password-file",
            file.to_str().unwrap(),
        ]);
    });
    for token in tokens.lock().unwrap().iter() {
        assert_eq!(
            status_with(&server, token, PROJECT),
            401,
            "a token of the old password is good"
        );
    }
}

#[test]
fn revoking_a_token_revokes_those_that_came_of_it() {
    let estate = Estate::new();
    let server = estate.serve();
    let again = |token: &str| {
        let body = format!(
            r#"{{"auth":{{"identity":{{"methods":["token"],"token":{{"id":"{token}"}}}}}}}}"#
        );
        let answer = server.request("POST", "/v3/auth/tokens", &[], body.as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.headers["x-subject-token"].clone()
    };
    let (first, other) = (server.login("reader"), server.login("reader"));
    let second = again(&first);
    let third = again(&second);
    let id = &crate::harness::hex(&Sha256::digest(&first))[..16];
    estate.test_dir.access(&["token", "revoke", id]);
    let statuses =
        [&first, &second, &third, &other].map(|token| status_with(&server, token, PROJECT));
    assert_eq!(statuses, [401, 401, 401, 200]);
}

#[test]
fn a_token_that_nobody_handed_out_is_recorded() {
    let estate = Estate::new();
    let server = estate.serve();
    estate.lay_down_token("of my own making", "reader", "", crate::estate::LATER);
    crate::harness::becomes_true(|| status_with(&server, "of my own making", PROJECT) == 200);
    let rows = server.own_rows("");
    assert!(
        rows.iter().any(|row| row["description"].as_str().unwrap().starts_with("create token: ")),
        "{rows:?}"
    );
}

#[test]
fn what_a_login_shows_is_limited() {
    let estate = Estate::new();
    let server = estate.serve();
    let body = by_password(&"n".repeat(2000), "wrong", "");
    let answer = server.request("POST", "/v3/auth/tokens", &[], body.as_bytes());
    assert_eq!((answer.status, answer.code().as_str()), (400, "IAM.0011"));
    let body = by_password(&"n".repeat(70_000), "wrong", "");
    assert_eq!(server.request("POST", "/v3/auth/tokens", &[], body.as_bytes()).status, 413);
}
