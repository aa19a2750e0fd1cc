//! An HTTP client for Daybook's own requests to others: one request at a time, no redirects, and
//! responses in memory or as streams.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use ureq::config::Config;
use ureq::http::HeaderMap;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Error, RequestBuilder};

/// The most bytes of a response that is held in memory.
pub const RESPONSE_BYTES_MAX: u64 = 16 << 20;

/// The longest pause in a stream. Servers send a sign of life every few seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// Sends requests and reuses connections.
pub struct Client {
    agent: Agent,
}

/// A response with any status.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// A response with any status whose body is still to be read.
pub struct ResponseStream {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Box<dyn Read + Send>,
}

impl Client {
    /// A client that gives up on a request after `timeout`. It trusts the machine's certificate
    /// authorities, or those of the file that `SSL_CERT_FILE` names.
    pub fn new(timeout: Duration) -> Client {
        let roots = rustls_native_certs::load_native_certs().certs;
        Client::with_roots(timeout, &roots)
    }

    /// A client that trusts the certificate authorities of a PEM file alone. A file without any is
    /// an error.
    pub fn trusting(timeout: Duration, authorities: &Path) -> Result<Client, String> {
        let read = rustls_native_certs::load_certs_from_paths(Some(authorities), None);
        match (read.errors.first(), read.certs.is_empty()) {
            (Some(error), _) => Err(format!("{}: {error}", authorities.display())),
            (None, true) => Err(format!("{} has no certificate", authorities.display())),
            (None, false) => Ok(Client::with_roots(timeout, &read.certs)),
        }
    }

    fn with_roots(timeout: Duration, roots: &[rustls::pki_types::CertificateDer<'_>]) -> Client {
        let roots: Vec<Certificate<'static>> =
            roots.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        let config = Config::builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("daybook/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Client { agent: config.into() }
    }

    /// Gets a URL. `token` is an IAM token for `X-Auth-Token`. Errs if no response came.
    pub fn get(&self, url: &str, token: Option<&str>) -> Result<Response, String> {
        self.get_with(url, &shown(token))
    }

    /// Posts a body to a URL, with the token of [`Client::get`]. Errs if no response came.
    pub fn post(&self, url: &str, token: Option<&str>, body: &[u8]) -> Result<Response, String> {
        self.post_with(url, &shown(token), body)
    }

    /// Posts a body with a source's token.
    pub fn post_as(&self, bearer: &str, url: &str, body: &[u8]) -> Result<Response, String> {
        self.post_with(url, &[("authorization", format!("Bearer {bearer}"))], body)
    }

    /// Gets a URL with these headers.
    pub fn get_with(&self, url: &str, headers: &[Header]) -> Result<Response, String> {
        response_of(url, with(self.agent.get(url), headers).call())
    }

    /// Posts a body to a URL with these headers.
    pub fn post_with(
        &self,
        url: &str,
        headers: &[Header],
        body: &[u8],
    ) -> Result<Response, String> {
        response_of(url, with(self.agent.post(url), headers).send(body))
    }

    /// Deletes a URL with these headers.
    pub fn delete_with(&self, url: &str, headers: &[Header]) -> Result<Response, String> {
        response_of(url, with(self.agent.delete(url), headers).call())
    }

    /// Gets a URL as a stream without an overall time limit.
    pub fn open(&self, url: &str, headers: &[Header]) -> Result<ResponseStream, String> {
        let request = with(self.agent.get(url), headers);
        let request = request.config().timeout_global(None).timeout_per_read(Some(SILENCE)).build();
        let response = request.call().map_err(|error| failed(url, &error))?;
        let (head, body) = response.into_parts();
        let body = body.into_with_config().limit(u64::MAX).reader();
        Ok(ResponseStream {
            status: head.status.as_u16(),
            headers: head.headers,
            body: Box::new(body),
        })
    }
}

impl ResponseStream {
    /// Reads the body to its end, such as that of an error. At most [`RESPONSE_BYTES_MAX`].
    pub fn read(self) -> io::Result<Response> {
        let mut body = Vec::new();
        self.body.take(RESPONSE_BYTES_MAX).read_to_end(&mut body)?;
        Ok(Response { status: self.status, headers: self.headers, body })
    }
}

/// A header's name and value.
pub type Header = (&'static str, String);

fn shown(token: Option<&str>) -> Vec<Header> {
    token.map(|token| ("x-auth-token", token.to_owned())).into_iter().collect()
}

fn with<Any>(mut request: RequestBuilder<Any>, headers: &[Header]) -> RequestBuilder<Any> {
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request
}

fn failed(url: &str, error: &Error) -> String {
    format!("{url}: {error}")
}

fn response_of(
    url: &str,
    response: Result<ureq::http::Response<Body>, Error>,
) -> Result<Response, String> {
    let response = response.map_err(|error| failed(url, &error))?;
    let (head, mut body) = response.into_parts();
    let body = body
        .with_config()
        .limit(RESPONSE_BYTES_MAX)
        .read_to_vec()
        .map_err(|error| failed(url, &error))?;
    Ok(Response { status: head.status.as_u16(), headers: head.headers, body })
}
