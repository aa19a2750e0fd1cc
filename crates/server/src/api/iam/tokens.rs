//! Tokens: issued for a password, an access key or another token, good for 24 hours.

use std::sync::Arc;

use event::{Operation, Time};
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::api::parameters::text as parameter;
use crate::api::{Answer, ApiError, Call, Refusal};
use crate::login::{
    self, Claim, DomainRequest, PasswordUser, TEXT_BYTES_MAX, TOKEN_LIFE_S, is_domain,
};
use crate::rights_log::RightsLog;
use access::{Caller, Domain, Scope, Snapshot, Token, User};
use intake::audit::Act;
use net::Response;

const X_SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");
const FUNCTION: &str = "Access control";

#[derive(Deserialize)]
struct Body {
    auth: Option<Auth>,
}

#[derive(Deserialize)]
struct Auth {
    identity: Option<Identity>,
    scope: Option<ScopeRequest>,
}

#[derive(Deserialize)]
struct Identity {
    methods: Option<Vec<String>>,
    password: Option<ByPassword>,
    hw_ak_sk: Option<ByKey>,
    token: Option<ByToken>,
}

#[derive(Deserialize)]
struct ByPassword {
    user: Option<PasswordUser>,
}

#[derive(Deserialize)]
struct ByKey {
    access: Option<KeyText>,
    secret: Option<KeyText>,
}

#[derive(Deserialize)]
struct KeyText {
    key: Option<String>,
}

#[derive(Deserialize)]
struct ByToken {
    id: Option<String>,
}

#[derive(Deserialize)]
struct ScopeRequest {
    project: Option<ProjectRequest>,
    domain: Option<DomainRequest>,
}

#[derive(Deserialize)]
struct ProjectRequest {
    id: Option<String>,
    name: Option<String>,
    domain: Option<DomainRequest>,
}

pub(super) fn create(call: &Call<'_>) -> Result<Answer, Refusal> {
    let body: Body = serde_json::from_slice(&call.request.body).map_err(|_| Error::InvalidBody)?;
    let auth = body.auth.ok_or(Error::MissingMember("auth"))?;
    let identity = auth.identity.ok_or(Error::MissingMember("identity"))?;
    let claim = claim(&identity)?;
    if claim.texts().iter().any(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(Error::InvalidBody.into());
    }
    let (caller, expires_at) = login::authenticate(call, &claim, wrong)?;
    let caller = call.admit(caller)?;
    let Some(scope) = scope(auth.scope.as_ref(), caller, call.rights) else {
        return Err(login::refuse(call, &claim, "no such scope", Error::WrongScope));
    };
    let text = login::new_text();
    let token = Token {
        id: login::id_of(&text),
        user: caller.user.id.clone(),
        scope,
        methods: vec![claim.method().to_owned()],
        issued_at: call.now,
        expires_at: expires_at.unwrap_or(call.now.plus_seconds(TOKEN_LIFE_S)),
    };
    login::issue(call, &text, &token, &claim, wrong)?;
    let is_brief = parameter(call.raw_query(), "nocatalog").is_some();
    let body = render(&token, caller.user, call.rights, is_brief);
    Ok(Answer::json(StatusCode::CREATED, &body)
        .map_response(|response| with_subject(response, &text))
        .recorded())
}

/// The error of a claim that is not true.
fn wrong() -> Refusal {
    Error::WrongCredentials.into()
}

fn with_subject(mut response: Response, token: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(token) {
        response.headers_mut().insert(X_SUBJECT_TOKEN, value);
    }
    response
}

/// Whether a body claims to be someone; for fuzz targets.
pub fn is_login(body: &[u8]) -> bool {
    let Ok(Body { auth: Some(Auth { identity: Some(identity), .. }) }) =
        serde_json::from_slice(body)
    else {
        return false;
    };
    claim(&identity).is_ok_and(|claim| {
        claim.account().is_none_or(|account| !account.is_empty()) && !claim.method().is_empty()
    })
}

fn claim<'a>(identity: &'a Identity) -> Result<Claim<'a>, Error> {
    let methods = identity.methods.as_ref().ok_or(Error::MissingMember("methods"))?;
    let [method] = &methods[..] else { return Err(Error::InvalidBody) };
    match method.as_str() {
        "password" => {
            let by = identity.password.as_ref().ok_or(Error::MissingMember("password"))?;
            let user = by.user.as_ref().ok_or(Error::MissingMember("user"))?;
            let password = user.password.as_deref().ok_or(Error::MissingMember("password"))?;
            if user.id.is_none() && user.name.is_none() {
                return Err(Error::MissingMember("name"));
            }
            if user.id.is_none() && user.domain.is_none() {
                return Err(Error::MissingMember("domain"));
            }
            Ok(Claim::Password { user, password })
        }
        "hw_ak_sk" => {
            let by = identity.hw_ak_sk.as_ref().ok_or(Error::MissingMember("hw_ak_sk"))?;
            let key = |one: &'a Option<KeyText>| {
                one.as_ref().and_then(|one| one.key.as_deref()).ok_or(Error::MissingMember("key"))
            };
            Ok(Claim::Key { id: key(&by.access)?, secret: key(&by.secret)? })
        }
        "token" => {
            let by = identity.token.as_ref().ok_or(Error::MissingMember("token"))?;
            by.id.as_deref().map(Claim::Token).ok_or(Error::MissingMember("id"))
        }
        _ => Err(Error::InvalidBody),
    }
}

/// The requested scope, if the caller has it. Without one, it is the user's own domain in name and
/// all of the user's rights in effect; a token requested with a token has at most the scope of that
/// one.
fn scope(request: Option<&ScopeRequest>, caller: &Caller<'_>, rights: &Snapshot) -> Option<Scope> {
    let Some(request) = request else { return Some(caller.scope.clone()) };
    if let Some(project) = &request.project {
        // Beside the project, or within it, as Keystone has it.
        let domain_is = |tenant: &str| match project.domain.as_ref().or(request.domain.as_ref()) {
            None => true,
            Some(domain) => is_domain(domain, tenant, rights),
        };
        let found: Vec<_> = rights
            .projects_of(caller, project.name.as_deref().filter(|_| project.id.is_none()))
            .into_iter()
            .filter(|found| {
                project.id.as_ref().is_none_or(|id| *id == found.id) && domain_is(&found.tenant)
            })
            .collect();
        let [only] = found[..] else { return None };
        let is_named = project.id.is_some() || project.name.is_some();
        return is_named.then(|| Scope::Project(only.id.clone()));
    }
    let domain = request.domain.as_ref()?;
    let reached = rights.projects_of(caller, None);
    let mut known = reached.iter().map(|project| &project.tenant).chain([&caller.user.domain]);
    let id = known.find(|id| is_domain(domain, id, rights))?;
    match &caller.scope {
        Scope::User => Some(Scope::Domain(id.clone())),
        Scope::Domain(only) if only != id => None,
        narrower => Some(narrower.clone()),
    }
}

/// The token that a request is about, and its text. Others' tokens do not exist.
fn subject<'a>(call: &Call<'a>) -> Result<(&'a str, &'a Token, &'a User), Refusal> {
    let caller = call.caller()?;
    let text =
        call.request.header("x-subject-token").ok_or(Error::MissingMember("X-Subject-Token"))?;
    let found = call.rights.token(text).filter(|(token, _)| token.expires_at > call.now);
    let (token, user) =
        found.filter(|(_, user)| user.id == caller.user.id).ok_or(Error::NoSuchToken)?;
    Ok((text, token, user))
}

/// Ends a token of the caller, as Keystone does:
/// <https://docs.openstack.org/api-ref/identity/v3/#revoke-token>.
pub(super) fn revoke(call: &Call<'_>) -> Result<Answer, Refusal> {
    let (_, token, _) = subject(call)?;
    let (log, audit) = (Arc::clone(&call.state.log), Arc::clone(&call.state.audit));
    let ended = call.state.access.end_token(&token.id, &RightsLog { log, audit });
    ended.map_err(ApiError::Unrecorded)?;
    let who = call.who();
    let name = who.name.clone().unwrap_or_default();
    let act = Act::new("logout", Operation::Logout, FUNCTION)
        .by(who)
        .on("user", &name)
        .with("token_id", &token.id);
    let act = Act { description: Some("a token was ended by its user".to_owned()), ..act };
    call.state.audit.record_now(act).map_err(ApiError::Unrecorded)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT).recorded())
}

/// Describes a token to a caller with a token.
pub(super) fn validate(call: &Call<'_>) -> Result<Answer, Refusal> {
    let (subject, token, user) = subject(call)?;
    let is_brief = parameter(call.raw_query(), "nocatalog").is_some();
    let answer = Answer::json(StatusCode::OK, &render(token, user, call.rights, is_brief));
    Ok(answer.map_response(|response| with_subject(response, subject)))
}

#[derive(Serialize)]
struct TokenAnswer<'a> {
    token: TokenBody<'a>,
}

#[derive(Serialize)]
struct TokenBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog: Option<[(); 0]>,
    expires_at: String,
    issued_at: String,
    methods: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<ProjectName<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<DomainName<'a>>,
    roles: Vec<Role>,
    user: UserName<'a>,
}

#[derive(Serialize)]
struct ProjectName<'a> {
    domain: DomainName<'a>,
    id: &'a str,
    name: &'a str,
}

/// A domain as tokens name it.
#[derive(Serialize)]
struct DomainName<'a> {
    id: &'a str,
    name: &'a str,
}

impl<'a> DomainName<'a> {
    fn of(domain: &'a Domain) -> DomainName<'a> {
        DomainName { id: &domain.id, name: &domain.name }
    }
}

#[derive(Serialize)]
struct Role {
    id: String,
    name: &'static str,
}

#[derive(Serialize)]
struct UserName<'a> {
    domain: DomainName<'a>,
    id: &'a str,
    name: &'a str,
    password_expires_at: &'static str,
}

fn render<'a>(
    token: &'a Token,
    user: &'a User,
    rights: &'a Snapshot,
    is_brief: bool,
) -> TokenAnswer<'a> {
    let domain =
        |id: &'a str| rights.domain(id).map_or(DomainName { id, name: id }, DomainName::of);
    let project = match &token.scope {
        Scope::Project(id) => rights.project(id).map(|project| ProjectName {
            domain: domain(&project.tenant),
            id: &project.id,
            name: &project.name,
        }),
        _ => None,
    };
    let scope_domain = match &token.scope {
        Scope::Project(_) => None,
        Scope::Domain(id) => Some(domain(id)),
        Scope::User => Some(domain(&user.domain)),
    };
    let roles = user.permissions().into_iter().enumerate();
    TokenAnswer {
        token: TokenBody {
            catalog: (!is_brief).then_some([]),
            expires_at: microseconds(token.expires_at),
            issued_at: microseconds(token.issued_at),
            methods: &token.methods,
            project,
            domain: scope_domain,
            roles: roles
                .map(|(id, role)| Role { id: id.to_string(), name: role.as_str() })
                .collect(),
            user: UserName {
                domain: domain(&user.domain),
                id: &user.id,
                name: &user.name,
                password_expires_at: "",
            },
        },
    }
}

/// `2026-11-20T09:05:22.701000Z`: exactly six fraction digits, rounded down.
fn microseconds(time: Time) -> String {
    format!("{}Z", &time.to_string()[..26])
}
