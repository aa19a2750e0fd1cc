//! The meaning of free words: the verb in the name of an action, a word for a result, and the
//! severity and class that follow.
//!
//! It is for formats in which the author of a program names its actions: `createServer`,
//! `com.example.user.deleted`, `loginFailed`.

use event::{Class, Operation, Outcome, OutcomeKind, Severity};

/// The operation of an action. In a name with dots, slashes or colons the last part with a verb
/// counts; in a part, the first verb.
pub(crate) fn operation(action: &str) -> Operation {
    action.rsplit(['.', '/', ':']).find_map(verb_of).unwrap_or(Operation::Other)
}

/// Success or failure, if the text is a word for one.
pub(crate) fn outcome(word: &str) -> OutcomeKind {
    let word = word.to_ascii_lowercase();
    match &*word {
        "success" | "succeeded" | "successful" | "ok" | "pass" | "passed" | "allow" | "allowed"
        | "granted" | "accepted" | "permitted" | "completed" | "true" => OutcomeKind::Success,
        "fail" | "failed" | "failure" | "error" | "aborted" | "timeout" | "false" => {
            OutcomeKind::Failure
        }
        denied if is_denial(denied) => OutcomeKind::Failure,
        _ => OutcomeKind::Unknown,
    }
}

/// Whether a word for a failure names a missing right.
pub(crate) fn is_denial(word: &str) -> bool {
    let denials =
        ["deny", "denied", "forbidden", "unauthorized", "unauthenticated", "rejected", "refused"];
    denials.iter().any(|denial| word.eq_ignore_ascii_case(denial))
}

/// Whether the outcome is a refusal for a missing right, by its HTTP status or its reason.
pub(crate) fn is_denied(outcome: &Outcome) -> bool {
    outcome.kind == OutcomeKind::Failure
        && (matches!(outcome.code, Some(401 | 403))
            || outcome.reason.as_deref().is_some_and(is_denial))
}

/// The severity of an operation with this outcome. An unknown outcome counts as success.
pub(crate) fn severity(operation: Operation, outcome: &Outcome) -> Severity {
    let (is_failure, is_delete) =
        (outcome.kind == OutcomeKind::Failure, operation == Operation::Delete);
    match outcome.code {
        Some(401 | 500..=599) if is_failure => Severity::MAJOR,
        _ if is_failure && operation == Operation::Login => Severity::MAJOR,
        _ if is_delete && is_denied(outcome) => Severity::MAJOR,
        _ if is_failure || is_delete => Severity::MINOR,
        _ => Severity::WARNING,
    }
}

/// The severity of a log record, by OpenTelemetry's numbers: 13 to 16 are warnings, 17 to 20
/// errors, 21 to 24 fatal.
pub(crate) fn severity_of_number(number: u64) -> Severity {
    match number {
        21..=24 => Severity::CRITICAL,
        17..=20 => Severity::MAJOR,
        13..=16 => Severity::MINOR,
        _ => Severity::WARNING,
    }
}

/// Class security: logins and logouts, rights, refusals, and changes of users, rights, secrets and
/// auditing, by the action or the kind of resource.
pub(crate) fn class(
    operation: Operation,
    action: &str,
    kind: Option<&str>,
    outcome: &Outcome,
) -> Class {
    let touches_rights = operation != Operation::Read
        && [Some(action), kind]
            .into_iter()
            .flatten()
            .any(|text| words(text).iter().any(|word| is_right(word)));
    // The word audit in an action's name only says that it is audited.
    let touches_auditing = operation != Operation::Read
        && kind.is_some_and(|kind| {
            words(kind).iter().any(|word| word == "audit" || word == "auditing")
        });
    match operation {
        Operation::Login | Operation::Logout | Operation::Grant => Class::Security,
        _ if touches_auditing => Class::Security,
        _ if touches_rights || is_denied(outcome) => Class::Security,
        _ => Class::Operation,
    }
}

/// A user, a right, or a credential.
fn is_right(word: &str) -> bool {
    let rights = [
        "user",
        "role",
        "permission",
        "privilege",
        "policy",
        "policie",
        "password",
        "credential",
        "secret",
        "token",
        "accesskey",
        "agency",
        "agencie",
        "mfa",
        "acl",
    ];
    rights.contains(&word.strip_suffix('s').unwrap_or(word))
}

/// The words of a part of a name in lower case, split at signs and before capitals: `getTheURL` is
/// get, the, url.
pub(crate) fn words(part: &str) -> Vec<String> {
    let (mut words, mut after_small) = (vec![String::new()], false);
    for character in part.chars() {
        if !character.is_alphanumeric() || (after_small && character.is_uppercase()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
        after_small = character.is_lowercase() || character.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn verb_of(part: &str) -> Option<Operation> {
    let words = words(part);
    words.iter().enumerate().find_map(|(at, word)| {
        match (&**word, words.get(at + 1).map(String::as_str)) {
            ("log" | "sign" | "logged" | "signed", Some("in" | "on")) => Some(Operation::Login),
            ("log" | "sign" | "logged" | "signed", Some("out" | "off")) => Some(Operation::Logout),
            _ => verb(word),
        }
    })
}

fn verb(word: &str) -> Option<Operation> {
    let is_form_of = |verb: &str| {
        word.strip_prefix(verb).is_some_and(|ending| matches!(ending, "" | "d" | "ed" | "s"))
    };
    VERBS
        .iter()
        .find(|(_, verbs)| verbs.iter().any(|verb| is_form_of(verb)))
        .map(|(operation, _)| *operation)
}

/// Verbs, and their forms that do not end in `d`, `ed` or `s`.
const VERBS: [(Operation, &[&str]); 13] = [
    (
        Operation::Create,
        &[
            "create", "add", "register", "insert", "import", "copy", "copied", "clone", "allocate",
            "make", "made", "new",
        ],
    ),
    (
        Operation::Delete,
        &[
            "delete",
            "remove",
            "drop",
            "dropped",
            "destroy",
            "purge",
            "clear",
            "erase",
            "terminate",
            "release",
            "unregister",
            "deregister",
            "uninstall",
        ],
    ),
    (
        Operation::Update,
        &[
            "update",
            "modify",
            "modified",
            "modifie",
            "change",
            "set",
            "reset",
            "edit",
            "rename",
            "enable",
            "disable",
            "switch",
            "move",
            "replace",
            "resize",
            "start",
            "stop",
            "stopped",
            "restart",
            "reboot",
            "attach",
            "detach",
            "bind",
            "bound",
            "unbind",
            "unbound",
            "associate",
            "disassociate",
            "patch",
            "lock",
            "unlock",
            "install",
            "upgrade",
            "restore",
            "write",
            "put",
        ],
    ),
    (
        Operation::Read,
        &[
            "get", "list", "show", "query", "queried", "querie", "read", "view", "describe",
            "search", "check", "head",
        ],
    ),
    (Operation::Pull, &["pull"]),
    (Operation::Push, &["push", "pushe"]),
    (Operation::Upload, &["upload", "publish", "publishe", "deploy"]),
    (Operation::Download, &["download", "export"]),
    (Operation::Login, &["login", "logon", "signin", "authenticate"]),
    (Operation::Logout, &["logout", "logoff", "signout"]),
    (Operation::Exec, &["exec", "execute", "run", "invoke"]),
    (Operation::Grant, &["grant", "revoke", "authorize", "authorise", "assign"]),
    (Operation::Configure, &["configure"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_is_found_in_any_name() {
        for (action, expected) in [
            ("createServer", Operation::Create),
            ("batchDeleteServers", Operation::Delete),
            ("com.example.audit.deleted", Operation::Delete),
            ("user.login.success", Operation::Login),
            ("loginFailed", Operation::Login),
            ("user_logged_out", Operation::Logout),
            ("SignIn", Operation::Login),
            ("updateLoginPolicy", Operation::Update),
            ("GetObject", Operation::Read),
            ("DELETE", Operation::Delete),
            ("export-report", Operation::Download),
            ("grantRole", Operation::Grant),
            ("order.modified", Operation::Update),
            ("pullImage", Operation::Pull),
            ("audit.event", Operation::Other),
            ("settings", Operation::Other),
            ("address", Operation::Other),
            ("", Operation::Other),
            ("..", Operation::Other),
        ] {
            assert_eq!(operation(action), expected, "{action}");
        }
    }

    #[test]
    fn no_verb_is_two_operations() {
        let all: Vec<&str> = VERBS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        for (operation, verbs) in VERBS {
            for one in verbs {
                assert_eq!(verb(one), Some(operation), "{one}");
                assert_eq!(all.iter().filter(|other| *other == one).count(), 1, "{one}");
            }
        }
    }

    #[test]
    fn severity_and_class_follow_from_operation_and_outcome() {
        let outcome_of = |kind, code, reason: Option<&str>| Outcome {
            kind,
            code,
            reason: reason.map(str::to_owned),
        };
        let done = || outcome_of(OutcomeKind::Success, None, None);
        let failed = |code| outcome_of(OutcomeKind::Failure, code, None);
        for (operation, action, kind, outcome, expected, expected_class) in [
            (Operation::Create, "createServer", Some("ecs"), done(), 1, Class::Operation),
            (
                Operation::Create,
                "createServer",
                Some("ecs"),
                failed(Some(400)),
                2,
                Class::Operation,
            ),
            (
                Operation::Create,
                "createServer",
                Some("ecs"),
                failed(Some(503)),
                3,
                Class::Operation,
            ),
            (Operation::Create, "createServer", Some("ecs"), failed(Some(403)), 2, Class::Security),
            (Operation::Delete, "deleteServer", Some("ecs"), done(), 2, Class::Operation),
            (Operation::Delete, "deleteServer", Some("ecs"), failed(Some(403)), 3, Class::Security),
            (
                Operation::Delete,
                "delete",
                None,
                outcome_of(OutcomeKind::Failure, None, Some("denied")),
                3,
                Class::Security,
            ),
            (Operation::Delete, "delete", None, failed(Some(404)), 2, Class::Operation),
            (Operation::Login, "login", None, done(), 1, Class::Security),
            (Operation::Login, "login", None, failed(None), 3, Class::Security),
            (Operation::Create, "createUser", None, done(), 1, Class::Security),
            (Operation::Update, "update", Some("access_policies"), done(), 1, Class::Security),
            (Operation::Update, "disable", Some("audit_log"), done(), 1, Class::Security),
            (
                Operation::Delete,
                "com.example.audit.delete",
                Some("server"),
                done(),
                2,
                Class::Operation,
            ),
            (Operation::Read, "listUsers", Some("users"), done(), 1, Class::Operation),
            (Operation::Other, "x", None, Outcome::default(), 1, Class::Operation),
        ] {
            assert_eq!(severity(operation, &outcome).level(), expected, "{action} {outcome:?}");
            assert_eq!(
                class(operation, action, kind, &outcome),
                expected_class,
                "{action} {outcome:?}"
            );
        }
    }

    #[test]
    fn results_are_words() {
        for (word, expected) in [
            ("success", OutcomeKind::Success),
            ("OK", OutcomeKind::Success),
            ("fail", OutcomeKind::Failure),
            ("Denied", OutcomeKind::Failure),
            ("pending", OutcomeKind::Unknown),
            ("", OutcomeKind::Unknown),
        ] {
            assert_eq!(outcome(word), expected, "{word}");
        }
    }
}
