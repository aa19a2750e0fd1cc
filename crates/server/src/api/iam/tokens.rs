//! Tokens: issued for a password, an access key or another token, good for 24 hours.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use event::{Class, Operation, Outcome, OutcomeKind, Severity, Time};
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::Error;
use crate::api::parameters::text as parameter;
use crate::api::{Answer, ApiError, Call, Refusal};
use crate::rights_log::{RightsLog, anchored};
use access::attempts::AttemptLimits;
use access::file::{AccessFile, TokenEntry};
use access::{Anchor, Caller, Domain, IssueError, Scope, Snapshot, Token, User};
use intake::audit::Act;
use net::Response;
use net::rates::whole_seconds;

const X_SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");
const TOKEN_LIFE_S: i64 = 24 * 60 * 60;
const TOKEN_BYTES: usize = 96;
/// Pause before another login of a user whose tokens are all in use.
const TOKENS_FREE_AFTER_S: u64 = 60;
const FUNCTION: &str = "Access control";
/// No text of a login is longer.
const TEXT_BYTES_MAX: usize = 1024;

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
struct PasswordUser {
    id: Option<String>,
    name: Option<String>,
    password: Option<String>,
    domain: Option<DomainRequest>,
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

#[derive(Deserialize, Default)]
struct DomainRequest {
    id: Option<String>,
    name: Option<String>,
}

/// Claim to be a user.
enum Claim<'a> {
    Password { user: &'a PasswordUser, password: &'a str },
    Key { id: &'a str, secret: &'a str },
    Token(&'a str),
}

impl Claim<'_> {
    fn method(&self) -> &'static str {
        match self {
            Claim::Password { .. } => "password",
            Claim::Key { .. } => "hw_ak_sk",
            Claim::Token(_) => "token",
        }
    }

    /// Key that failures are counted by, whether such an account exists or not: the members by
    /// which it is looked up, and nothing else. A token is no account; nobody guesses one.
    fn account(&self) -> Option<String> {
        match self {
            Claim::Password { user, .. } => {
                let domain = user.domain.as_ref();
                let by = match (&user.id, domain.and_then(|domain| domain.id.as_ref())) {
                    (Some(id), _) => ["id", "", id],
                    (None, Some(domain)) => {
                        ["domain id", domain, user.name.as_deref().unwrap_or_default()]
                    }
                    (None, None) => {
                        let domain =
                            domain.and_then(|domain| domain.name.as_deref()).unwrap_or_default();
                        ["domain", domain, user.name.as_deref().unwrap_or_default()]
                    }
                };
                Some(format!("password {by:?}"))
            }
            Claim::Key { id, .. } => Some(format!("key {id}")),
            Claim::Token(_) => None,
        }
    }

    /// All texts of the claim.
    fn texts(&self) -> Vec<&str> {
        match self {
            Claim::Password { user, password } => {
                let domain = user.domain.as_ref().map(|domain| [&domain.id, &domain.name]);
                let named = [&user.id, &user.name].into_iter().chain(domain.into_iter().flatten());
                named.filter_map(|one| one.as_deref()).chain([*password]).collect()
            }
            Claim::Key { id, secret } => vec![id, secret],
            Claim::Token(text) => vec![text],
        }
    }

    /// Name of the account in the record of a login.
    fn name(&self) -> String {
        match self {
            Claim::Password { user, .. } => {
                user.name.clone().or(user.id.clone()).unwrap_or_default()
            }
            Claim::Key { id, .. } => (*id).to_owned(),
            Claim::Token(_) => "token".to_owned(),
        }
    }
}

pub(super) fn create(call: &Call<'_>) -> Result<Answer, Refusal> {
    let body: Body = serde_json::from_slice(&call.request.body).map_err(|_| Error::InvalidBody)?;
    let auth = body.auth.ok_or(Error::MissingMember("auth"))?;
    let identity = auth.identity.ok_or(Error::MissingMember("identity"))?;
    let claim = claim(&identity)?;
    if claim.texts().iter().any(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(Error::InvalidBody.into());
    }
    let (caller, expires_at) = authenticate(call, &claim)?;
    let caller = call.admit(caller)?;
    let Some(scope) = scope(auth.scope.as_ref(), caller, call.rights) else {
        return Err(refuse(call, &claim, "no such scope", Error::WrongScope));
    };
    let text = BASE64.encode(system::random::<TOKEN_BYTES>());
    let token = Token {
        id: hex::encode(Sha256::digest(&text))[..16].to_owned(),
        user: caller.user.id.clone(),
        scope,
        methods: vec![claim.method().to_owned()],
        issued_at: call.now,
        expires_at: expires_at.unwrap_or(call.now.plus_seconds(TOKEN_LIFE_S)),
    };
    issue(call, &text, &token, &claim)?;
    let is_brief = parameter(call.raw_query(), "nocatalog").is_some();
    let body = render(&token, caller.user, call.rights, is_brief);
    Ok(Answer::json(StatusCode::CREATED, &body)
        .map_response(|response| with_subject(response, &text))
        .recorded())
}

/// The caller behind a claim, and when the old token ends that a new one is requested with.
fn authenticate<'a>(
    call: &Call<'a>,
    claim: &Claim<'_>,
) -> Result<(Caller<'a>, Option<Time>), Refusal> {
    let config = call.state.config();
    let limits = AttemptLimits {
        per_account: config.limits.login_failures_per_account,
        per_address: config.limits.login_failures_per_address,
        slow_after: config.limits.login_failures_slow_after,
    };
    let (attempts, account, peer) = (&call.state.attempts, claim.account(), call.request.peer);
    let account = account.as_deref();
    let throttled = |wait| {
        let error = ApiError::Throttled(whole_seconds(wait));
        refuse(call, claim, "too many failures lately", error)
    };
    // Whoever failed too often holds up nobody else.
    if let Some(wait) = attempts.wait(account, peer, limits, Instant::now()) {
        return Err(throttled(wait));
    }
    // Looking, trying and counting happen in one turn, so that concurrent tries are not more than
    // the limits allow.
    let _turn = attempts.turn(peer).ok_or(ApiError::Throttled(1))?;
    let now = Instant::now();
    let wait = attempts.wait(account, peer, limits, now);
    if let Some(wait) = wait.or_else(|| attempts.slow_down(account, peer, limits, now)) {
        return Err(throttled(wait));
    }
    find_caller(claim, call.rights, call.now).ok_or_else(|| {
        attempts.count_failure(account, peer, limits, now);
        refuse(call, claim, "unknown or wrong", Error::WrongCredentials)
    })
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

/// The user of a true claim, and when the old token ends that a new one is requested with. Takes as
/// long for users who do not exist as for those who do.
fn find_caller<'a>(
    claim: &Claim<'_>,
    rights: &'a Snapshot,
    now: Time,
) -> Option<(Caller<'a>, Option<Time>)> {
    match claim {
        Claim::Password { user, password } => {
            let found = find_user(user, rights);
            let is_right = Snapshot::is_password(found, password);
            found.filter(|_| is_right).map(|user| (Caller { user, scope: Scope::User }, None))
        }
        Claim::Key { id, secret } => {
            let found = rights.access_key(id);
            let expected = found.map_or("", |(expected, _)| expected.expose());
            let is_right = Sha256::digest(expected).ct_eq(&Sha256::digest(secret));
            found
                .filter(|_| bool::from(is_right))
                .map(|(_, user)| (Caller { user, scope: Scope::User }, None))
        }
        Claim::Token(text) => {
            let (token, user) = rights.token(text).filter(|(token, _)| token.expires_at > now)?;
            Some((Caller { user, scope: token.scope.clone() }, Some(token.expires_at)))
        }
    }
}

fn find_user<'a>(named: &PasswordUser, rights: &'a Snapshot) -> Option<&'a User> {
    if let Some(id) = &named.id {
        return rights.user(id);
    }
    let domain = named.domain.as_ref()?;
    let domain = match (&domain.id, &domain.name) {
        (Some(id), _) => rights.domain(id),
        (None, Some(name)) => rights.domain_by_name(name),
        (None, None) => None,
    }?;
    rights.user_by_name(named.name.as_deref()?, domain)
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

fn is_domain(named: &DomainRequest, id: &str, rights: &Snapshot) -> bool {
    match (&named.id, &named.name) {
        (Some(wanted), _) => wanted == id,
        (None, Some(name)) => rights.domain(id).is_some_and(|domain| domain.name == *name),
        (None, None) => false,
    }
}

/// Whether a claim is still true: while a try waited for its turn, the password may have been
/// changed, the key removed, the token revoked.
fn is_still_true(claim: &Claim<'_>, user: &str, rights: &Snapshot, newest: &AccessFile) -> bool {
    let Some(user) = newest.user.iter().find(|entry| entry.id == user && entry.enabled) else {
        return false;
    };
    match claim {
        Claim::Password { .. } => {
            user.password.as_deref() == rights.user(&user.id).and_then(User::password_hash)
        }
        Claim::Key { id, .. } => {
            newest.access_key.iter().any(|key| key.id == *id && key.user == user.id && key.enabled)
        }
        Claim::Token(text) => {
            let parent = rights.token(text).map(|(token, _)| &token.id);
            newest.token.iter().any(|token| Some(&token.id) == parent)
        }
    }
}

/// Writes the token down, records the login, then puts the token in force.
fn issue(call: &Call<'_>, text: &str, token: &Token, claim: &Claim<'_>) -> Result<(), Refusal> {
    let parent = match claim {
        Claim::Token(shown) => call.rights.token(shown).map(|(token, _)| token.id.clone()),
        _ => None,
    };
    let (project, domain) = match &token.scope {
        Scope::Project(project) => (Some(project.clone()), None),
        Scope::Domain(domain) => (None, Some(domain.clone())),
        Scope::User => (None, None),
    };
    let entry = TokenEntry {
        id: token.id.clone(),
        sha256: hex::encode(Sha256::digest(text)),
        user: token.user.clone(),
        project,
        domain,
        methods: token.methods.clone(),
        parent,
        issued_at: token.issued_at.to_string(),
        expires_at: token.expires_at.to_string(),
    };
    let who = call.who();
    let name = who.name.clone().unwrap_or_default();
    let act = Act::new("login", Operation::Login, FUNCTION)
        .by(who)
        .on("user", &name)
        .with("method", token.methods.join(","))
        .with("token_id", &entry.id)
        .with("expires_at", &entry.expires_at);
    let act = Act { description: Some("a token was handed out".to_owned()), ..act };
    let record = |anchor: &Anchor| call.state.audit.record_now(anchored(act.clone(), anchor));
    let is_true = |newest: &AccessFile| is_still_true(claim, &token.user, call.rights, newest);
    match call.state.access.issue_token(&entry, call.now, &is_true, &record) {
        Ok(()) => Ok(()),
        Err(IssueError::Void) => Err(refuse(call, claim, "void since", Error::WrongCredentials)),
        Err(IssueError::TooMany) => {
            let error = ApiError::Throttled(TOKENS_FREE_AFTER_S);
            Err(refuse(call, claim, "too many tokens in use", error))
        }
        Err(IssueError::Failed(why)) => Err(ApiError::Unrecorded(why).into()),
    }
}

/// Records a refused login.
fn refuse(call: &Call<'_>, claim: &Claim<'_>, why: &str, error: impl Into<Refusal>) -> Refusal {
    let act = Act::new("login", Operation::Login, FUNCTION)
        .by(call.who())
        .on("user", &claim.name())
        .with("method", claim.method());
    let outcome =
        Outcome { kind: OutcomeKind::Failure, code: Some(401), reason: Some(why.to_owned()) };
    let description = Some(format!("a login was refused: {why}"));
    let (class, severity) = (Class::Security, Severity::MAJOR);
    call.state.audit.record_refused(Act { outcome, description, class, severity, ..act });
    error.into().recorded()
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
