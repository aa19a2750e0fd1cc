//! `daybook demo`: a throw-away log of real captured events, served on loopback, with what to try next.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use event::source::Format;
use event::{Service, Trail, TrailPattern};
use store::durable::{Disk, Local};
use store::{Identity, SEALING_KEY};

use super::serve::{runtime, told_to_stop};
use super::{say, warn};
use crate::access::file::{self, ProjectEntry, UserEntry};
use crate::access::rights::Permission;
use crate::access::{SealingKey, Secret, signature};
use crate::ambient;
use crate::config::{self, Config, Source, Token};
use crate::report::Failure;
use crate::serve::Server;

#[derive(clap::Args)]
#[command(
    after_help = "The data directory is removed when the demo ends. Examples:\n  daybook demo\n  daybook demo --listen 127.0.0.1:0 --once"
)]
pub struct Arguments {
    /// Address to listen on.
    #[arg(long, short, value_name = "ADDRESS", default_value = config::LISTEN)]
    listen: SocketAddr,
    /// End after showing the answer, instead of serving on.
    #[arg(long)]
    once: bool,
}

/// Captured requests of real registries (see their README), one JSON object with a `body` on each line.
const CAPTURES: [(&str, &str); 3] = [
    (
        "docker-registry 2.8",
        include_str!("../../../event/testdata/docker-registry/v2.8/primary.requests.jsonl"),
    ),
    (
        "docker-registry 2.8, anonymous, IPv6",
        include_str!("../../../event/testdata/docker-registry/v2.8-anonymous-ipv6/requests.jsonl"),
    ),
    ("distribution 3.1", include_str!("../../../event/testdata/docker-registry/v3.1/primary.requests.jsonl")),
];

const TENANT: &str = "acme";
const PROJECT: &str = "054e292c9880d4992f02c0196d3ea468";
const REGION: &str = "demo-region-1";
const INSTANCE: &str = "hub";

/// Keys made for this run.
struct Keys {
    access_key: String,
    secret: String,
    token: String,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let dir = ThrowAway::make()?;
    let keys = Keys {
        access_key: format!("DEMO{}", ambient::random_hex::<8>().to_uppercase()),
        secret: ambient::random_hex::<20>(),
        token: ambient::random_hex::<16>(),
    };
    lay_down(&dir.0, &keys)?;
    let config = configuration(arguments.listen, &keys)?;
    runtime()?.block_on(async {
        let server = Server::open(config, &dir.0).await?;
        let address = server.address()?;
        let stop = told_to_stop()?;
        let once = arguments.once;
        let mut shown = Ok(());
        let until = async {
            shown = tokio::task::spawn_blocking(move || show(address, &keys, once))
                .await
                .unwrap_or_else(|error| Err(Failure::new(error.to_string())));
            if !once && shown.is_ok() {
                stop.await;
            }
        };
        server.run(until).await?;
        shown
    })
}

/// A directory that is removed with its contents at the end.
struct ThrowAway(PathBuf);

impl ThrowAway {
    fn make() -> Result<ThrowAway, Failure> {
        let dir = std::env::temp_dir().join(format!("daybook-demo-{}", ambient::random_hex::<8>()));
        Local::create(&dir)
            .map_err(|error| Failure::new(format!("couldn't make {}: {error}", dir.display())))?;
        Ok(ThrowAway(dir))
    }
}

impl Drop for ThrowAway {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            warn(&format!("daybook: couldn't remove {}: {error}", self.0.display()));
        }
    }
}

fn lay_down(dir: &Path, keys: &Keys) -> Result<(), Failure> {
    let disk: Arc<dyn Disk> = Arc::new(Local::open(dir));
    let identity = Identity {
        origin: "daybook.local/demo".to_owned(),
        created_at: ambient::now(),
        salt: ambient::random(),
    };
    store::init(&disk, &identity, &[(SEALING_KEY, &SealingKey::file_of(ambient::random()))])?;
    let sealing_key = SealingKey::read(dir).map_err(Failure::new)?;
    let trails: TrailPattern = format!("registry/{TENANT}/*/*")
        .parse()
        .map_err(|error: event::InvalidTrail| Failure::new(error.to_string()))?;
    file::change(dir, |access| {
        access.add_project(ProjectEntry {
            id: PROJECT.to_owned(),
            name: REGION.to_owned(),
            tenant: TENANT.to_owned(),
        })?;
        access.add_user(UserEntry {
            id: "auditor".to_owned(),
            name: "auditor".to_owned(),
            domain: Some(TENANT.to_owned()),
            enabled: true,
            password: None,
        })?;
        access.add_key(
            "auditor",
            &keys.access_key,
            &Secret::new(keys.secret.clone()),
            &sealing_key,
            ambient::now(),
        )?;
        access.grant("auditor", Permission::Reader, &trails)
    })
    .map(|_| ())
}

fn configuration(listen: SocketAddr, keys: &Keys) -> Result<Config, Failure> {
    let trail = Trail::new(Service::Registry, TENANT, PROJECT, INSTANCE)
        .map_err(|error| Failure::new(error.to_string()))?;
    let source = Source {
        name: "hub".to_owned(),
        format: Format::DockerRegistry,
        trail,
        token: Token::new(&keys.token),
    };
    let mut config = config::load(&config::Flags::default(), &std::collections::BTreeMap::new())?;
    (config.listen, config.sources) = (listen, vec![source]);
    Ok(config)
}

/// Sends the captures in, asks for some of them back, and prints how to go on.
fn show(address: SocketAddr, keys: &Keys, once: bool) -> Result<(), Failure> {
    let mut events = 0;
    for (name, capture) in CAPTURES {
        let mut client = Client::connect(address)?;
        for body in bodies(capture)? {
            let bearer = format!("Bearer {}", keys.token);
            let (status, answer) =
                client.request("POST", "/intake/hub", &[("Authorization", &bearer)], body.as_bytes())?;
            if status != 200 {
                return Err(Failure::new(format!("the capture {name} was answered {status}: {answer}")));
            }
            events += 1;
        }
        say(&format!("recorded the captured notifications of {name}\n"))?;
    }
    let path = format!("/v2/{PROJECT}/instances/{INSTANCE}/audit-logs");
    let query = "limit=5&offset=0&operation=pull";
    let host = address.to_string();
    let date = signature::date_text(ambient::now());
    let authorization = signature::sign(
        &keys.access_key,
        &keys.secret,
        "GET",
        &path,
        query,
        &[("host", &host), ("x-sdk-date", &date)],
        b"",
    );
    let headers = [("X-Sdk-Date", date.as_str()), ("Authorization", authorization.as_str())];
    let (status, answer) =
        Client::connect(address)?.request("GET", &format!("{path}?{query}"), &headers, b"")?;
    if status != 200 {
        return Err(Failure::new(format!("the demo's own query was answered {status}: {answer}")));
    }
    let pretty: serde_json::Value =
        serde_json::from_str(&answer).map_err(|error| Failure::new(error.to_string()))?;
    let mut text = format!(
        "{events} requests of real registries are recorded durably. The newest five pulls, asked for with a signed request:\n\nGET {path}?{query}\n"
    );
    let _ = writeln!(text, "{pretty:#}\n");
    if !once {
        text.push_str(&next_steps(address, keys, &format!("http://{address}{path}?{query}"), &headers));
    }
    say(&text)
}

fn next_steps(address: SocketAddr, keys: &Keys, url: &str, headers: &[(&str, &str)]) -> String {
    let Keys { access_key, secret, token } = keys;
    let curl: String = headers.iter().map(|(name, value)| format!(" \\\n  -H '{name}: {value}'")).collect();
    format!(
        r#"Serving on http://{address} until Ctrl-C. What to do next:

1. The same by curl. The signature is good for 15 minutes:

curl -s '{url}'{curl}

2. The vendor's Python SDK, unmodified. It needs only to be told where the service is:

export HUAWEICLOUD_SDK_AK={access_key}
export HUAWEICLOUD_SDK_SK={secret}
export HUAWEICLOUD_SDK_PROJECT_ID={PROJECT}
export HUAWEICLOUD_SDK_REGION_SWR_CN_NORTH_4=http://{address}
python3 -m venv /tmp/daybook-demo-sdk && /tmp/daybook-demo-sdk/bin/pip install -q huaweicloudsdkswr
/tmp/daybook-demo-sdk/bin/python - <<'PYTHON'
import os
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkswr.v2 import ListAuditLogsRequest, SwrClient
from huaweicloudsdkswr.v2.region.swr_region import SwrRegion

credentials = BasicCredentials(
    os.environ["HUAWEICLOUD_SDK_AK"], os.environ["HUAWEICLOUD_SDK_SK"], os.environ["HUAWEICLOUD_SDK_PROJECT_ID"]
)
client = SwrClient.new_builder().with_credentials(credentials).with_region(SwrRegion.value_of("cn-north-4")).build()
for operation in ("create", "pull", "delete"):
    answer = client.list_audit_logs(
        ListAuditLogsRequest(instance_id="{INSTANCE}", operation=operation, limit=5, offset=0)
    )
    print(operation, answer.total)
    for row in answer.audit_logs:
        print(" ", row.op_time, row.username, row.resource_type, row.resource)
PYTHON

3. Record something yourself: point a registry's notifications at it, in the registry's config.yml:

notifications:
  endpoints:
    - name: daybook
      url: http://{address}/intake/hub
      headers:
        Authorization: [Bearer {token}]
      timeout: 5s
      threshold: 3
      backoff: 1s

"#
    )
}

fn bodies(capture: &str) -> Result<Vec<String>, Failure> {
    #[derive(serde::Deserialize)]
    struct Captured {
        body: String,
    }
    let body = |line| serde_json::from_str::<Captured>(line).map(|captured| captured.body);
    capture
        .lines()
        .map(body)
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::new(format!("a capture does not read: {error}")))
}

/// The least of an HTTP/1.1 client: one connection, whole answers with a length.
struct Client {
    stream: TcpStream,
    host: String,
}

const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

impl Client {
    fn connect(address: SocketAddr) -> Result<Client, Failure> {
        let connect = || {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(CLIENT_TIMEOUT))?;
            stream.set_nodelay(true)?;
            Ok(Client { stream, host: address.to_string() })
        };
        connect()
            .map_err(|error: std::io::Error| Failure::new(format!("couldn't connect to {address}: {error}")))
    }

    fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<(u16, String), Failure> {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n{headers}\r\n",
            self.host,
            body.len()
        );
        self.stream
            .write_all(&[head.as_bytes(), body].concat())
            .and_then(|()| self.read_answer())
            .map_err(|error| Failure::new(format!("couldn't talk to the demo's own server: {error}")))
    }

    fn read_answer(&mut self) -> std::io::Result<(u16, String)> {
        let mut bytes = Vec::new();
        let mut piece = [0; 16 << 10];
        let head_end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.read_more(&mut piece, &mut bytes)?;
        };
        let head = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or(std::io::ErrorKind::InvalidData)?;
        let len: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|len| len.trim().parse().ok())
            .ok_or(std::io::ErrorKind::InvalidData)?;
        while bytes.len() < head_end + len {
            self.read_more(&mut piece, &mut bytes)?;
        }
        Ok((status, String::from_utf8_lossy(&bytes[head_end..head_end + len]).into_owned()))
    }

    fn read_more(&mut self, piece: &mut [u8], bytes: &mut Vec<u8>) -> std::io::Result<()> {
        match self.stream.read(piece)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            len => {
                bytes.extend_from_slice(&piece[..len]);
                Ok(())
            }
        }
    }
}
