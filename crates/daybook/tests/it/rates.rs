//! Rates: nobody fills the disk with refused requests or queries, and nobody locks an account out.

use crate::estate::{Estate, PASSWORD};
use crate::harness::{Answer, Client, Daybook, becomes_true};

/// A login from this address of the machine.
fn login_from(server: &Daybook, address: &str, password: &str) -> Answer {
    let body = format!(
        r#"{{"auth":{{"identity":{{"methods":["password"],"password":{{"user":{{"name":"reader","password":"{password}","domain":{{"name":"acme-corp"}}}}}}}}}}}}"#
    );
    let mut client = Client::connect_from(address.parse().unwrap(), server.address).unwrap();
    client.request("POST", "/v3/auth/tokens", &[], body.as_bytes()).unwrap()
}

#[test]
fn strangers_lock_no_account_out() {
    let estate = Estate::with_settings("[limits]\nlogin_failures_slow_after = 4");
    let server = estate.serve();
    let statuses = |times: usize, address: &str, password: &str| -> Vec<u16> {
        (0..times).map(|_| login_from(&server, address, password).status).collect()
    };
    assert_eq!(statuses(3, "127.0.0.2", "wrong"), [401; 3]);
    assert_eq!(login_from(&server, "127.0.0.1", PASSWORD).status, 201, "the owner, elsewhere");
    assert!(statuses(10, "127.0.0.2", "wrong").contains(&429));
    // Under attack, the owner's next attempt is slow.
    let answer = login_from(&server, "127.0.0.3", PASSWORD);
    assert!(answer.status == 201 || answer.headers["retry-after"] == "5", "{}", answer.text());
    becomes_true(|| {
        assert_ne!(login_from(&server, "127.0.0.2", "wrong").status, 201);
        login_from(&server, "127.0.0.3", PASSWORD).status == 201
    });
}
