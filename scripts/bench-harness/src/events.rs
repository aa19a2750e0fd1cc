//! The events sent: notifications as a registry writes them, made before the clock runs.
//!
//! A sender has its requests ready and only sets ids and times in place, because writing them anew would cost it as much
//! as reading costs the server. Ids are random in form, like a registry's.

/// How many kinds of events there are: each sender sends all of them in turn.
const KINDS: usize = 64;

const ACTORS: [&str; 8] =
    ["alice", "bob", r"CORP\dave", "robot$ci-builder", "robot$deploy", "carol", "erin@example.com", "frank"];
const REPOSITORIES: [&str; 8] = [
    "library/ubuntu",
    "library/postgres",
    "team-a/sub/app",
    "team-a/web",
    "team-b/derived",
    "team-b/worker",
    "charts/demo",
    "mirror/alpine",
];
const TAGS: [&str; 4] = ["24.04", "latest", "v1.18.2", "main-4f3c2d1"];
/// Action, method, and the operation that the two mean.
const ACTIONS: [[&str; 3]; 4] =
    [["pull", "GET", "pull"], ["pull", "HEAD", "read"], ["pull", "GET", "pull"], ["push", "PUT", "push"]];
pub const USER_AGENT: &str =
    "docker/24.0.7 go/go1.20.10 git-commit/311b9ff kernel/6.1.0-18 os/linux arch/amd64";
pub const SOURCE_IP: &str = "192.168.7.21";

/// What an event tells, apart from its ids and its time.
#[derive(Clone)]
pub struct Kind {
    action: &'static str,
    method: &'static str,
    pub operation: &'static str,
    pub actor: &'static str,
    pub repository: &'static str,
    pub digest: String,
    tag: &'static str,
}

impl Kind {
    fn new(number: usize) -> Kind {
        let [action, method, operation] = ACTIONS[number / 2 % ACTIONS.len()];
        Kind {
            action,
            method,
            operation,
            actor: ACTORS[number % ACTORS.len()],
            repository: REPOSITORIES[number / 3 % REPOSITORIES.len()],
            digest: digest(number as u64),
            tag: TAGS[number / 5 % TAGS.len()],
        }
    }
}

fn digest(number: u64) -> String {
    let words: Vec<String> = (0..4).map(|word| format!("{:016x}", mix(number << 8 | word))).collect();
    format!("sha256:{}", words.concat())
}

/// The kinds of the events in each request of a sender; what is made of them is sent in turn.
pub fn pages(events: usize) -> Vec<Vec<Kind>> {
    let pages = KINDS.div_ceil(events);
    (0..pages).map(|page| (0..events).map(|at| Kind::new((page * events + at) % KINDS)).collect()).collect()
}

/// Where an event's id, its request's id and its time are set later. Each is as long as what takes its place.
const ID: &str = "iiiiiiii-iiii-iiii-iiii-iiiiiiiiiiii";
const REQUEST: &str = "rrrrrrrr-rrrr-rrrr-rrrr-rrrrrrrrrrrr";
const TIME: &str = "tttttttttttttttttttttttttttttt";

/// A text about one or more events, in which their ids and times are set in place.
pub struct Form {
    text: Vec<u8>,
    ids: Vec<usize>,
    requests: Vec<usize>,
    times: Vec<usize>,
}

impl Form {
    fn new(text: String) -> Form {
        let places = |what: &str| text.match_indices(what).map(|(at, _)| at).collect();
        let (ids, requests, times) = (places(ID), places(REQUEST), places(TIME));
        Form { text: text.into_bytes(), ids, requests, times }
    }

    /// A whole HTTP request: this head, and a body with events of these kinds.
    pub fn of_request(head: impl Fn(usize) -> String, kinds: &[Kind]) -> Form {
        let body = envelope(kinds);
        Form::new(head(body.len()) + &body)
    }

    /// Makes it tell of the events from this number on.
    pub fn set(&mut self, first: u64) -> &[u8] {
        let Form { text, ids, requests, times } = self;
        let mut put = |places: &[usize], value: &dyn Fn(u64) -> [u8; 36], len: usize| {
            for (number, &at) in (first..).zip(places) {
                text[at..at + len].copy_from_slice(&value(number)[..len]);
            }
        };
        put(ids, &uuid, ID.len());
        put(requests, &|number| uuid(number | 1 << 63), REQUEST.len());
        put(times, &time, TIME.len());
        text
    }

    pub fn bytes(&self) -> &[u8] {
        &self.text
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.text).expect("ids and times are ASCII")
    }
}

/// What a database is given for one event: its columns, as if parsed and encoded at no cost.
pub struct Columns {
    pub kind: Kind,
    pub key: Form,
    pub occurred_ns: i64,
    pub entry: Form,
    pub raw: Form,
}

impl Columns {
    pub fn new(kind: Kind) -> Columns {
        let (key, entry, raw) =
            (Form::new(ID.to_owned()), Form::new(entry(&kind)), Form::new(notification(&kind)));
        Columns { kind, key, occurred_ns: 0, entry, raw }
    }

    pub fn set(&mut self, number: u64) {
        self.occurred_ns = MIDNIGHT_NS + number as i64 * STEP_NS;
        for form in [&mut self.key, &mut self.entry, &mut self.raw] {
            form.set(number);
        }
    }
}

/// 2026-11-20.
const MIDNIGHT_NS: i64 = 1_795_132_800_000_000_000;
/// From one event to the next.
const STEP_NS: i64 = 10_000;

/// The time of an event, with six bytes of no meaning behind it.
fn time(number: u64) -> [u8; 36] {
    let mut text = *b"2026-11-20T00:00:00.000000000Z------";
    let ns = number * STEP_NS as u64;
    let seconds = ns / 1_000_000_000;
    put_decimal(&mut text[11..13], seconds / 3600 % 24);
    put_decimal(&mut text[14..16], seconds / 60 % 60);
    put_decimal(&mut text[17..19], seconds % 60);
    put_decimal(&mut text[20..29], ns % 1_000_000_000);
    text
}

fn put_decimal(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// A UUID in the form of version 4, another for every number.
fn uuid(number: u64) -> [u8; 36] {
    let mut text = *b"xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx";
    let first = mix(number);
    let mut digits = (u128::from(first) << 64) | u128::from(mix(first));
    for place in text.iter_mut().filter(|place| **place == b'x') {
        // From the end that holds all of `first`, so that no two numbers share an id.
        *place = b"0123456789abcdef"[(digits >> 124) as usize];
        digits <<= 4;
    }
    text
}

/// SplitMix64's finish: a permutation of all numbers that looks random.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A request body, indented as the registry indents it.
fn envelope(kinds: &[Kind]) -> String {
    let events: Vec<String> = kinds.iter().map(|kind| format!("      {}", notification(kind))).collect();
    format!("{{\n   \"events\": [\n{}\n   ]\n}}", events.join(",\n"))
}

/// Bytes of one event, as sent.
pub fn event_bytes() -> usize {
    notification(&Kind::new(0)).len()
}

/// One event as it stands in an envelope.
fn notification(kind: &Kind) -> String {
    let Kind { action, method, repository, digest, tag, .. } = kind;
    let actor = escaped(kind.actor);
    let [config, layer, other_layer] =
        [1, 2, 3].map(|part| self::digest(u64::from(digest.as_bytes()[9]) + part));
    format!(
        r#"{{
         "id": "{ID}",
         "timestamp": "{TIME}",
         "action": "{action}",
         "target": {{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "size": 626,
            "digest": "{digest}",
            "length": 626,
            "repository": "{repository}",
            "url": "http://registry.example.com/v2/{repository}/manifests/{digest}",
            "tag": "{tag}",
            "references": [
               {{
                  "mediaType": "application/vnd.oci.image.config.v1+json",
                  "size": 386,
                  "digest": "{config}"
               }},
               {{
                  "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                  "size": 101,
                  "digest": "{layer}"
               }},
               {{
                  "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                  "size": 105,
                  "digest": "{other_layer}"
               }}
            ]
         }},
         "request": {{
            "id": "{REQUEST}",
            "addr": "{SOURCE_IP}:37950",
            "host": "registry.example.com",
            "method": "{method}",
            "useragent": "{USER_AGENT}"
         }},
         "actor": {{
            "name": "{actor}"
         }},
         "source": {{
            "addr": "registry-1:5000",
            "instanceID": "cba8e59a-19e0-4d46-a0f1-72e0ebd11c6a"
         }}
      }}"#
    )
}

/// The event as one would store it for its readers: the same members as Daybook's own entry.
fn entry(kind: &Kind) -> String {
    let Kind { action, method, operation, repository, digest, tag, .. } = kind;
    let actor = escaped(kind.actor);
    let raw_sha256 = &digest["sha256:".len()..];
    [
        format!(r#"{{"action":"{action}","actor":{{"name":"{actor}","type":"user"}},"#),
        format!(r#""attributes":{{"host":"registry.example.com","#),
        format!(r#""media_type":"application/vnd.oci.image.manifest.v1+json","method":"{method}","#),
        format!(
            r#""registry":"registry-1:5000","registry_instance":"cba8e59a-19e0-4d46-a0f1-72e0ebd11c6a","#
        ),
        format!(r#""remote_addr":"{SOURCE_IP}:37950","size":"626","tag":"{tag}"}},"class":"operation","#),
        format!(r#""id":"01a1fa23-7470-7000-8000-000000000001","number":100000,"occurred_at":"{TIME}","#),
        format!(r#""operation":"{operation}","outcome":{{"result":"success"}},"raw_sha256":"{raw_sha256}","#),
        format!(r#""received_at":"2026-11-20T18:06:30.000000000Z","request_id":"{REQUEST}","#),
        format!(
            r#""resolution":"ns","resource":{{"id":"{digest}","name":"{repository}","type":"artifact"}},"#
        ),
        format!(r#""severity":1,"source":{{"format":"docker-registry","key":"{ID}","name":"hub"}},"#),
        format!(r#""source_ip":{{"address":"{SOURCE_IP}","trust":"peer"}},"trail":{{"instance":"hub","#),
        format!(
            r#""project":"p1","service":"registry","tenant":"acme"}},"user_agent":"{USER_AGENT}","v":1}}"#
        ),
    ]
    .concat()
}

/// As part of a JSON string.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\")
}
