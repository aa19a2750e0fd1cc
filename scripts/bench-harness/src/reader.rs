//! A user who may read every trail of a log, and queries its own API with a token.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::daybook;
use crate::http::{Connection, request};

const PASSWORD: &str = "correct horse battery";

pub struct Reader {
    address: String,
    pub token: String,
}

impl Reader {
    /// Adds the user to a log that no server has open.
    pub fn prepare(program: &Path, folder: &Path, data: &Path) {
        let password = folder.join("password");
        std::fs::write(&password, PASSWORD).expect("writable");
        for arguments in [
            &["domain", "add", "bench", "--id", "bench"][..],
            &["user", "add", "finder", "--domain", "bench"],
            &["grant", "finder", "reader", "*/*/*/*"],
            &["user", "password", "finder", "--password-file", daybook::path(&password)],
        ] {
            daybook::run(
                program,
                &[&["access"], arguments, &["--data-dir", daybook::path(data)]].concat(),
            );
        }
    }

    /// Logs in for a token.
    pub fn login(address: &str) -> Reader {
        let body = format!(
            r#"{{"auth":{{"identity":{{"methods":["password"],"password":{{"user":{{"name":"finder","password":"{PASSWORD}","domain":{{"name":"bench"}}}}}}}}}}}}"#
        );
        let mut connection = Connection::open(address);
        let sent = request(address, "POST", "/v3/auth/tokens", &[], body.as_bytes());
        let answer = connection.ask(&sent);
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(answer.body));
        let token = answer.header("x-subject-token").expect("a token").to_owned();
        Reader { address: address.to_owned(), token }
    }

    pub fn get(&self, target: &str) -> Vec<u8> {
        request(
            &self.address,
            "GET",
            target,
            &[("X-Auth-Token".to_owned(), self.token.clone())],
            b"",
        )
    }

    /// Sends the queries in turn until it is over, with a pause after each response. Returns their
    /// durations in ms, ascending.
    pub fn ask_until(&self, is_over: &AtomicBool, pause: Duration, targets: &[String]) -> Vec<f64> {
        let mut connection = Connection::open(&self.address);
        let mut took: Vec<f64> = Vec::new();
        for target in targets.iter().cycle() {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let sent = self.get(target);
            let began = Instant::now();
            let answer = connection.ask(&sent);
            took.push(began.elapsed().as_secs_f64() * 1000.0);
            assert_eq!(answer.status, 200, "{target}: {}", String::from_utf8_lossy(answer.body));
            std::thread::sleep(pause);
        }
        took.sort_unstable_by(f64::total_cmp);
        took
    }
}
