//! A directory with sources of all five services, a rival's beside them, and users of every kind.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::harness::{Answer, Daybook, OPERATOR_KEY, PROJECT, SECRET, TOKEN, TestDir, hex};

pub const TENANT: &str = "5a775fdcb14f4431b6c0015618140bc3";
pub const RIVAL: &str = "rivalrivalrivalrivalrivalrival00";
pub const RIVALS_PROJECT: &str = "ffffffffffffffffffffffffffffffff";
pub const REGISTRY: &str = "3f5a2c1e-0d4b-4c8e-9b7a-6d5e4f3c2b1a";
pub const REPOSITORY: &str = "cn-north-4_5a775fdcb14f4431b6c0015618140bc3_maven_1_108";
pub const DATABASE: &str = "3d39c18788b54a919bab633874c159dfin07";
pub const PLATFORM: &str = "ops";
pub const DBAUDIT: &str = "a0d1f9c2b3e44f5d8c7b6a5948372615";
pub const PASSWORD: &str = "correct horse battery";
pub const APP_CODE: &str = "an-app-code-of-the-gateway";
pub const HCSO_CODE: &str = "an-app-code-of-the-hcso-api";

/// Users, and what they are granted. Each has an access key named after it and the same secret and
/// password.
const USERS: [(&str, &[(&str, &str)]); 7] = [
    ("reader", &[("reader", "*/TENANT/*/*")]),
    ("writer", &[("writer", "*/TENANT/*/*")]),
    ("auditor", &[("auditor", "*/TENANT/*/*")]),
    ("admin", &[("admin", "*/TENANT/*/*")]),
    ("puller", &[("swr:instance:getAuditLogs", "registry/TENANT/*/*")]),
    ("rival", &[("admin", "*/RIVAL/*/*")]),
    ("nobody", &[]),
];

pub struct Estate {
    pub test_dir: TestDir,
}

impl Estate {
    pub fn new() -> Estate {
        Estate::with_settings("")
    }

    pub fn with_settings(settings: &str) -> Estate {
        let test_dir = TestDir::with_settings(settings);
        let mut config = std::fs::read_to_string(test_dir.path("daybook.toml")).unwrap();
        let mut add = |name: &str, service: &str, tenant: &str, project: &str, instance: &str| {
            write!(
                config,
                "[[source]]\nname = \"{name}\"\nformat = \"daybook\"\ntoken = {{ file = \"token\" }}\n\
                 trail = {{ service = \"{service}\", tenant = \"{tenant}\", project = \"{project}\", instance = \"{instance}\" }}\n"
            )
            .unwrap();
        };
        for (name, service, instance) in SOURCES {
            add(name, service, TENANT, PROJECT, instance);
            add(&format!("rivals-{name}"), service, RIVAL, RIVALS_PROJECT, instance);
        }
        std::fs::write(test_dir.path("daybook.toml"), config).unwrap();
        std::fs::write(test_dir.path("password"), PASSWORD).unwrap();
        std::fs::write(test_dir.path("code"), APP_CODE).unwrap();
        std::fs::write(test_dir.path("hcso-code"), HCSO_CODE).unwrap();
        let estate = Estate { test_dir };
        estate.set_up_access();
        estate
    }

    fn set_up_access(&self) {
        let access = |arguments: &[&str]| self.test_dir.access(arguments);
        let file = |name: &str| self.test_dir.path(name).to_str().unwrap().to_owned();
        let (secret, password, code, hcso_code) =
            (file("secret"), file("password"), file("code"), file("hcso-code"));
        access(&["project", "remove", PROJECT]);
        access(&["domain", "add", "acme-corp", "--id", TENANT]);
        access(&["project", "add", "cn-north-4", "--tenant", TENANT, "--id", PROJECT]);
        access(&["project", "add", "elsewhere", "--tenant", RIVAL, "--id", RIVALS_PROJECT]);
        access(&["project", "add", "empty", "--tenant", TENANT, "--id", OTHER_PROJECT]);
        access(&["user", "remove", "auditor"]);
        // The argon2 hash is the slow part, so it is made once and copied.
        for (user, grants) in USERS {
            let domain = if user == "rival" { RIVAL } else { TENANT };
            access(&["user", "add", user, "--id", user, "--domain", domain]);
            access(&["key", "add", user, "--id", &key_of(user), "--secret-file", &secret]);
            for (role, pattern) in grants {
                let pattern = pattern.replace("TENANT", TENANT).replace("RIVAL", RIVAL);
                access(&["grant", user, role, &pattern]);
            }
        }
        access(&["user", "password", "reader", "--password-file", &password]);
        access(&["app-code", "add", "gateway", "--code-file", &code]);
        access(&["app-code", "add", "hcso", "--code-file", &hcso_code]);
    }

    pub fn serve(&self) -> Daybook {
        self.test_dir.serve()
    }

    /// Lays down a token that was never requested, so that tests can choose its text, scope and
    /// end.
    pub fn lay_down_token(&self, text: &str, user: &str, scope: &str, expires_at: &str) {
        let path = self.test_dir.data().join("access.toml");
        let mut access = std::fs::read_to_string(&path).unwrap();
        // An empty list is written as a value, which a table cannot follow.
        access = access.replace("token = []\n", "");
        let hash = hex(&Sha256::digest(text));
        write!(
            access,
            "\n[[token]]\nid = \"{}\"\nsha256 = \"{hash}\"\nuser = \"{user}\"\n{scope}methods = [\"password\"]\n\
             issued_at = \"2026-01-01T00:00:00.000000000Z\"\nexpires_at = \"{expires_at}\"\n",
            &hash[..16]
        )
        .unwrap();
        std::fs::write(path, access).unwrap();
    }
}

/// A project of the tenant that nobody feeds.
pub const OTHER_PROJECT: &str = "11111111111111111111111111111111";
/// A time that comes after every test.
pub const LATER: &str = "2200-01-01T00:00:00.000000000Z";

const SOURCES: [(&str, &str, &str); 5] = [
    ("registry", "registry", REGISTRY),
    ("artifact", "artifact", REPOSITORY),
    ("database", "database", DATABASE),
    ("platform", "platform", PLATFORM),
    ("dbaudit", "dbaudit", DBAUDIT),
];

/// The access key of a user.
pub fn key_of(user: &str) -> String {
    if user == "operator" {
        OPERATOR_KEY.to_owned()
    } else {
        format!("KEY{:0>17}", user.to_uppercase())
    }
}

/// The secret of every access key.
pub const SECRET_OF_ALL: &str = SECRET;

impl Daybook {
    /// Logs in with a password and returns the token.
    pub fn login(&self, user: &str) -> String {
        let body = format!(
            r#"{{"auth":{{"identity":{{"methods":["password"],"password":{{"user":{{"name":"{user}","password":"{PASSWORD}","domain":{{"name":"acme-corp"}}}}}}}}}}}}"#
        );
        let answer = self.request("POST", "/v3/auth/tokens", &[], body.as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.headers["x-subject-token"].clone()
    }

    /// A request of a user, signed.
    pub fn of(&self, user: &str, method: &str, target: &str, body: &str) -> Answer {
        self.signed_by(&key_of(user), method, target, body.as_bytes())
    }

    /// Sends events, one a line, which must all be taken.
    pub fn take(&self, source: &str, lines: &str) {
        let bearer = format!("Bearer {TOKEN}");
        let answer = self.request(
            "POST",
            &format!("/intake/{source}"),
            &[("Authorization", &bearer)],
            lines.as_bytes(),
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["dead_letters"], serde_json::json!([]), "{}", answer.text());
    }
}
