//! The search of a command, and the log that it searches: that of a server or a data directory.

use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use store::durable::{Disk, Local};
use store::{BytesRoom, Contents};

use super::author::announce;
use super::profile;
use super::reach::{Problem, Server, ServerOptions, profile_variable, query_of, shell_word};
use super::screen::{caret, with_commas};
use super::warn;
use config::OWN_SOURCE;
use event::query::{Order, Query};
use event::terminal::printable;
use event::{Service, Trail};
use find::answer::{EventDetail, Events, Facets, Histogram, Trails};
use find::question::{OWN, Parameters, Q};
use find::{Finder, Own, QueryError};
use net::path::encode;
use server::failure::{Exit, Failure};

/// A search and its window of time.
#[derive(clap::Args)]
pub struct Question {
    /// Search terms, such as actor:alice -outcome:success. Default: all events.
    #[arg(value_name = "TERM")]
    terms: Vec<String>,
    /// Only events at or after this: 2026-11-01, 2026-11-01T10:30 (UTC), 24h (ago), today.
    #[arg(long, visible_alias = "since", value_name = "INSTANT", allow_hyphen_values = true)]
    after: Option<String>,
    /// Only events before this.
    #[arg(long, visible_alias = "until", value_name = "INSTANT", allow_hyphen_values = true)]
    before: Option<String>,
    /// Include the events of Daybook's own trail, such as this very search.
    #[arg(long)]
    own: bool,
}

/// The log to search.
#[derive(clap::Args)]
pub struct LogLocation {
    #[command(flatten)]
    reach: ServerOptions,
    /// Data directory to read directly. Also DAYBOOK_DATA_DIR.
    #[arg(long, short, value_name = "DIR", conflicts_with_all = ["profile", "url", "token_file"])]
    data_dir: Option<PathBuf>,
}

/// Parameters and their values, as in `docs/api/events.md`.
pub type Pairs = Vec<(String, String)>;

impl Question {
    /// The terms as one search.
    pub fn search(&self) -> String {
        self.terms.join(" ")
    }

    /// The search and its window as parameters.
    pub fn pairs(&self) -> Pairs {
        let all = [
            (Q, Some(self.search())),
            ("after", self.after.clone()),
            ("before", self.before.clone()),
        ];
        let given = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let given = given.filter(|(_, value)| !value.is_empty());
        let own = self.own.then(|| pair(OWN, true));
        given.map(|(name, value)| pair(name, value)).chain(own).collect()
    }

    /// Explains a problem to the user: an error in the search shows it with a caret.
    pub fn explain(&self, problem: Problem) -> Failure {
        let text = match &problem.parameter {
            Some((name, column)) if name == Q && *column > 0 => {
                format!("{}\n{}", problem.text, caret(&self.search(), *column))
            }
            Some((name, _)) if name != Q && !problem.text.contains(&**name) => {
                format!("--{name}: {}", problem.text)
            }
            _ => problem.text,
        };
        Failure { exit: problem.exit, text }
    }
}

/// A parameter.
pub fn pair(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

/// What a summary adds about events of Daybook's own trail.
pub fn own_note(left_out: u64) -> String {
    match left_out {
        0 => String::new(),
        _ => format!(" ({} of Daybook's own left out; --own)", with_commas(left_out)),
    }
}

/// A log that answers.
pub enum Log {
    Server(Server),
    Directory(Directory),
}

/// A data directory as of the time it was read.
pub struct Directory {
    pub path: PathBuf,
    pub contents: Contents,
}

impl Directory {
    /// Reads a data directory. A server may have it open.
    pub fn read(path: PathBuf) -> Result<Directory, store::Error> {
        let disk: Arc<dyn Disk> = Arc::new(Local::open(&path));
        Ok(Directory { contents: Contents::read(&disk)?, path })
    }

    /// A finder over all trails: readers of the directory may read everything in it.
    pub fn finder(&self) -> Finder<'_> {
        Finder::new(&self.contents, self.contents.trails(), self.own(), system::now())
    }

    /// The trails that Daybook's own source feeds, whose events answers leave out. A trail that
    /// cannot be read is none of them; the search that reads it says so.
    pub fn own(&self) -> Own {
        let trails = self.contents.trails().into_iter().filter(|trail| self.is_own(trail));
        Own { trails: trails.collect(), source: OWN_SOURCE }
    }

    fn is_own(&self, trail: &Trail) -> bool {
        let first = Query {
            trails: vec![trail.clone()],
            from: None,
            until: None,
            filters: Vec::new(),
            order: Order::Ascending,
            offset: 0,
            limit: 1,
            as_of: None,
        };
        trail.service() == Service::Dbaudit
            && self.contents.query(&first).is_ok_and(|page| {
                page.rows.first().is_some_and(|row| row.entry.event.origin.source == OWN_SOURCE)
            })
    }
}

/// The data directory that a variable names. The profile in use comes before it, with a line: a
/// person who made a profile wants that server, whatever an operator's environment has.
fn directory_of_environment() -> Result<Option<PathBuf>, Failure> {
    let named = std::env::var_os("DAYBOOK_DATA_DIR").filter(|dir| !dir.is_empty());
    let Some(dir) = named.map(PathBuf::from) else { return Ok(None) };
    match profile::in_use()? {
        None => Ok(Some(dir)),
        Some((name, profile)) => {
            warn(&format!(
                "daybook: asking {} of profile {name}, not the directory of DAYBOOK_DATA_DIR; \
                 --data-dir {} reads that",
                printable(&profile.url),
                shell_word(&dir.display().to_string())
            ));
            Ok(None)
        }
    }
}

impl LogLocation {
    /// Opens the log named by the command line, else the environment, else the profile in use, for
    /// this command.
    pub fn open(&self, command: &str) -> Result<Log, Failure> {
        let dir = match &self.data_dir {
            Some(dir) => Some(dir.clone()),
            None if self.reach.is_named() || profile_variable().is_some() => None,
            None => directory_of_environment()?,
        };
        match dir {
            None => Ok(Log::Server(self.reach.server()?)),
            Some(dir) => {
                announce(&dir, command);
                Ok(Log::Directory(Directory::read(dir)?))
            }
        }
    }

    /// The options that name the log, for another command.
    pub fn options(&self) -> String {
        match &self.data_dir {
            Some(dir) => format!(" --data-dir {}", shell_word(&dir.display().to_string())),
            None => self.reach.options(),
        }
    }
}

impl Log {
    /// A page of events.
    pub fn events(&self, pairs: &Pairs) -> Result<Events, Problem> {
        self.answer("/api/v1/events", pairs, |finder, parameters| {
            let (page, query) = (parameters.page()?, parameters.question()?);
            finder.events(&query, &page, &mut BytesRoom::new(page.bytes_max))
        })
    }

    /// One event, by index or id.
    pub fn event(&self, event: &str) -> Result<EventDetail, Problem> {
        let path = format!("/api/v1/events/{}", encode(event.as_bytes()));
        let answer = self.answer(&path, &Vec::new(), |finder, _| finder.event(event));
        let missing = |problem: &Problem| problem.status == Some(404);
        answer.map_err(|problem| match missing(&problem) {
            true => {
                Problem { text: format!("there is no event {event:?} that you may see"), ..problem }
            }
            false => problem,
        })
    }

    /// The number of events in each bucket of time.
    pub fn histogram(&self, pairs: &Pairs) -> Result<Histogram, Problem> {
        self.answer("/api/v1/histogram", pairs, |finder, parameters| {
            let (buckets, query) = (parameters.buckets()?, parameters.question()?);
            finder.histogram(&query, buckets)
        })
    }

    /// The most frequent values.
    pub fn facets(&self, pairs: &Pairs) -> Result<Facets, Problem> {
        self.answer("/api/v1/facets", pairs, |finder, parameters| {
            let ((dimensions, limit), query) = (parameters.facets()?, parameters.question()?);
            finder.facets(&query, &dimensions, limit)
        })
    }

    /// The trails with matching events.
    pub fn trails(&self, pairs: &Pairs) -> Result<Trails, Problem> {
        self.answer("/api/v1/trails", pairs, |finder, parameters| {
            let ((limit, offset), query) = (parameters.part()?, parameters.question()?);
            finder.trails(&query, offset, limit)
        })
    }

    fn answer<T: DeserializeOwned>(
        &self,
        path: &str,
        pairs: &Pairs,
        find: impl FnOnce(&Finder<'_>, &mut Parameters) -> Result<T, QueryError>,
    ) -> Result<T, Problem> {
        match self {
            Log::Server(server) => server.get(path, &query_of(pairs)),
            Log::Directory(directory) => {
                Ok(find(&directory.finder(), &mut Parameters::of(pairs.iter().cloned()))?)
            }
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Problem {
        let Failure { exit, text } = error.into();
        Problem { exit, status: None, text, parameter: None }
    }
}

impl From<QueryError> for Problem {
    fn from(unanswered: QueryError) -> Problem {
        match unanswered {
            QueryError::Invalid(wrong) => Problem {
                exit: Exit::Usage,
                status: None,
                text: wrong.message,
                parameter: Some((wrong.parameter, wrong.column)),
            },
            QueryError::NotFound => Problem {
                exit: Exit::Failed,
                status: Some(404),
                text: String::new(),
                parameter: None,
            },
            QueryError::Store(error) => error.into(),
        }
    }
}
