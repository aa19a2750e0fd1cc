//! Answers of handlers: a response, and what is recorded of the request.

use std::sync::Arc;

use event::query::Page;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde::Serialize;
use store::Row;
use tokio::sync::watch;

use crate::state::State;
use net::{self, Response};

/// Size of the tree that a response is based on; not of the vendors' APIs.
const TREE_SIZE: HeaderName = HeaderName::from_static("x-daybook-tree-size");

/// A response, and what is recorded of its request.
pub struct Answer {
    pub reply: Reply,
    pub record: Record,
}

/// A response as it is sent.
pub enum Reply {
    Whole(Response),
    /// A response whose body is sent while it is made.
    Streamed(StatusCode, Start),
}

/// Begins to send a streamed response. Called inside the runtime, after the request was recorded.
pub type Start = Box<dyn FnOnce(Streaming) -> Response + Send>;

/// The parts of the server that a streamed response uses.
pub struct Streaming {
    pub state: Arc<State>,
    /// Becomes true when the server stops.
    pub stopping: watch::Receiver<bool>,
    pub request_id: String,
}

/// Facts that an answer adds to the record of its request.
#[derive(Debug, Default)]
pub struct Record {
    /// Rows returned, and their total.
    pub rows: Option<(usize, u64)>,
    /// Position in the log of each row, for a receipt.
    pub indexes: Option<Indexes>,
    /// The event that was opened, if it was a single one.
    pub opened: Option<u64>,
    /// True if the handler recorded the request itself, or it is not to be recorded.
    pub is_recorded: bool,
}

/// Positions of rows in the log.
#[derive(Debug)]
pub struct Indexes {
    /// Size of the tree that the answer is based on.
    pub tree_size: u64,
    /// Indexes of the rows, in the order of the answer.
    pub indexes: Vec<u64>,
}

impl Answer {
    pub fn whole(response: Response) -> Answer {
        Answer { reply: Reply::Whole(response), record: Record::default() }
    }

    pub fn json(status: StatusCode, body: &impl Serialize) -> Answer {
        Answer::whole(net::json(status, body))
    }

    /// A response without a body.
    pub fn empty(status: StatusCode) -> Answer {
        let mut response = Response::default();
        *response.status_mut() = status;
        Answer::whole(response)
    }

    /// A page of rows, rendered by `render`.
    pub fn page<T: Serialize>(page: Page<Row>, render: impl FnOnce(Page<Row>) -> T) -> Answer {
        let rows = (page.rows.len(), page.total);
        let tree_size = page.tree_size;
        let indexes = page.rows.iter().map(|row| row.index).collect();
        let response = net::json(StatusCode::OK, &render(page));
        Answer::whole(with_tree_size(response, tree_size))
            .with_rows(rows.0, rows.1)
            .with_indexes(tree_size, indexes)
    }

    /// A response that `start` sends while it is made.
    pub fn streamed(
        status: StatusCode,
        start: impl FnOnce(Streaming) -> Response + Send + 'static,
    ) -> Answer {
        Answer { reply: Reply::Streamed(status, Box::new(start)), record: Record::default() }
    }

    /// Changes a response that is whole.
    pub fn map_response(mut self, change: impl FnOnce(Response) -> Response) -> Answer {
        if let Reply::Whole(response) = self.reply {
            self.reply = Reply::Whole(change(response));
        }
        self
    }

    /// Notes how many rows are returned, and how many there are.
    pub fn with_rows(mut self, count: usize, total: u64) -> Answer {
        self.record.rows = Some((count, total));
        self
    }

    /// Notes which rows are returned, for a receipt.
    pub fn with_indexes(mut self, tree_size: u64, indexes: Vec<u64>) -> Answer {
        self.record.indexes = Some(Indexes { tree_size, indexes });
        self
    }

    /// Notes which event was opened, so that its readers are found.
    pub fn with_opened(mut self, index: u64) -> Answer {
        self.record.opened = Some(index);
        self
    }

    /// Marks the request as one that is not recorded any more.
    pub fn recorded(mut self) -> Answer {
        self.record.is_recorded = true;
        self
    }
}

/// Adds the size of the tree that a response is based on.
pub fn with_tree_size(mut response: Response, tree_size: u64) -> Response {
    response.headers_mut().insert(TREE_SIZE, HeaderValue::from(tree_size));
    response
}
