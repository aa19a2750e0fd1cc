//! The way in. The address is bound before the log is opened, and until the server takes requests
//! each of them is answered at once: not ready, try again. A connection that nobody accepts would
//! wait in the kernel's queue, and its sender could not distinguish a start from a hang.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::{Method, StatusCode};

use super::App;
use super::refusal::refused;
use net::{Body, Incoming, Response, X_REQUEST_ID, server};

/// Hands requests to the server once there is one.
#[derive(Clone, Default)]
pub(super) struct Entrance(Arc<OnceLock<App>>);

impl Entrance {
    /// Lets requests in from now on.
    pub fn open(&self, app: App) {
        // It is opened once, by the start.
        let _ = self.0.set(app);
    }
}

impl server::Handler for Entrance {
    async fn answer(&self, peer: SocketAddr, request: hyper::Request<Incoming>) -> Response {
        match self.0.get() {
            Some(app) => app.answer(peer, request).await,
            None => starting(request.method(), request.uri().path(), &system::random_hex::<16>()),
        }
    }
}

/// The response while the log is being opened.
fn starting(method: &Method, path: &str, id: &str) -> Response {
    let mut response = match path {
        "/healthz" => net::json(StatusCode::OK, &serde_json::json!({ "status": "starting" })),
        "/readyz" => {
            let status = serde_json::json!({ "status": "starting" });
            let mut response = net::json(StatusCode::SERVICE_UNAVAILABLE, &status);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        _ => {
            let text = "the server is starting; try again";
            refused(path, StatusCode::SERVICE_UNAVAILABLE, "starting", text, id)
        }
    };
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    if *method == Method::HEAD {
        *response.body_mut() = Body::default();
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_the_log_is_open_only_health_is_well_and_all_else_may_try_again() {
        for (path, status) in [
            ("/healthz", 200),
            ("/readyz", 503),
            ("/intake/hub", 503),
            ("/api/v1/events", 503),
            ("/v2/p/instances/i/audit-logs", 503),
            ("/nothing", 503),
        ] {
            let response = starting(&Method::GET, path, "id");
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503, "{path}");
            assert_eq!(response.headers()[X_REQUEST_ID], "id", "{path}");
        }
    }
}
