//! What the parts of one server share, and what answering one request needs beside the request.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use event::query::{Page, Query};
use event::{Service, Time, Trail};
use hyper::header::{HeaderName, HeaderValue};
use store::{Log, Row};
use tokio::sync::Semaphore;

use crate::api::walks::{Key, Walks};
use crate::evidence::Evidence;
use crate::evidence::witnesses::Witnesses;
use crate::export::Exports;
use crate::live::Newest;
use crate::request_metrics::Answers;
use access::attempts::Attempts;
use access::rights::Action;
use access::{Access, Caller, Project, Snapshot};
use config::{Config, CurrentConfig};
use intake::Intake;
use intake::audit::{OwnAudit, Who};
use intake::retried::Retried;
use net::{Request, Response};

/// The tree size that an answer is based on; not of the vendors' APIs.
const TREE_SIZE: HeaderName = HeaderName::from_static("x-daybook-tree-size");

/// What the APIs of one server share.
pub struct Shared {
    pub log: Arc<Log>,
    /// What those who follow the log are sent.
    pub newest: Newest,
    /// The configured sources.
    pub intakes: Vec<Arc<Intake>>,
    pub retried: Retried,
    pub access: Access,
    pub audit: Arc<OwnAudit>,
    pub evidence: Evidence,
    pub witnesses: Witnesses,
    /// The configuration in force, replaced whole when it is reloaded.
    pub in_force: CurrentConfig,
    pub data_dir: PathBuf,
    pub answers: Answers,
    pub walks: Walks,
    pub attempts: Attempts,
    pub policies: crate::api::taurusdb::Policies,
    pub hcs_pace: crate::api::hcs::Pace,
    pub exports: Exports,
    /// Since when figures count.
    pub started_at: Time,
    /// A place for each request that is being answered.
    pub in_flight: Semaphore,
}

impl Shared {
    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.in_force.current()
    }

    /// Puts another configuration in force.
    pub fn go_on_with(&self, config: Config) {
        self.in_force.replace(config);
    }
}

/// What answering one request needs beside the request.
pub struct Context<'a> {
    pub shared: &'a Shared,
    pub rights: &'a Snapshot,
    pub now: Time,
}

/// What a request came to, for Daybook's record of itself.
#[derive(Debug, Default)]
pub struct Note {
    pub who: Who,
    /// The trail or other thing that was asked for.
    pub resource: String,
    /// Method, path and query.
    pub asked: String,
    /// Rows returned, and how many there are.
    pub rows: Option<(usize, u64)>,
    /// What the rows are of, for a receipt.
    pub shown: Option<Shown>,
    /// Whether the API recorded the request itself.
    pub is_recorded: bool,
}

/// Which rows an answer has.
#[derive(Debug)]
pub struct Shown {
    /// How many events the log had for this answer.
    pub tree_size: u64,
    /// The rows' indexes, in the order of the answer.
    pub indexes: Vec<u64>,
}

impl Note {
    /// What is known of a request before anything was asked of it.
    pub fn of(request: &Request) -> Note {
        Note {
            who: Who {
                address: Some(request.peer),
                user_agent: request.header("user-agent").map(str::to_owned),
                request_id: Some(request.id.clone()),
                ..Who::default()
            },
            asked: asked(request),
            ..Note::default()
        }
    }
}

/// What was asked, as it was put but for the body.
fn asked(request: &Request) -> String {
    let question = if request.raw_query.is_empty() { "" } else { "?" };
    format!("{} {}{question}{}", request.method, request.raw_path, request.raw_query)
}

impl<'a> Context<'a> {
    /// The caller behind a request; noted.
    pub fn caller(
        &self,
        request: &Request,
        note: &mut Note,
    ) -> Result<Caller<'a>, crate::api::caller::Unauthenticated> {
        let caller = crate::api::caller::authenticate(request, self.rights, self.now)?;
        (note.who.id, note.who.name) =
            (Some(caller.user.id.clone()), Some(caller.user.name.clone()));
        Ok(caller)
    }
}

impl Context<'_> {
    /// The project with this id, if the caller may do anything in it.
    pub fn project(&self, id: &str, caller: &Caller<'_>) -> Option<&Project> {
        self.rights.project(id).filter(|project| caller.reaches(project))
    }

    /// Every trail of a service that there is: those that hold something, those that a source
    /// feeds, and Daybook's own.
    pub fn trails(&self, service: Service) -> BTreeSet<Trail> {
        let config = self.shared.config();
        let configured = config.sources.iter().map(|source| source.trail.clone());
        let own = self.shared.audit.trail().clone();
        let all = self.shared.log.trails().into_iter().chain(configured).chain([own]);
        all.filter(|trail| trail.service() == service).collect()
    }

    /// Whether there is such a trail.
    pub fn exists(&self, trail: &Trail) -> bool {
        self.shared.log.has_trail(trail)
            || self.shared.config().sources.iter().any(|source| source.trail == *trail)
            || self.shared.audit.trail() == trail
    }

    /// The trails of a project that the caller may list.
    pub fn listed(
        &self,
        service: Service,
        project: &Project,
        caller: &Caller<'_>,
        action: Action,
    ) -> Vec<Trail> {
        let is_of_project =
            |trail: &Trail| trail.project() == project.id && trail.tenant() == project.tenant;
        self.trails(service)
            .into_iter()
            .filter(|trail| is_of_project(trail) && caller.may(action, trail))
            .collect()
    }

    /// A page of a walk: what `query` asks, as of the moment the walk began. `question` is all that
    /// was asked but for the page.
    pub fn page(
        &self,
        caller: &Caller<'_>,
        question: &impl std::fmt::Debug,
        offset: u64,
        query: impl FnOnce(Time) -> Query,
        note: &mut Note,
    ) -> Result<Page<Row>, store::Error> {
        let key = Key::new(&caller.user.id, question);
        let as_of = self.shared.walks.as_of(&key, offset == 0, self.now);
        let query = Query { as_of: as_of.size, offset, ..query(as_of.began_at) };
        let page = self.shared.log.query(&query)?;
        if offset == 0 {
            self.shared.walks.begin(key, page.tree_size, self.now);
        }
        note.rows = Some((page.rows.len(), page.total));
        let indexes = page.rows.iter().map(|row| row.index).collect();
        note.shown = Some(Shown { tree_size: page.tree_size, indexes });
        Ok(page)
    }
}

/// Tells a client which state of the log an answer is based on.
pub fn with_tree_size(mut response: Response, tree_size: u64) -> Response {
    response.headers_mut().insert(TREE_SIZE, HeaderValue::from(tree_size));
    response
}
