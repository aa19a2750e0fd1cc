//! The caller behind the credentials of a request.

use event::Time;

use access::signature::{self, Authorization, SignedRequest};
use access::{Caller, Scope, Snapshot};
use net::Request;

/// Why credentials identify no caller.
#[derive(Debug, PartialEq, Eq)]
pub enum Unauthenticated {
    /// Neither signature nor token.
    Missing,
    /// The token is not one of ours.
    UnreadableToken,
    /// The token has expired.
    ExpiredToken(Time),
    /// The signature names an access key that does not exist.
    UnknownKey(String),
    /// The signature differs, lacks a header, or is too old or too new.
    WrongSignature,
}

/// Finds the caller behind a request. A signature counts before a token; an `Authorization` header
/// of another scheme counts as none.
pub fn authenticate<'a>(
    request: &Request,
    rights: &'a Snapshot,
    sessions: Sessions,
    now: Time,
) -> Result<Caller<'a>, Unauthenticated> {
    if request.header_count("authorization") > 1 {
        return Err(Unauthenticated::WrongSignature);
    }
    match request.header("authorization") {
        Some(header) if signature::is_signature(header) => verify(header, request, rights, now),
        _ if request.headers.contains_key("x-auth-token") => token(request, rights, now),
        _ => session(request, rights, sessions, now),
    }
}

/// Names of the cookie with a session: over TLS, where no other host can set it, and on loopback.
pub const COOKIES: [&str; 2] = ["__Host-daybook", "daybook"];
/// Time without a request after which a session ends.
pub const SESSION_IDLE_S: i64 = 12 * 60 * 60;
/// The header of the console's own requests, which no other site can send.
pub const CONSOLE: &str = "x-daybook-console";

/// Which cookies of a session count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// None: the console is off.
    Off,
    /// That of TLS, and the plain one on loopback.
    Safe,
    /// The plain one from anywhere, too.
    Insecure,
}

impl Sessions {
    pub fn of(console: &config::Console) -> Sessions {
        match (console.enabled, console.insecure) {
            (false, _) => Sessions::Off,
            (true, false) => Sessions::Safe,
            (true, true) => Sessions::Insecure,
        }
    }
}

/// Hosts that only this machine reaches, where a cookie without TLS is as good.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Whether a host, with or without a port, is this machine's own.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    LOOPBACK.contains(&name)
}

/// The text of the session's cookie, if it counts. Another host of the same domain can set the
/// plain one, so that of TLS comes first, and the plain one is for this machine alone.
pub fn session_text(request: &Request, sessions: Sessions) -> Option<&str> {
    let takes_plain = match sessions {
        Sessions::Off => return None,
        Sessions::Safe => is_loopback(&request.host),
        Sessions::Insecure => true,
    };
    let header = request.header("cookie")?;
    let value_of = |wanted: &&str| {
        let mut pairs = header.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value)
    };
    COOKIES[..if takes_plain { 2 } else { 1 }].iter().find_map(value_of)
}

/// Finds the caller behind a session's cookie. It is good for Daybook's own API and for evidence
/// alone, and only where a browser says that the request is the page's own.
fn session<'a>(
    request: &Request,
    rights: &'a Snapshot,
    sessions: Sessions,
    now: Time,
) -> Result<Caller<'a>, Unauthenticated> {
    let is_ours = ["/api/v1/", "/tlog/"].iter().any(|path| request.raw_path.starts_with(path));
    let text = session_text(request, sessions).filter(|_| is_ours && is_own_page(request));
    let text = text.ok_or(Unauthenticated::Missing)?;
    let found = rights.token(text).filter(|(token, _)| token.is_session());
    let (token, user) = found.ok_or(Unauthenticated::UnreadableToken)?;
    let ends_at = rights.last_use(token).plus_seconds(SESSION_IDLE_S).min(token.expires_at);
    if ends_at <= now {
        return Err(Unauthenticated::ExpiredToken(ends_at));
    }
    rights.note_use(token, now);
    Ok(Caller { user, scope: token.scope.clone() })
}

/// Whether a request with a cookie comes from the console's page: by the browser's own word, or by
/// the header. One that may change something needs the header, and its origin is this host.
fn is_own_page(request: &Request) -> bool {
    let has_header = request.header(CONSOLE) == Some("1");
    if matches!(request.method.as_str(), "GET" | "HEAD") {
        return has_header || request.header("sec-fetch-site") == Some("same-origin");
    }
    has_header && origin_of(request).is_some_and(|(_, host)| host == request.host)
}

/// The scheme and the host of the page that sent a request.
pub fn origin_of(request: &Request) -> Option<(&str, &str)> {
    request.header("origin")?.split_once("://")
}

/// Finds the caller behind a token, whatever else the request has.
pub fn token<'a>(
    request: &Request,
    rights: &'a Snapshot,
    now: Time,
) -> Result<Caller<'a>, Unauthenticated> {
    if !request.headers.contains_key("x-auth-token") {
        return Err(Unauthenticated::Missing);
    }
    let text = request.header("x-auth-token").ok_or(Unauthenticated::UnreadableToken)?;
    // A link and a session are good in their own ways alone.
    let found = rights.token(text).filter(|(token, _)| !token.is_link() && !token.is_session());
    let (token, user) = found.ok_or(Unauthenticated::UnreadableToken)?;
    if token.expires_at <= now {
        return Err(Unauthenticated::ExpiredToken(token.expires_at));
    }
    rights.note_use(token, now);
    Ok(Caller { user, scope: token.scope.clone() })
}

fn verify<'a>(
    header: &str,
    request: &Request,
    rights: &'a Snapshot,
    now: Time,
) -> Result<Caller<'a>, Unauthenticated> {
    let authorization = Authorization::parse(header).ok_or(Unauthenticated::WrongSignature)?;
    let signed = SignedRequest {
        method: request.method.as_str(),
        raw_path: &request.raw_path,
        raw_query: &request.raw_query,
        headers: &request.headers,
        host: &request.host,
        body: &request.body,
    };
    match rights.access_key(authorization.access_key) {
        Some((secret, user)) if authorization.verifies(&signed, secret.expose(), now) => {
            Ok(Caller { user, scope: Scope::User })
        }
        Some(_) => Err(Unauthenticated::WrongSignature),
        None => {
            signature::verify_nothing(&authorization, &signed, now);
            Err(Unauthenticated::UnknownKey(authorization.access_key.chars().take(64).collect()))
        }
    }
}
