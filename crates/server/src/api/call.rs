//! A request on its way through a handler: what it says, who sent it, and the parts of the server
//! that handlers use.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use event::query::{Page, Query};
use event::{Service, Time, Trail};
use store::Row;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::caller::{self, Sessions, Unauthenticated};
use super::error::{ApiError, NO_ROOM, Refusal};
use crate::budget::{Charge, PageRoom};
use crate::permits::{CallerPermit, CallerPermits};
use crate::snapshots::Key;
use crate::state::State;
use access::rights::Action;
use access::{Caller, Project, Snapshot};
use intake::audit::Who;
use net::rates::host_of;
use net::{Body, Request, Response};

/// A request, with what a handler needs to respond to it.
pub struct Call<'a> {
    pub request: &'a Request,
    pub state: &'a State,
    pub rights: &'a Snapshot,
    pub now: Time,
    /// Name of the operation.
    pub operation: &'static str,
    needs: Option<Action>,
    path: &'a [String],
    caller: OnceCell<Caller<'a>>,
    is_admitted: Cell<bool>,
    subject: RefCell<String>,
    /// The memory of the answer.
    charge: RefCell<Charge>,
    requested: OnceCell<String>,
}

impl<'a> Call<'a> {
    /// A call of an operation that needs this right. `path` has the parameters of the route's path,
    /// decoded.
    pub fn new(
        operation: &'static str,
        needs: Option<Action>,
        path: &'a [String],
        request: &'a Request,
        state: &'a State,
        rights: &'a Snapshot,
    ) -> Call<'a> {
        Call {
            request,
            state,
            rights,
            now: system::now(),
            operation,
            needs,
            path,
            caller: OnceCell::new(),
            is_admitted: Cell::new(false),
            subject: RefCell::default(),
            charge: RefCell::new(state.answers.charge()),
            requested: OnceCell::new(),
        }
    }

    /// The parameters of the path, in order.
    pub fn path<const N: usize>(&self) -> [&'a str; N] {
        assert_eq!(self.path.len(), N, "a handler reads as many parameters as its route has");
        std::array::from_fn(|position| self.path[position].as_str())
    }

    pub fn raw_query(&self) -> &'a str {
        &self.request.raw_query
    }

    /// The caller behind the request, by signature or token.
    pub fn caller(&self) -> Result<&Caller<'a>, ApiError> {
        self.frequent_caller()?;
        self.admitted()
    }

    /// The caller behind the request, by token alone.
    pub fn caller_by_token(&self) -> Result<&Caller<'a>, ApiError> {
        self.admit(caller::token(self.request, self.rights, self.now)?)
    }

    /// The caller behind a request that is not recorded, however many there are: who verifies a log
    /// reads thousands of tiles.
    pub fn frequent_caller(&self) -> Result<&Caller<'a>, ApiError> {
        match self.caller.get() {
            Some(caller) => Ok(caller),
            None => {
                let caller =
                    caller::authenticate(self.request, self.rights, self.sessions(), self.now)?;
                Ok(self.caller.get_or_init(|| caller))
            }
        }
    }

    /// Which cookies of a session count.
    pub fn sessions(&self) -> Sessions {
        Sessions::of(&self.state.config().console)
    }

    /// Notes who sent the request, which the record names however the request ends, and refuses it
    /// if they sent too many.
    pub fn admit(&self, caller: Caller<'a>) -> Result<&Caller<'a>, ApiError> {
        self.caller.get_or_init(|| caller);
        self.admitted()
    }

    /// The caller, whose rate the request counts for once.
    fn admitted(&self) -> Result<&Caller<'a>, ApiError> {
        let caller = self.caller.get().ok_or(Unauthenticated::Missing)?;
        if !self.is_admitted.get() {
            self.take_turn(&caller.user.id)?;
            self.is_admitted.set(true);
        }
        Ok(caller)
    }

    /// Lets an address have what needs no caller and is recorded, unless it had too much.
    pub fn admit_address(&self) -> Result<(), ApiError> {
        self.take_turn(&format!("address {}", host_of(self.request.peer)))
    }

    fn take_turn(&self, who: &str) -> Result<(), ApiError> {
        let limits = self.state.config().limits;
        self.state.callers.take(who, &limits, Instant::now()).map_err(ApiError::Throttled)
    }

    /// The sender, for the record: address and program, and the user once authenticated.
    pub fn who(&self) -> Who {
        let user = self.caller.get().map(|caller| caller.user);
        Who {
            id: user.map(|user| user.id.clone()),
            name: user.map(|user| user.name.clone()),
            address: Some(self.request.peer),
            user_agent: self.request.header("user-agent").map(str::to_owned),
            request_id: Some(self.request.id.clone()),
        }
    }

    /// Notes what the request is about. The record names it, however the request ends.
    pub fn concerns(&self, subject: impl ToString) {
        *self.subject.borrow_mut() = subject.to_string();
    }

    /// The trail or other thing that the request is about; empty before that is known.
    pub fn subject(&self) -> String {
        self.subject.borrow().clone()
    }

    /// Replaces what the record quotes of the request: its body, or its target without a secret.
    pub fn quote(&self, text: impl Into<String>) {
        self.requested.get_or_init(|| text.into());
    }

    /// The request as the record quotes it: method, path and query, unless a handler chose.
    pub fn requested(&self) -> String {
        let request = self.request;
        let target = || {
            let mark = if request.raw_query.is_empty() { "" } else { "?" };
            format!("{} {}{mark}{}", request.method, request.raw_path, request.raw_query)
        };
        self.requested.get().cloned().unwrap_or_else(target)
    }

    /// A permit of those that a kind of request is limited by. A request without one is not
    /// recorded.
    pub fn permit(&self, permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(permits).try_acquire_owned().map_err(|_| {
            Refusal::from(ApiError::Overloaded("too many of these at once; try again")).recorded()
        })
    }

    /// A permit of those that a kind of work has, for all callers and for each. A request without
    /// one is not recorded.
    pub fn caller_permit(&self, permits: &CallerPermits) -> Result<CallerPermit, Refusal> {
        let caller = self.caller()?;
        permits.take(&caller.user.id).ok_or_else(|| {
            Refusal::from(ApiError::Overloaded("too many of these at once; try again")).recorded()
        })
    }

    /// Room for the rows of a page that may end early.
    pub fn page_room(&self) -> PageRoom<'_> {
        let bytes_max = self.state.config().limits.page_bytes_max;
        PageRoom::up_to(self.charge.borrow_mut(), bytes_max)
    }

    /// Charges the body of the response, whose rows were charged while it was made. Errs when there
    /// is no room for it.
    pub fn charge(&self, response: &mut Response) -> Result<(), ApiError> {
        let charge = self.charge.replace(self.state.answers.charge());
        let Body::Whole(body) = response.body_mut() else { return Ok(()) };
        let charged = charge.of_body(std::mem::take(body));
        *body = charged.ok_or(ApiError::Overloaded(NO_ROOM))?;
        Ok(())
    }

    /// The right that the route needs.
    pub fn action(&self) -> Action {
        self.needs.expect("a route about trails names its right")
    }

    /// The project with this id, if the caller may do anything in it.
    pub fn project(&self, id: &str, caller: &Caller<'_>) -> Option<&'a Project> {
        self.rights.project(id).filter(|project| caller.reaches(project))
    }

    /// All trails: those with events, those that a source feeds, and Daybook's own.
    pub fn all_trails(&self) -> BTreeSet<Trail> {
        let config = self.state.config();
        let configured = config.sources.iter().map(|source| source.trail.clone());
        let own = self.state.audit.trail().clone();
        self.state.log.trails().into_iter().chain(configured).chain([own]).collect()
    }

    /// The trails of a service.
    pub fn trails(&self, service: Service) -> impl Iterator<Item = Trail> {
        self.all_trails().into_iter().filter(move |trail| trail.service() == service)
    }

    /// Whether there is such a trail.
    pub fn exists(&self, trail: &Trail) -> bool {
        self.state.log.has_trail(trail)
            || self.state.config().sources.iter().any(|source| source.trail == *trail)
            || self.state.audit.trail() == trail
    }

    /// The trails of a project that the caller may list.
    pub fn listed(&self, service: Service, project: &Project, caller: &Caller<'_>) -> Vec<Trail> {
        let is_of_project =
            |trail: &Trail| trail.project() == project.id && trail.tenant() == project.tenant;
        self.trails(service)
            .filter(|trail| is_of_project(trail) && caller.may(self.action(), trail))
            .collect()
    }

    /// A page of a query, from the pagination snapshot that its first page took. `question` is the
    /// request without the page; `query` makes the query, given when the first page was requested.
    pub fn page(
        &self,
        caller: &Caller<'_>,
        question: &impl fmt::Debug,
        offset: u64,
        query: impl FnOnce(Time) -> Query,
    ) -> Result<Page<Row>, store::Error> {
        let key = Key::new(&caller.user.id, question);
        let snapshot = self.state.snapshots.find(&key, offset == 0, self.now);
        let query = Query { as_of: snapshot.size, offset, ..query(snapshot.began_at) };
        let mut room = PageRoom::whole(self.charge.borrow_mut());
        let page = self.state.log.contents().query_whole(&query, &mut room)?;
        if offset == 0 {
            self.state.snapshots.take(key, page.tree_size, self.now);
        }
        Ok(page)
    }
}

/// Decides whether the caller may do what the route does to a trail, by the path alone; headers
/// that name a project do not count. A trail that the caller may not see does not exist for them.
pub fn authorise(
    call: &Call<'_>,
    caller: &Caller<'_>,
    service: Service,
    project: &str,
    instance: &str,
) -> Result<Trail, ApiError> {
    let project = call.project(project, caller).ok_or(ApiError::Forbidden)?;
    authorise_within(call, caller, service, project, instance)
}

/// [`authorise`], with a project that the caller was found to reach.
pub fn authorise_within(
    call: &Call<'_>,
    caller: &Caller<'_>,
    service: Service,
    project: &Project,
    instance: &str,
) -> Result<Trail, ApiError> {
    let trail = Trail::new(service, &project.tenant, &project.id, instance)
        .map_err(|_| ApiError::NoSuchTrail)?;
    if !call.exists(&trail) || !caller.sees(&trail) {
        return Err(ApiError::NoSuchTrail);
    }
    if !caller.may(call.action(), &trail) {
        return Err(ApiError::Forbidden);
    }
    call.concerns(&trail);
    Ok(trail)
}
