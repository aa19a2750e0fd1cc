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
    now: Time,
) -> Result<Caller<'a>, Unauthenticated> {
    if request.header_count("authorization") > 1 {
        return Err(Unauthenticated::WrongSignature);
    }
    match request.header("authorization") {
        Some(header) if signature::is_signature(header) => verify(header, request, rights, now),
        _ if request.headers.contains_key("x-auth-token") => token(request, rights, now),
        _ => Err(Unauthenticated::Missing),
    }
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
    let (token, user) = rights.token(text).ok_or(Unauthenticated::UnreadableToken)?;
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
