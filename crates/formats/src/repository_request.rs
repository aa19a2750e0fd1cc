//! The meaning of an HTTP request to an artifact repository, for the access logs of any server in
//! front of one.

use percent_encoding::percent_decode_str;

use crate::texts::non_empty;
use event::{Actor, ActorKind, Class, Operation, Outcome, OutcomeKind, Resource, Severity};

/// Path of the npm registry's own calls, as opposed to packages.
const NPM_CALL: &str = "/-/";

/// A request and its response.
#[derive(Default)]
pub(crate) struct Request {
    /// Empty for bytes that are not HTTP.
    pub method: String,
    pub status: u32,
    /// Decoded, without the query; with its first slash.
    pub path: String,
    /// Whether the path as sent or as served ends in a slash.
    pub is_index: bool,
    pub is_npm: bool,
    pub user: Option<String>,
    /// The scheme with which the client tried to sign in: Basic, Bearer, ….
    pub auth_scheme: Option<String>,
    /// The meaning of a request to the program's own interface rather than for a file.
    pub call: Option<Operation>,
}

impl Request {
    pub fn action(&self) -> String {
        if self.method.is_empty() { "-".to_owned() } else { self.method.clone() }
    }

    pub fn operation(&self) -> Operation {
        match (&*self.method, self.call) {
            _ if self.is_challenge() => Operation::Read,
            (_, Some(call)) => call,
            ("GET", _) if self.is_for_file() => Operation::Download,
            ("GET" | "HEAD" | "OPTIONS" | "PROPFIND", _) => Operation::Read,
            ("PUT" | "POST" | "DELETE", _) if self.is_npm_call() => self.npm_call(),
            ("PUT", _) if self.resource_path() != self.path => Operation::Update,
            ("PUT" | "POST", _) => Operation::Upload,
            ("DELETE", _) => Operation::Delete,
            ("MKCOL" | "COPY", _) => Operation::Create,
            ("MOVE" | "PATCH", _) => Operation::Update,
            _ => Operation::Other,
        }
    }

    /// A client with a token has an identity, though the log does not know it.
    pub fn actor(&self) -> Actor {
        let kind = match (&self.user, &self.auth_scheme) {
            (Some(_), _) => ActorKind::User,
            (None, Some(_)) => ActorKind::Unknown,
            (None, None) => ActorKind::Anonymous,
        };
        Actor { id: None, name: self.user.clone(), kind }
    }

    pub fn resource(&self) -> Resource {
        let kind = match self.operation() {
            _ if self.method.is_empty() => "request",
            _ if self.is_about_account() => "user",
            _ if self.call.is_some() => "request",
            _ => "file",
        };
        let path = self.resource_path();
        Resource {
            kind: Some(kind.to_owned()),
            name: non_empty(path.strip_prefix('/').unwrap_or(path)),
            id: None,
            region: None,
        }
    }

    pub fn outcome(&self) -> Outcome {
        let operation = self.operation();
        let (kind, reason) = match self.status {
            204 if operation == Operation::Upload && self.method == "PUT" => {
                (OutcomeKind::Success, Some("overwrite".to_owned()))
            }
            200..300 => (OutcomeKind::Success, None),
            300..400 if operation == Operation::Read => (OutcomeKind::Success, None),
            400.. => (OutcomeKind::Failure, Some(format!("HTTP {}", self.status))),
            _ => (OutcomeKind::Unknown, None),
        };
        Outcome { kind, code: Some(self.status), reason }
    }

    pub fn severity(&self) -> Severity {
        let is_delete = self.operation() == Operation::Delete;
        match self.status {
            _ if self.is_challenge() => Severity::WARNING,
            401 | 500.. => Severity::MAJOR,
            403 if is_delete => Severity::MAJOR,
            400.. => Severity::MINOR,
            200..300 if is_delete => Severity::MINOR,
            _ => Severity::WARNING,
        }
    }

    pub fn class(&self) -> Class {
        if self.is_about_account() || self.is_refused() {
            Class::Security
        } else {
            Class::Operation
        }
    }

    /// Whether it only looked, and was not refused.
    pub fn is_noise(&self) -> bool {
        self.operation() == Operation::Read && self.class() == Class::Operation
    }

    /// Refused without credentials, without having tried any.
    fn is_challenge(&self) -> bool {
        self.status == 401
            && self.user.is_none()
            && self.auth_scheme.is_none()
            && !self.is_login_call()
    }

    /// Whether it signs in with credentials in its body.
    fn is_login_call(&self) -> bool {
        let is_npm_login = self.is_npm_call() && self.npm_call() == Operation::Login;
        self.call == Some(Operation::Login) || is_npm_login
    }

    fn is_refused(&self) -> bool {
        matches!(self.status, 401 | 403) && !self.is_challenge()
    }

    /// The path of the resource: npm puts the base revision of a change after it.
    fn resource_path(&self) -> &str {
        match self.path.split_once("/-rev/") {
            Some((path, _)) if self.is_npm => path,
            _ => &self.path,
        }
    }

    /// Only tarballs share `/-/` with the npm registry's own calls.
    fn is_npm_tarball(&self) -> bool {
        self.path.contains(NPM_CALL) && self.resource_path().ends_with(".tgz")
    }

    fn is_npm_call(&self) -> bool {
        self.is_npm && self.path.contains(NPM_CALL) && !self.is_npm_tarball()
    }

    /// Whether a GET is for a file, and not for an index, for metadata or for news of a change.
    fn is_for_file(&self) -> bool {
        let is_redirect = (300..400).contains(&self.status);
        let is_metadata = self.is_npm && !self.is_npm_tarball();
        !is_redirect && !is_metadata && !self.is_index && !self.path.ends_with("/-/ping")
    }

    /// `npm login`, `logout`, `token`, `profile` and `dist-tag`.
    fn npm_call(&self) -> Operation {
        match &*self.method {
            "PUT" if self.path.contains("/-/user/") => Operation::Login,
            "POST" if self.path.contains("/-/verdaccio/sec/login") => Operation::Login,
            "DELETE" if self.path.contains("/-/user/token/") => Operation::Logout,
            _ if self.path.contains("/-/npm/v1/tokens") => Operation::Grant,
            _ if self.is_profile() => Operation::Update,
            _ if self.path.contains("/dist-tags") => Operation::Update,
            _ => Operation::Other,
        }
    }

    /// The path for changing passwords.
    fn is_profile(&self) -> bool {
        self.path.ends_with("/-/npm/v1/user")
            || self.path.ends_with("/-/verdaccio/sec/reset_password")
    }

    fn is_about_account(&self) -> bool {
        match self.operation() {
            Operation::Login | Operation::Logout | Operation::Grant => true,
            Operation::Update => self.is_npm_call() && self.is_profile(),
            _ => false,
        }
    }
}

/// Whether only npm uses this path for a change. Reads are not judged by it: the client chooses the
/// path and must not be able to make a download look like less.
pub(crate) fn is_npm_change(method: &str, path: &str) -> bool {
    let marks = ["/-/user/", "/-/npm/v1/", "/-/package/", "/-rev/"];
    matches!(method, "PUT" | "POST" | "DELETE") && marks.iter().any(|mark| path.contains(mark))
}

/// Method, target and protocol of a request line. The method is empty for bytes that are not HTTP.
pub(crate) fn request_line(line: &str) -> (&str, &str, &str) {
    let Some((method, rest)) = line.split_once(' ') else { return ("", "", "") };
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return ("", "", "");
    }
    match rest.rsplit_once(' ') {
        Some((target, protocol)) if protocol.starts_with("HTTP/") => (method, target, protocol),
        _ => (method, rest, ""),
    }
}

/// The path that a server looks up for a request's target: without the query, decoded, with one
/// slash for several and without `.` and `..`. A client may send the target with scheme and host
/// (RFC 9112 section 3.2.2), which name the same path.
pub(crate) fn served_path(target: &str) -> String {
    let target = target.split(['?', '#']).next().unwrap_or_default();
    let decoded = percent_decoded(path_of_absolute(target).unwrap_or(target));
    let Some(path) = decoded.strip_prefix('/') else { return decoded };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let is_folder = matches!(path.rsplit('/').next(), Some("" | "." | ".."));
    let end = if is_folder && !parts.is_empty() { "/" } else { "" };
    format!("/{}{end}", parts.join("/"))
}

/// The path of a target in absolute form.
fn path_of_absolute(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    let is_http = ["http", "https"].iter().any(|one| scheme.eq_ignore_ascii_case(one));
    is_http.then(|| rest.find('/').map_or("/", |at| &rest[at..]))
}

/// Decodes RFC 3986 section 2.1. A percent sign without two hexadecimal digits stands for itself.
pub(crate) fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_are_decoded_once() {
        for (text, expected) in [
            ("/a%2Fb%20c", "/a/b c"),
            ("/%E6%96%87", "/文"),
            ("/100%25", "/100%"),
            ("/100%2525", "/100%25"),
            ("/%ff", "/\u{fffd}"),
            ("/%f", "/%f"),
            ("/%", "/%"),
            ("/%+1%zz", "/%+1%zz"),
        ] {
            assert_eq!(percent_decoded(text), expected, "{text}");
        }
    }

    #[test]
    fn paths_are_those_that_are_served() {
        for (target, expected) in [
            ("/generic/../generic//a+b%2Bc.bin?x=1", "/generic/a+b+c.bin"),
            ("/a/./b/%2e%2e/c", "/a/c"),
            ("/a/b/", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/../../etc", "/etc"),
            ("/", "/"),
            ("//", "/"),
            ("", ""),
            ("*", "*"),
            ("http://host/a//b", "/a/b"),
            ("HTTPS://host:8443/r/./x/../%61?y=1", "/r/a"),
            ("http://host", "/"),
            ("ftp://host/a", "ftp://host/a"),
            ("/http://host/a", "/http:/host/a"),
            ("/a#b", "/a"),
        ] {
            assert_eq!(served_path(target), expected, "{target}");
        }
    }

    #[test]
    fn request_lines_need_a_method() {
        for (line, expected) in [
            ("GET /a b HTTP/1.1", ("GET", "/a b", "HTTP/1.1")),
            ("GET /a", ("GET", "/a", "")),
            ("\u{16}\u{3}\u{1}garbage", ("", "", "")),
            ("get /a HTTP/1.1", ("", "", "")),
            (" /a HTTP/1.1", ("", "", "")),
            ("-", ("", "", "")),
            ("", ("", "", "")),
        ] {
            assert_eq!(request_line(line), expected, "{line}");
        }
    }

    #[test]
    fn only_changes_are_npms_by_their_path() {
        assert!(is_npm_change("PUT", "/npm/-/user/org.couchdb.user:b"));
        assert!(is_npm_change("DELETE", "/npm/demo/-rev/5-67"));
        assert!(!is_npm_change("GET", "/npm/-/package/demo/dist-tags"));
        assert!(!is_npm_change("PUT", "/npm/demo"));
    }
}
