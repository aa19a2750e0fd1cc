//! `daybook demo`: a throw-away log of captured events, served on loopback, with commands to try
//! next.

mod moved;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use event::{Service, Trail, TrailPattern};
use formats::Options;
use jiff::{SignedDuration, Timestamp};
use store::Identity;
use store::durable::{Disk, Local};

use super::serve::{runtime, stop_signal};
use super::{say, warn};
use access::file::{self, DomainEntry, ProjectEntry, TokenEntry, UserEntry};
use access::rights::Permission;
use access::{Secret, SecretsKey, password, signature};
use client::{Client, Response};
use config::{self, Config, Source, Token};
use server::failure::Failure;
use server::serve::Server;

#[derive(clap::Args)]
#[command(after_help = "The data directory is removed when the demo ends.\n\n\
                  Examples:\n  \
                  daybook demo\n  \
                  daybook demo --listen 127.0.0.1:0 --once")]
pub struct Arguments {
    /// Address to listen on.
    #[arg(long, short, value_name = "ADDRESS", default_value_t = config::LISTEN)]
    listen: SocketAddr,
    /// Exit after the first response instead of serving on.
    #[arg(long)]
    once: bool,
}

/// Output of a real program (see the README beside each file), and its source.
struct Capture {
    description: &'static str,
    /// Hours before the demo to which its end is moved.
    hours_ago: i64,
    source: &'static str,
    /// The log file of the program, for databases.
    log_file: Option<&'static str>,
    content: Content,
}

enum Content {
    /// One JSON object with a `body` on each line.
    Requests(&'static str),
    /// The lines of a file.
    Lines(&'static [u8]),
}

const CAPTURES: [Capture; 8] = [
    Capture {
        description: "docker-registry 2.8, notifications",
        hours_ago: 72,
        source: "hub",
        log_file: None,
        content: Content::Requests(include_str!(
            "../../../formats/testdata/docker-registry/v2.8/primary.requests.jsonl"
        )),
    },
    Capture {
        description: "docker-registry 2.8, anonymous, IPv6",
        hours_ago: 53,
        source: "hub",
        log_file: None,
        content: Content::Requests(include_str!(
            "../../../formats/testdata/docker-registry/v2.8-anonymous-ipv6/requests.jsonl"
        )),
    },
    Capture {
        description: "distribution 3.1, notifications",
        hours_ago: 26,
        source: "hub",
        log_file: None,
        content: Content::Requests(include_str!(
            "../../../formats/testdata/docker-registry/v3.1/primary.requests.jsonl"
        )),
    },
    Capture {
        description: "nginx before artifact repositories, access log",
        hours_ago: 20,
        source: "packages",
        log_file: None,
        content: Content::Lines(include_bytes!(
            "../../../formats/testdata/nginx-json/access-rotated.json"
        )),
    },
    Capture {
        description: "the same after it was rotated",
        hours_ago: 9,
        source: "packages",
        log_file: None,
        content: Content::Lines(include_bytes!("../../../formats/testdata/nginx-json/access.json")),
    },
    Capture {
        description: "MariaDB, audit log before it was rotated",
        hours_ago: 30,
        source: "orders",
        log_file: Some("server_audit.log.1"),
        content: Content::Lines(include_bytes!(
            "../../../formats/testdata/mariadb-audit/statements.log"
        )),
    },
    Capture {
        description: "MariaDB, audit log in use",
        hours_ago: 4,
        source: "orders",
        log_file: Some("server_audit.log"),
        content: Content::Lines(include_bytes!(
            "../../../formats/testdata/mariadb-audit/audit-settings.log"
        )),
    },
    Capture {
        description: "Kubernetes, audit log",
        hours_ago: 0,
        source: "cluster",
        log_file: None,
        content: Content::Lines(include_bytes!(
            "../../../formats/testdata/kubernetes-audit/audit.log"
        )),
    },
];

/// Name, format, service and instance of the sources.
const SOURCES: [(&str, &str, Service, &str); 5] = [
    (TEAM, "daybook", Service::Platform, TEAM),
    ("hub", "docker-registry", Service::Registry, INSTANCE),
    ("packages", "nginx-json", Service::Artifact, REPOSITORY),
    ("orders", "mariadb-audit", Service::Database, DATABASE),
    ("cluster", "kubernetes-audit", Service::Platform, "cluster"),
];

/// The source of made-up acts of a team, which has a gap and goes on.
const TEAM: &str = "team-a";
/// The source that falls silent, and after how long.
const SILENT: (&str, u64) = ("orders", 60);
/// Days of made-up acts.
const DAYS: i64 = 3;
/// End of the captures.
const CAPTURED_UNTIL: &str = "2026-11-20T18:24:00Z";
/// Pause between two acts of the trickle.
const TRICKLE: Duration = Duration::from_secs(5);

/// Longest wait for a response of the demo's own server.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

const TENANT: &str = "acmecorporation";
const DOMAIN: &str = "acme";
const PROJECT: &str = "054e292c9880d4992f02c0196d3ea468";
const REGION: &str = "demo-region-1";
const INSTANCE: &str = "hub";
const REPOSITORY: &str = "demo-region-1_acmecorporation_pypi_1";
const DATABASE: &str = "0123456789abcdef0123456789abcdefin07";

/// Keys of this run.
struct Keys {
    access_key: String,
    secret: String,
    token: String,
    password: String,
    app_code: String,
    /// Code of the link to the console.
    code: String,
}

/// Seconds for which the link to the console of a demo is good.
const LINK_LIFE_S: i64 = 60 * 60;

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let dir = TemporaryFolder::create()?;
    let keys = Keys {
        access_key: format!("DEMO{}", system::random_hex::<8>().to_uppercase()),
        secret: system::random_hex::<20>(),
        token: system::random_hex::<16>(),
        password: system::random_hex::<12>(),
        app_code: system::random_hex::<16>(),
        code: system::random_hex::<16>(),
    };
    let data = dir.0.join("data");
    Local::create(&data)
        .map_err(|error| Failure::new(format!("couldn't create {}: {error}", data.display())))?;
    create_log(&data, &keys)?;
    let config = configuration(arguments.listen, &keys)?;
    runtime()?.block_on(async {
        let stop = stop_signal()?;
        let server = Server::open(config, &data).await?;
        let address = server.address();
        let once = arguments.once;
        let token = keys.token.clone();
        let mut shown = Ok(());
        let until = async {
            shown = tokio::task::spawn_blocking(move || show(address, &keys, once))
                .await
                .unwrap_or_else(|error| Err(Failure::new(error.to_string())));
            if !once && shown.is_ok() {
                // It ends with the process.
                std::thread::spawn(move || trickle(address, &token));
                stop.await;
            }
        };
        server.run(until).await?;
        shown
    })
}

/// A temporary folder with the data directory and the server's files beside it, removed at the end.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn create() -> Result<TemporaryFolder, Failure> {
        let dir = std::env::temp_dir().join(format!("daybook-demo-{}", system::random_hex::<8>()));
        Local::create(&dir)
            .map_err(|error| Failure::new(format!("couldn't create {}: {error}", dir.display())))?;
        Ok(TemporaryFolder(dir))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            warn(&format!("daybook: couldn't remove {}: {error}", self.0.display()));
        }
    }
}

fn create_log(dir: &Path, keys: &Keys) -> Result<(), Failure> {
    let disk: Arc<dyn Disk> = Arc::new(Local::open(dir));
    let identity = Identity {
        origin: "daybook.local/demo".to_owned(),
        created_at: system::now(),
        salt: system::random(),
    };
    super::init::make(&disk, &identity)?;
    let encryption_key = SecretsKey::read(dir).map_err(Failure::new)?;
    let own = config::Own::default();
    let patterns = [format!("*/{TENANT}/*/*"), format!("dbaudit/{}/*/*", own.tenant)];
    let patterns: Vec<TrailPattern> = patterns
        .iter()
        .map(|text| {
            text.parse().map_err(|error: event::InvalidTrail| Failure::new(error.to_string()))
        })
        .collect::<Result<_, _>>()?;
    let password = password::hash(&keys.password, system::random());
    let secret = Secret::new(keys.secret.clone());
    let change = |access: &mut file::AccessFile| {
        access.add_domain(DomainEntry { id: TENANT.to_owned(), name: DOMAIN.to_owned() })?;
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
            password: Some(password.clone()),
        })?;
        access.add_key("auditor", &keys.access_key, &secret, &encryption_key, system::now())?;
        access.add_app_code("demo", &keys.app_code)?;
        access.add_link(TokenEntry::link(&keys.code, "auditor", system::now(), LINK_LIFE_S));
        patterns.iter().try_for_each(|trails| access.grant("auditor", Permission::Reader, trails))
    };
    file::change(dir, change)?;
    Ok(())
}

fn configuration(listen: SocketAddr, keys: &Keys) -> Result<Config, Failure> {
    let source = |(name, format, service, instance): (&str, &str, Service, &str)| {
        let trail = Trail::new(service, TENANT, PROJECT, instance)
            .map_err(|error| Failure::new(error.to_string()))?;
        Ok(Source {
            name: name.to_owned(),
            format: format.parse().map_err(Failure::new)?,
            trail,
            token: Some(Token::new(&keys.token)),
            options: Options::default(),
            syslog: None,
            silent_after_s: (name == SILENT.0).then_some(SILENT.1),
            follow: None,
        })
    };
    let mut config = config::load(&config::Flags::default(), &std::collections::BTreeMap::new())?;
    // A log that is thrown away leaves no room for later.
    config.storage = config::Storage { low_water_bytes: 0, low_water_percent: 0, reserve_bytes: 0 };
    config.listen = listen;
    config.set_sources(SOURCES.into_iter().map(source).collect::<Result<_, Failure>>()?);
    Ok(config)
}

/// Sends the captures, queries some of them, and prints the next steps.
fn show(address: SocketAddr, keys: &Keys, once: bool) -> Result<(), Failure> {
    let client = Client::new(CLIENT_TIMEOUT);
    let base = format!("http://{address}");
    let started = now();
    for capture in CAPTURES {
        let recorded = send(&client, &base, &capture, keys, started)?;
        say(&format!("recorded {recorded:>4} events: {}\n", capture.description))?;
    }
    let made_up = moved::made_up(started, DAYS);
    let recorded = post(&client, &base, TEAM, "", made_up.as_bytes(), keys)?;
    say(&format!("recorded {recorded:>4} events: made-up acts of a team, with a gap\n"))?;
    say("The captures were moved to the last days, each as a block.\n")?;
    let path = format!("/v2/{PROJECT}/instances/{INSTANCE}/audit-logs");
    let query = "limit=5&offset=0&operation=pull";
    let host = address.to_string();
    let date = signature::date_text(system::now());
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
    let url = format!("{base}{path}?{query}");
    let request = [
        ("host", host.clone()),
        ("x-sdk-date", date.clone()),
        ("authorization", authorization.clone()),
    ];
    let answer = client.get_with(&url, &request).map_err(Failure::new)?;
    if answer.status != 200 {
        return Err(unexpected("the demo's query", &answer));
    }
    let pretty: serde_json::Value =
        serde_json::from_slice(&answer.body).map_err(|error| Failure::new(error.to_string()))?;
    let mut text = format!(
        "All events are durable. A signed request for the newest five pulls of an image:\n\n\
         GET {path}?{query}\n"
    );
    let _ = writeln!(text, "{pretty:#}\n");
    if !once {
        let token = log_in(&client, &base, keys)?;
        text.push_str(&next_steps(address, keys, &token, &url, &headers));
    }
    say(&text)
}

/// The system clock.
fn now() -> Timestamp {
    let ns = i128::from(system::now().unix_ns());
    Timestamp::from_nanosecond(ns).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Sends one capture with its times moved, and returns the number of recorded events.
fn send(
    client: &Client,
    base: &str,
    capture: &Capture,
    keys: &Keys,
    now: Timestamp,
) -> Result<u64, Failure> {
    let query = capture.log_file.map(|name| format!("?log_file={name}")).unwrap_or_default();
    let until: Timestamp =
        CAPTURED_UNTIL.parse().map_err(|error: jiff::Error| Failure::new(error.to_string()))?;
    let seconds = now.as_second() - until.as_second() - capture.hours_ago * 3600;
    let bodies = match capture.content {
        Content::Requests(lines) => bodies(lines)?,
        Content::Lines(lines) => vec![lines.to_vec()],
    };
    let mut recorded = 0;
    for body in bodies {
        let body = moved::moved_bytes(&body, seconds);
        recorded += post(client, base, capture.source, &query, &body, keys)?;
    }
    Ok(recorded)
}

/// Sends a body to a source, and returns the number of recorded events.
fn post(
    client: &Client,
    base: &str,
    source: &str,
    query: &str,
    body: &[u8],
    keys: &Keys,
) -> Result<u64, Failure> {
    let url = format!("{base}/intake/{source}{query}");
    let answer = client.post_as(&keys.token, &url, body).map_err(Failure::new)?;
    let result: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match result["recorded"].as_u64() {
        Some(count) if answer.status == 200 => Ok(count),
        _ => Err(unexpected(source, &answer)),
    }
}

/// Goes on recording an act every few seconds, until the server is gone.
fn trickle(address: SocketAddr, token: &str) {
    let client = Client::new(CLIENT_TIMEOUT);
    let url = format!("http://{address}/intake/{TEAM}");
    for number in 1.. {
        std::thread::sleep(TRICKLE);
        let act = moved::trickle(number, now());
        if client.post_as(token, &url, act.as_bytes()).is_err() {
            return;
        }
    }
}

/// A response of the demo's own server that ends the demo.
fn unexpected(request: &str, answer: &Response) -> Failure {
    let body = String::from_utf8_lossy(&answer.body);
    Failure::new(format!("{request}: status {}: {body}", answer.status))
}

/// Logs in for the token in the printed commands.
fn log_in(client: &Client, base: &str, keys: &Keys) -> Result<String, Failure> {
    let body = format!(
        r#"{{"auth":{{"identity":{{"methods":["password"],
"password":{{"user":{{"name":"auditor","password":"{}","domain":{{"name":"{DOMAIN}"}}}}}}}}}}}}"#,
        keys.password
    );
    let answer = client
        .post(&format!("{base}/v3/auth/tokens"), None, body.as_bytes())
        .map_err(Failure::new)?;
    let token = answer.headers.get("x-subject-token").and_then(|token| token.to_str().ok());
    token
        .filter(|_| answer.status == 201)
        .map(str::to_owned)
        .ok_or_else(|| unexpected("the demo's login", &answer))
}

fn next_steps(
    address: SocketAddr,
    keys: &Keys,
    token: &str,
    url: &str,
    headers: &[(&str, &str)],
) -> String {
    let Keys { access_key, secret, token: intake_token, password, app_code, code } = keys;
    let own = config::Own::default();
    let (own_project, own_instance) = (own.project, own.instance);
    let day = |days: i64| {
        let at = now().checked_add(SignedDuration::from_hours(24 * days));
        at.map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%d").to_string())
    };
    let (from, until) = (day(-7), day(2));
    let curl: String =
        headers.iter().map(|(name, value)| format!(" \\\n  -H '{name}: {value}'")).collect();
    format!(
        r#"Serving on http://{address} until Ctrl-C.

The console, signed in (once, within an hour; later as auditor of {DOMAIN}, password {password}):

  http://{address}/console/#code={code}

Every command below works unchanged:

1. Image registries (SWR). The signature is valid for 15 minutes:

curl -s '{url}'{curl}

2. Log in for your own token, in the header X-Subject-Token. The commands below contain another one:

curl -si http://{address}/v3/auth/tokens -d '{{"auth":{{"identity":{{"methods":["password"],
  "password":{{"user":{{"name":"auditor","password":"{password}",
  "domain":{{"name":"{DOMAIN}"}}}}}}}}}}}}'

3. Artifact repositories (CodeArts Artifact):

curl -s -G http://{address}/cloudartifact/v5/{TENANT}/{PROJECT}/file/{REPOSITORY}/audit \
  -d page_num=1 -d page_size=3 -H 'X-Auth-Token: {token}'

4. Databases (TaurusDB): audit log files, as the database rotated them. The path audit-log-link
   returns download links:

curl -s -G http://{address}/v3/{PROJECT}/instances/{DATABASE}/audit-logs \
  --data-urlencode start_time={from}T00:00:00+0800 \
  --data-urlencode end_time={until}T00:00:00+0800 -H 'X-Auth-Token: {token}'

5. Platforms (HCS Online), newest first, security only:

curl -s -G http://{address}/rest/dataapi/homs/open-api/v1/cloudAuditlog \
  -d log_type=1 -d begin_time=0 -d end_time=4102444800000 -d page_size=3 -d offset_value=0 \
  -H 'x-auth-token: {token}' -H 'X-APIG-Appcode: {app_code}' \
  -H 'x-hcso-appcode: {app_code}' -H 'x-hcso-domainid: {TENANT}'

6. Operations on Daybook itself (DBSS), with your queries above after a second:

curl -s http://{address}/v1/{own_project}/audit/{own_instance}/operation-log \
  -H 'X-Auth-Token: {token}' \
  -d '{{"time":{{"time_range":"HOUR"}},"page":"1","size":"5"}}'

7. The vendor's Python SDK, unmodified. It only needs the address of the service:

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
    *(os.environ["HUAWEICLOUD_SDK_" + name] for name in ("AK", "SK", "PROJECT_ID"))
)
region = SwrRegion.value_of("cn-north-4")
client = SwrClient.new_builder().with_credentials(credentials).with_region(region).build()
for operation in ("create", "pull", "delete"):
    answer = client.list_audit_logs(
        ListAuditLogsRequest(instance_id="{INSTANCE}", operation=operation, limit=5, offset=0)
    )
    print(operation, answer.total)
    for row in answer.audit_logs:
        print(" ", row.op_time, row.username, row.resource_type, row.resource)
PYTHON

8. Record your own events: send a registry's notifications to Daybook, in the registry's config.yml:

notifications:
  endpoints:
    - name: daybook
      url: http://{address}/intake/hub
      headers:
        Authorization: [Bearer {intake_token}]
      timeout: 5s
      threshold: 3
      backoff: 1s

"#
    )
}

fn bodies(capture: &str) -> Result<Vec<Vec<u8>>, Failure> {
    #[derive(serde::Deserialize)]
    struct RequestLine {
        body: String,
    }
    let body =
        |line| serde_json::from_str::<RequestLine>(line).map(|captured| captured.body.into_bytes());
    capture
        .lines()
        .map(body)
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::new(format!("a capture is not valid: {error}")))
}
