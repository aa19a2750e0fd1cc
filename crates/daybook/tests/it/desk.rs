//! A server with known events, and a user of its command line.

use std::fmt::Write as _;
use std::process::{Command, Output, Stdio};

use crate::estate::{Estate, LATER, PASSWORD};
use crate::harness::{ACCESS_KEY, Daybook, SECRET, TestDir, interruptible, text};

pub struct Desk {
    pub test_dir: TestDir,
    pub server: Daybook,
}

/// Number of events of the source `own`.
pub const EVENTS: usize = 60;

impl Desk {
    /// The user's profile `here` is in use; its key may read the sources' trails.
    pub fn new() -> Desk {
        let test_dir = TestDir::new();
        let server = test_dir.serve();
        Desk::fill(&server);
        Desk::at(test_dir, server)
    }

    /// Like [`Desk::new`], and the user has a token in the file `user-token` and may write to the
    /// sources' trails. The log has dead letters, and the folder `backup` has a copy of the log and
    /// its guard.
    pub fn with_token() -> Desk {
        let test_dir = TestDir::new();
        test_dir.access(&["grant", "auditor", "writer", "registry/acme/*/*"]);
        std::fs::write(test_dir.path("password"), PASSWORD).unwrap();
        let password = test_dir.path("password");
        let password = password.to_str().unwrap();
        test_dir.access(&["user", "password", "auditor", "--password-file", password]);
        let estate = Estate { test_dir };
        estate.lay_down_token("token of auditor", "auditor", "", LATER);
        let test_dir = estate.test_dir;
        std::fs::write(test_dir.path("user-token"), "token of auditor").unwrap();
        let config = std::fs::read_to_string(test_dir.path("daybook.toml")).unwrap();
        let web = config.split("[[source]]").last().unwrap().replace("\"own\"", "\"web\"");
        let web = web.replace("\"daybook\"", "\"nginx-json\"");
        std::fs::write(test_dir.path("daybook.toml"), format!("{config}[[source]]{web}")).unwrap();
        let server = test_dir.serve();
        Desk::fill(&server);
        let useless: String = (0..20).map(|number| format!("{{\"n\":{number}}}\n")).collect();
        assert_eq!(server.send("own", useless).status, 200);
        assert_eq!(server.stop(), Some(0));
        std::fs::create_dir(test_dir.path("backup")).unwrap();
        for name in ["data", "data.guard"] {
            let (from, to) = (test_dir.path(name), test_dir.path("backup").join(name));
            assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
        }
        let server = test_dir.serve();
        Desk::at(test_dir, server)
    }

    fn fill(server: &Daybook) {
        let answer = server.send("own", events());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["recorded"], EVENTS);
    }

    fn at(test_dir: TestDir, server: Daybook) -> Desk {
        let desk = Desk { test_dir, server };
        std::fs::write(desk.test_dir.path("secret-of-key"), SECRET).unwrap();
        let url = desk.url();
        let secret = desk.test_dir.path("secret-of-key");
        let arguments =
            ["profile", "add", "here", "--url", &url, "--access-key", ACCESS_KEY, "--secret-file"];
        let added = desk.command().args(arguments).arg(secret).output().unwrap();
        assert!(added.status.success(), "{}", text(&added.stderr));
        desk
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// The program with the user's own profiles.
    pub fn command(&self) -> Command {
        let mut command = interruptible(env!("CARGO_BIN_EXE_daybook"));
        command.env("DAYBOOK_CONFIG_HOME", self.test_dir.path("home")).env_remove("NO_COLOR");
        command.env("TERM", "xterm").env("TZ", "Europe/Berlin").env_remove("COLUMNS");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Standard output of a command that must succeed.
    pub fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.says(arguments)).unwrap()
    }

    /// Runs a command with standard input.
    pub fn fed(&self, arguments: &[&str], input: &[u8]) -> Output {
        use std::io::Write as _;
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that ends early does not read all of it.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }
}

/// Events in October 2026, an hour apart: of three people and a robot, and some that are hard to
/// display.
pub fn events() -> String {
    let mut lines = String::new();
    for number in 0..EVENTS - 4 {
        let (day, hour) = (1 + number / 24, number % 24);
        let actor = ["alice", "bob", "李雷", "robot$ci"][number % 4];
        let action = ["pull", "push", "pull", "delete", "pull"][number % 5];
        let outcome = if number % 7 == 3 { "failure" } else { "success" };
        let resource = ["library/alpine", "library/审计日志服务", "team/app"][number % 3];
        let _ = writeln!(
            lines,
            r#"{{"id":"{number}","action":"{action}","occurred_at":"2026-10-{day:02}T{hour:02}:10:00Z","actor":"{actor}","resource":{{"type":"artifact","name":"{resource}"}},"outcome":"{outcome}","source_ip":"10.0.{}.{number}","request_id":"r{}"}}"#,
            number % 3,
            number / 2
        );
    }
    lines.push_str(
        r#"{"id":"steers","action":"login","occurred_at":"2026-10-04T00:00:00.25Z","actor":"mal\u001b[2Jlory\u202e","resource":"\u0007bell","outcome":{"result":"failure","code":401,"reason":"wrong password"},"class":"security","severity":3}
{"id":"long","action":"grant everything there is to everyone","occurred_at":"2026-10-04T00:00:01Z","actor":{"id":"u-17","name":"an-actor-with-quite-a-long-name@example.com","type":"service"},"resource":{"type":"role","name":"a/resource/with/a/name/that/does/not/fit/anywhere/审计日志服务审计日志服务审计日志服务审计日志服务","region":"eu-1"},"description":"a description","user_agent":"tool/1.0","attributes":{"ticket":"OPS-12","attempt":2}}
{"id":"bare","action":"x","occurred_at":"2026-10-04T00:00:02Z"}
{"id":"words","action":"exec","occurred_at":"2026-10-04T00:00:03Z","actor":"alice","description":"drop table accounts","outcome":"failure","source_ip":"2001:db8::7"}
"#,
    );
    lines
}
