//! Logins: claims to be a user, how they are tried and limited, and the tokens that are issued for
//! them. Which API a claim comes through makes no difference.

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use event::{Class, Operation, Outcome, OutcomeKind, Severity, Time};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::api::{ApiError, Call, Refusal};
use crate::rights_log::anchored;
use access::attempts::AttemptLimits;
use access::file::{AccessFile, TokenEntry};
use access::{Anchor, Caller, IssueError, LINK, Scope, Snapshot, Token, User};
use intake::audit::Act;
use net::rates::whole_seconds;

/// Longest life of what is issued for a login.
pub const TOKEN_LIFE_S: i64 = 24 * 60 * 60;
const TOKEN_BYTES: usize = 96;
/// Pause before another login of a user whose tokens are all in use.
const TOKENS_FREE_AFTER_S: u64 = 60;
const FUNCTION: &str = "Access control";
/// No text of a login is longer.
pub const TEXT_BYTES_MAX: usize = 1024;

/// The text of a new token.
pub fn new_text() -> String {
    BASE64.encode(system::random::<TOKEN_BYTES>())
}

/// The id of the token with this text: the beginning of its hash, in hex.
pub fn id_of(text: &str) -> String {
    hex::encode(Sha256::digest(text))[..16].to_owned()
}

/// A user with a password, as Keystone names them.
#[derive(Deserialize)]
pub struct PasswordUser {
    pub id: Option<String>,
    pub name: Option<String>,
    pub password: Option<String>,
    pub domain: Option<DomainRequest>,
}

/// A domain by id or name.
#[derive(Deserialize, Default)]
pub struct DomainRequest {
    pub id: Option<String>,
    pub name: Option<String>,
}

/// Claim to be a user.
pub enum Claim<'a> {
    Password {
        user: &'a PasswordUser,
        password: &'a str,
    },
    Key {
        id: &'a str,
        secret: &'a str,
    },
    Token(&'a str),
    /// The code of a link that signs in once.
    Code(&'a str),
}

impl Claim<'_> {
    pub fn method(&self) -> &'static str {
        match self {
            Claim::Password { .. } => "password",
            Claim::Key { .. } => "hw_ak_sk",
            Claim::Token(_) => "token",
            Claim::Code(_) => LINK,
        }
    }

    /// Key that failures are counted by, whether such an account exists or not: the members by
    /// which it is looked up, and nothing else. A token is no account; nobody guesses one.
    pub fn account(&self) -> Option<String> {
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
            Claim::Token(_) | Claim::Code(_) => None,
        }
    }

    /// All texts of the claim.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Claim::Password { user, password } => {
                let domain = user.domain.as_ref().map(|domain| [&domain.id, &domain.name]);
                let named = [&user.id, &user.name].into_iter().chain(domain.into_iter().flatten());
                named.filter_map(|one| one.as_deref()).chain([*password]).collect()
            }
            Claim::Key { id, secret } => vec![id, secret],
            Claim::Token(text) | Claim::Code(text) => vec![text],
        }
    }

    /// Name of the account in the record of a login.
    pub fn name(&self) -> String {
        match self {
            Claim::Password { user, .. } => {
                user.name.clone().or(user.id.clone()).unwrap_or_default()
            }
            Claim::Key { id, .. } => (*id).to_owned(),
            Claim::Token(_) => "token".to_owned(),
            Claim::Code(_) => LINK.to_owned(),
        }
    }
}

/// The caller behind a claim, and when the old token ends that a new one is requested with.
pub fn authenticate<'a>(
    call: &Call<'a>,
    claim: &Claim<'_>,
    wrong: fn() -> Refusal,
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
        refuse(call, claim, "unknown or wrong", wrong())
    })
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
        Claim::Token(text) | Claim::Code(text) => {
            let (token, user) = rights.token(text).filter(|(token, _)| {
                let is_code = matches!(claim, Claim::Code(_));
                token.expires_at > now && token.is_link() == is_code && !token.is_session()
            })?;
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

pub fn is_domain(named: &DomainRequest, id: &str, rights: &Snapshot) -> bool {
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
        // A link was ended by its use.
        Claim::Code(_) => true,
        Claim::Token(text) => {
            let parent = rights.token(text).map(|(token, _)| &token.id);
            newest.token.iter().any(|token| Some(&token.id) == parent)
        }
    }
}

/// Writes the token down, records the login, then puts the token in force.
pub fn issue(
    call: &Call<'_>,
    text: &str,
    token: &Token,
    claim: &Claim<'_>,
    wrong: fn() -> Refusal,
) -> Result<(), Refusal> {
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
        Err(IssueError::Void) => Err(refuse(call, claim, "void since", wrong())),
        Err(IssueError::TooMany) => {
            let error = ApiError::Throttled(TOKENS_FREE_AFTER_S);
            Err(refuse(call, claim, "too many tokens in use", error))
        }
        Err(IssueError::Failed(why)) => Err(ApiError::Unrecorded(why).into()),
    }
}

/// Records a refused login.
pub fn refuse(call: &Call<'_>, claim: &Claim<'_>, why: &str, error: impl Into<Refusal>) -> Refusal {
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
