//! `/api/v1/session`: signing in to the console, and out. A session is a token that only the cookie
//! of a browser shows, so that no script of a page holds it: `docs/api/session.md`.

use std::sync::Arc;

use event::{Operation, Time};
use hyper::StatusCode;
use hyper::header::{HeaderValue, SET_COOKIE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::api::caller::{COOKIES, is_loopback, origin_of, session_text};
use crate::api::{Answer, ApiError, Call, Refusal};
use crate::login::{self, Claim, DomainRequest, PasswordUser, TEXT_BYTES_MAX, TOKEN_LIFE_S};
use crate::rights_log::RightsLog;
use access::{SESSION, Scope, Token, User};
use intake::audit::Act;
use net::Response;

/// Who signs in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Name of the user's domain; default: that of Daybook's operators.
    domain: Option<String>,
    user: Option<String>,
    password: Option<String>,
    /// The code of a link, instead of a name and a password.
    code: Option<String>,
}

/// Who is signed in.
#[derive(Serialize, JsonSchema)]
pub struct Session {
    /// The user's name.
    user: String,
    /// The user's domain.
    domain: String,
    /// When the session ends at the latest.
    expires: String,
    /// What the user is granted, in order; empty for who may see nothing.
    grants: Vec<SessionGrant>,
    /// Name of the log in checkpoints.
    origin: String,
    /// Version of the server.
    version: String,
    /// The trail of Daybook's own events.
    own_trail: String,
}

/// A grant.
#[derive(Serialize, JsonSchema)]
pub struct SessionGrant {
    /// A role, or the name of an action.
    role: String,
    /// SERVICE/TENANT/PROJECT/INSTANCE, with `*` for any part.
    trails: String,
}

fn wrong() -> Refusal {
    let text = "Wrong name or password.";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", text).into()
}

/// `POST /api/v1/session`
pub fn sign_in(call: &Call<'_>) -> Result<Answer, Refusal> {
    check_enabled(call)?;
    let is_secure = is_secure(call)?;
    let body: SignIn = serde_json::from_slice(&call.request.body)
        .map_err(|error| Problem::malformed(format!("the body is not as it should be: {error}")))?;
    // The record of the request must not quote a password.
    call.quote("POST /api/v1/session");
    let user = PasswordUser {
        id: None,
        name: body.user,
        password: None,
        domain: Some(DomainRequest { id: None, name: body.domain.or_else(|| own_domain(call)) }),
    };
    let claim = match (&body.code, &user.name, &body.password) {
        (Some(code), None, None) => Claim::Code(code),
        (None, Some(_), Some(password)) => Claim::Password { user: &user, password },
        _ => return Err(Problem::malformed("give user and password, or code").into()),
    };
    if claim.texts().iter().any(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(wrong());
    }
    let (caller, _) = login::authenticate(call, &claim, wrong)?;
    let caller = call.admit(caller)?;
    if let Claim::Code(code) = claim
        && !call
            .state
            .access
            .end_token(&login::id_of(code), &rights(call))
            .map_err(ApiError::Unrecorded)?
    {
        return Err(wrong());
    }
    let text = login::new_text();
    let token = Token {
        id: login::id_of(&text),
        user: caller.user.id.clone(),
        scope: Scope::User,
        methods: vec![SESSION.to_owned()],
        issued_at: call.now,
        expires_at: call.now.plus_seconds(TOKEN_LIFE_S),
    };
    login::issue(call, &text, &token, &claim, wrong)?;
    let body = session(call, caller.user, token.expires_at);
    let cookie = cookie(&text, is_secure);
    Ok(Answer::json(StatusCode::OK, &body)
        .map_response(|response| with_cookie(response, &cookie))
        .recorded())
}

/// `GET /api/v1/session`
pub fn show(call: &Call<'_>) -> Result<Answer, Refusal> {
    check_enabled(call)?;
    call.concerns("session");
    let user = call.caller()?.user;
    let token =
        session_text(call.request, call.sessions()).and_then(|text| call.rights.token(text));
    let expires = token.map_or(call.now, |(token, _)| token.expires_at);
    Ok(Answer::json(StatusCode::OK, &session(call, user, expires)).recorded())
}

/// `DELETE /api/v1/session`
pub fn sign_out(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.concerns("session");
    call.caller()?;
    let found =
        session_text(call.request, call.sessions()).and_then(|text| call.rights.token(text));
    let Some((token, _)) = found.filter(|(token, _)| token.is_session()) else {
        return Err(Problem::malformed("the request has no session to end").into());
    };
    call.state.access.end_token(&token.id, &rights(call)).map_err(ApiError::Unrecorded)?;
    let who = call.who();
    let name = who.name.clone().unwrap_or_default();
    let act = Act::new("logout", Operation::Logout, "Console")
        .by(who)
        .on("user", &name)
        .with("token_id", &token.id);
    let act = Act { description: Some("a session was ended by its user".to_owned()), ..act };
    call.state.audit.record_now(act).map_err(ApiError::Unrecorded)?;
    let cleared = COOKIES.map(|name| {
        let secure = if name.starts_with("__Host-") { " Secure;" } else { "" };
        format!("{name}=; Max-Age=0; HttpOnly;{secure} SameSite=Strict; Path=/")
    });
    Ok(Answer::empty(StatusCode::NO_CONTENT)
        .map_response(|response| {
            cleared.iter().fold(response, |response, cookie| with_cookie(response, cookie))
        })
        .recorded())
}

fn check_enabled(call: &Call<'_>) -> Result<(), Refusal> {
    if call.state.config().console.enabled {
        return Ok(());
    }
    Err(Problem::not_found("the console is off: console.enabled").into())
}

/// Whether the browser reaches the page over TLS, by the page's own origin: a proxy may do the TLS.
/// Without TLS a session is for this machine alone, unless the configuration allows others.
fn is_secure(call: &Call<'_>) -> Result<bool, Refusal> {
    let request = call.request;
    let content_type = request.header("content-type").unwrap_or_default();
    if content_type.split(';').next() != Some("application/json") {
        return Err(Problem::malformed("the body is application/json").into());
    }
    let Some((scheme, host)) = origin_of(request).filter(|(_, host)| *host == request.host) else {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "sign in from the page of this server: the request's Origin is another",
        )
        .into());
    };
    match scheme {
        "https" => Ok(true),
        "http" if is_loopback(host) || call.state.config().console.insecure => Ok(false),
        _ => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "insecure",
            "without TLS anybody on the way could read the password and the session; use https, \
             or set console.insecure",
        )
        .into()),
    }
}

fn rights(call: &Call<'_>) -> RightsLog {
    RightsLog { log: Arc::clone(&call.state.log), audit: Arc::clone(&call.state.audit) }
}

/// The name of the domain of Daybook's own operators.
fn own_domain(call: &Call<'_>) -> Option<String> {
    let tenant = call.state.audit.trail().tenant();
    Some(call.rights.domain(tenant).map_or(tenant, |domain| domain.name.as_str()).to_owned())
}

fn session(call: &Call<'_>, user: &User, expires_at: Time) -> Session {
    let domain = call.rights.domain(&user.domain).map_or(&user.domain, |domain| &domain.name);
    let grant = |(permission, trails): (access::rights::Permission, &event::TrailPattern)| {
        SessionGrant { role: permission.as_str().to_owned(), trails: trails.to_string() }
    };
    Session {
        user: user.name.clone(),
        domain: domain.clone(),
        expires: expires_at.to_string(),
        grants: user.grants().map(grant).collect(),
        origin: call.state.log.contents().identity().origin.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        own_trail: call.state.audit.trail().to_string(),
    }
}

fn cookie(text: &str, is_secure: bool) -> String {
    let [secure, plain] = COOKIES;
    match is_secure {
        true => format!("{secure}={text}; HttpOnly; Secure; SameSite=Strict; Path=/"),
        false => format!("{plain}={text}; HttpOnly; SameSite=Strict; Path=/"),
    }
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}
