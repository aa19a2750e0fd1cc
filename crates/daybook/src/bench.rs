//! Generates events for benchmarks, always the same for a seed.
//!
//! Each event depends only on the seed and its number, so any part of them can be generated again,
//! in any order. They resemble real events in what decides the speed of a query: few trails and
//! actors have most of the events, names are many, failures few, and some events arrive late.
//!
//! The file only needs the crate `event`: the benchmark of queries (`scripts/bench-harness`)
//! includes it unchanged, so that databases get the same events.

#![allow(
    clippy::cast_possible_truncation,
    reason = "any part of random bits will do; tables here have fewer than 2^32 members"
)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use event::{
    Actor, ActorKind, Class, Event, EventId, Operation, Origin, Outcome, OutcomeKind, Resolution,
    Resource, Service, Severity, SourceIp, Time, Trail, Trust,
};

/// Number of trails.
pub const TRAILS: usize = 200;
/// Number of actors.
pub const ACTORS: usize = 5_000;
/// Number of resources.
pub const RESOURCES: u64 = 1_000_000;
/// Number of words in descriptions.
pub const WORDS: usize = 2_000;
/// All events occurred before this instant, 2026-07-01T00:00:00Z.
pub const END: Time = Time::from_unix_ns(1_782_864_000 * SECOND_NS);
/// Events occurred within this number of days before the end.
pub const DAYS: i64 = 90;

const SECOND_NS: i64 = 1_000_000_000;
const SPAN_NS: i64 = DAYS * 86_400 * SECOND_NS;
/// Longest time by which a late event occurred before its neighbours.
const LATE_NS: u64 = 6 * 3_600 * SECOND_NS as u64;
/// One in this number of events is late.
const LATE_ONE_IN: u64 = 100;
/// Failures in a thousand events.
const FAILURES_IN_1000: u64 = 30;

/// The generator of events.
pub struct Events {
    /// Number of events.
    pub count: u64,
    seed: u64,
    /// Every trail; the first has most of the events.
    pub trails: Vec<Trail>,
    /// Distribution of the events over the trails.
    pub trail_shares: Zipf,
    /// Every actor; the first has most of the events.
    pub actors: Vec<Actor>,
    actor_shares: Zipf,
    /// Every word; the first is in most descriptions.
    pub words: Vec<String>,
    word_shares: Zipf,
    deed_shares: Zipf,
}

impl Events {
    /// A generator of `count` events from a seed.
    pub fn new(count: u64, seed: u64) -> Events {
        let words: Vec<String> = (0..WORDS as u64).map(word).collect();
        Events {
            count,
            seed,
            trails: (0..TRAILS).map(trail).collect(),
            trail_shares: Zipf::new(TRAILS),
            actors: (0..ACTORS).map(|rank| actor(rank, &words)).collect(),
            actor_shares: Zipf::new(ACTORS),
            words,
            word_shares: Zipf::new(WORDS),
            deed_shares: Zipf::new(DEEDS[0].len()),
        }
    }

    /// The event with this number, counted from 0. Its raw bytes are empty.
    pub fn event(&self, number: u64) -> Event {
        let mut random = Random::of(self.seed, number);
        let trail_rank = self.trail_shares.pick(&mut random);
        let trail = self.trails[trail_rank].clone();
        let service = trail.service();
        let actor_rank = self.actor_shares.pick(&mut random);
        let deed = &DEEDS[service as usize][self.deed_shares.pick(&mut random)];
        let (occurred_at, resolution) = self.occurred_at(number, service, &mut random);
        let resource = self.resource(trail_rank, deed, &mut random);
        let (outcome, severity) = outcome(service, deed.operation, &mut random);
        let description =
            self.description(resource.name.as_deref().unwrap_or_default(), &mut random);
        Event {
            id: EventId::v7(self.received_at(number), random.bytes()),
            occurred_at,
            resolution,
            actor: self.actors[actor_rank].clone(),
            source_ip: (!random.is_one_in(3)).then(|| source_ip(actor_rank, &mut random)),
            user_agent: user_agent(service, actor_rank, &mut random).map(str::to_owned),
            action: deed.action.to_owned(),
            operation: deed.operation,
            resource,
            outcome,
            severity,
            class: class(deed.operation),
            description: Some(description),
            request_id: random.is_one_in(2).then(|| format!("{:016x}", random.next())),
            trace_id: None,
            origin: Origin {
                source: format!("s-{trail_rank:03}"),
                format: "daybook".to_owned(),
                key: Some(self.key(number)),
            },
            attributes: attributes(service, &mut random),
            trail,
            raw: Vec::new(),
        }
    }

    /// Time of receipt of the event with this number: shortly after the end of its part of the
    /// time, even for a late event.
    pub fn received_at(&self, number: u64) -> Time {
        self.moment(number + 1).plus_seconds(2)
    }

    /// Start of the part of an event: the events divide the time evenly, and each occurs within its
    /// own part unless it is late.
    fn moment(&self, number: u64) -> Time {
        let passed = i128::from(SPAN_NS) * i128::from(number) / i128::from(self.count.max(1));
        Time::from_unix_ns(END.unix_ns() - SPAN_NS + passed as i64)
    }

    fn occurred_at(
        &self,
        number: u64,
        service: Service,
        random: &mut Random,
    ) -> (Time, Resolution) {
        let (start, end) = (self.moment(number).unix_ns(), self.moment(number + 1).unix_ns());
        let mut ns = start + random.below(end.abs_diff(start).max(1)) as i64;
        if random.is_one_in(LATE_ONE_IN) {
            ns = (ns - random.below(LATE_NS) as i64).max(END.unix_ns() - SPAN_NS);
        }
        let (unit_ns, resolution) = match service {
            Service::Registry => (1, Resolution::Nanosecond),
            Service::Artifact | Service::Database => (SECOND_NS, Resolution::Second),
            Service::Platform => (1_000, Resolution::Microsecond),
            Service::Dbaudit => (1_000_000, Resolution::Millisecond),
        };
        (Time::from_unix_ns(ns - ns.rem_euclid(unit_ns)), resolution)
    }

    /// A resource belongs to one trail, and some resources are used far more than others.
    fn resource(&self, trail_rank: usize, deed: &Deed, random: &mut Random) -> Resource {
        let (first, end) = self.trail_shares.part_of(trail_rank, RESOURCES);
        let fraction = random.fraction();
        let rank = first + ((end - first) as f64 * fraction * fraction) as u64;
        // Neighbours in rank have unrelated names. The factor has no divisor in common with the
        // number of resources.
        let number = rank * 7_368_787 % RESOURCES;
        let id = random
            .is_one_in(4)
            .then(|| format!("v{}.{}.{}", 1 + random.below(3), random.below(30), random.below(10)));
        Resource {
            kind: Some(deed.kind.to_owned()),
            name: Some(format!("team-{}/service-{}/app-{number}", number % 40, number / 40 % 400)),
            id,
            region: None,
        }
    }

    fn description(&self, resource_name: &str, random: &mut Random) -> String {
        let mut word = || self.words[self.word_shares.pick(random)].as_str();
        format!("{} {} {resource_name} {}", word(), word(), word())
    }

    /// The key of an event. It is unique, since mixing is a bijection of the number.
    fn key(&self, number: u64) -> String {
        format!("{:016x}", mix(mix(self.seed) ^ number.wrapping_add(STEP)))
    }
}

/// Zipf's distribution: the first rank has `n` times the share of rank `n`. A table of the ends of
/// all shares.
pub struct Zipf {
    ends: Vec<f64>,
}

impl Zipf {
    fn new(count: usize) -> Zipf {
        let mut total = 0.0;
        let mut ends: Vec<f64> = (1..=count)
            .map(|rank| {
                total += 1.0 / rank as f64;
                total
            })
            .collect();
        ends.iter_mut().for_each(|end| *end /= total);
        Zipf { ends }
    }

    /// Picks a rank from 0; the first is the most frequent.
    pub fn pick(&self, random: &mut Random) -> usize {
        let fraction = random.fraction();
        self.ends.partition_point(|end| *end <= fraction).min(self.ends.len() - 1)
    }

    /// Start and end of the part of `whole` that belongs to a rank.
    fn part_of(&self, rank: usize, whole: u64) -> (u64, u64) {
        let at = |end: f64| (whole as f64 * end) as u64;
        (rank.checked_sub(1).map_or(0, |before| at(self.ends[before])), at(self.ends[rank]))
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): random enough here, and the same on every machine.
pub struct Random(u64);

/// Increment of SplitMix64: 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// The random numbers of an event.
    pub fn of(seed: u64, number: u64) -> Random {
        Random(mix(mix(seed) ^ number))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// From 0 to 1, without 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 to `end`, without it.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    fn is_one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_be_bytes()[..part.len()]);
        }
        bytes
    }
}

/// The finisher of SplitMix64; a bijection.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Every service has a fifth of the trails, both large and small.
fn trail(rank: usize) -> Trail {
    let service = Service::ALL[rank % Service::ALL.len()];
    let (tenant, project) = (format!("t-{:02}", rank % 23), format!("p-{:02}", rank % 37));
    Trail::new(service, &tenant, &project, &format!("i-{rank:03}"))
        .expect("letters, digits and hyphens")
}

fn actor(rank: usize, words: &[String]) -> Actor {
    let word = |factor: usize| &words[rank * factor % words.len()];
    let (kind, name) = match rank % 20 {
        3 | 8 | 13 => (ActorKind::Robot, format!("robot$ci-{}-{rank}", word(7))),
        18 => (ActorKind::Service, format!("system:serviceaccount:{}:{rank}", word(11))),
        _ => (ActorKind::User, format!("{}.{}{rank}", word(13), word(17))),
    };
    // Machines have an id besides the name.
    let id = (kind != ActorKind::User).then(|| format!("u-{rank:04}"));
    Actor { id, name: Some(name), kind }
}

/// A word of two to four syllables, which occurs in no other text.
fn word(rank: u64) -> String {
    const CONSONANTS: &[u8; 14] = b"bdfgklmnprstvz";
    const VOWELS: &[u8; 5] = b"aeiou";
    const SYLLABLES: u64 = 70;
    let count = 2 + rank % 3;
    // Words of one length differ: the factor has no divisor in common with their number.
    let mut rest = rank * 104_729 % SYLLABLES.pow(count as u32);
    let mut word = String::new();
    for _ in 0..count {
        let syllable = (rest % SYLLABLES) as usize;
        word.push(char::from(CONSONANTS[syllable % CONSONANTS.len()]));
        word.push(char::from(VOWELS[syllable / CONSONANTS.len()]));
        rest /= SYLLABLES;
    }
    word
}

/// An actor has a few addresses.
fn source_ip(actor_rank: usize, random: &mut Random) -> SourceIp {
    let (home, host) = (mix(STEP ^ actor_rank as u64), random.below(4) as u8);
    let [.., a, b, c] = home.to_be_bytes();
    let address = if actor_rank % 16 == 7 {
        IpAddr::V6(Ipv6Addr::new(
            0x2001,
            0xdb8,
            u16::from(a),
            u16::from(b),
            0,
            0,
            u16::from(c),
            u16::from(host) + 1,
        ))
    } else {
        IpAddr::V4(Ipv4Addr::new(10, a, b, (c & 0xfc) | host))
    };
    let trust = if actor_rank % 5 == 4 { Trust::Forwarded } else { Trust::Peer };
    SourceIp { address, trust }
}

/// An actor mostly uses one client. Databases and their auditing do not know clients.
fn user_agent(service: Service, actor_rank: usize, random: &mut Random) -> Option<&'static str> {
    if matches!(service, Service::Database | Service::Dbaudit) {
        return None;
    }
    let other =
        if random.is_one_in(5) { random.below(USER_AGENTS.len() as u64) as usize } else { 0 };
    Some(USER_AGENTS[(actor_rank + other) % USER_AGENTS.len()])
}

fn class(operation: Operation) -> Class {
    match operation {
        Operation::Login | Operation::Logout | Operation::Grant | Operation::Configure => {
            Class::Security
        }
        _ => Class::Operation,
    }
}

fn outcome(service: Service, operation: Operation, random: &mut Random) -> (Outcome, Severity) {
    let is_sql = service == Service::Database;
    if random.below(1000) >= FAILURES_IN_1000 {
        let severity =
            if operation == Operation::Delete { Severity::MINOR } else { Severity::WARNING };
        return (Outcome { kind: OutcomeKind::Success, code: None, reason: None }, severity);
    }
    let known: &[Failure] = if is_sql { &SQL_FAILURES } else { &FAILURES };
    let failure = match operation {
        // A login fails by the password, the first of each list.
        Operation::Login => &known[0],
        _ => &known[random.below(known.len() as u64) as usize],
    };
    let severity = match (failure.why, operation) {
        (Why::Refused, Operation::Grant) => Severity::CRITICAL,
        (Why::Refused, Operation::Login | Operation::Delete) | (Why::Broken, _) => Severity::MAJOR,
        _ => Severity::MINOR,
    };
    let outcome = Outcome {
        kind: OutcomeKind::Failure,
        code: Some(failure.code),
        reason: Some(failure.reason.to_owned()),
    };
    (outcome, severity)
}

fn attributes(service: Service, random: &mut Random) -> BTreeMap<String, String> {
    if !random.is_one_in(8) {
        return BTreeMap::new();
    }
    let size = (1u64 << random.below(30)) + random.below(1000);
    let (name, value) = match service {
        Service::Registry | Service::Artifact => ("size", size.to_string()),
        Service::Database => ("rows", (size % 5000).to_string()),
        Service::Platform => ("namespace", format!("team-{}", size % 40)),
        Service::Dbaudit => ("duration_ms", (size % 900).to_string()),
    };
    BTreeMap::from([(name.to_owned(), value)])
}

/// An action in a service.
struct Deed {
    action: &'static str,
    operation: Operation,
    /// Type of its resource.
    kind: &'static str,
}

const fn deed(action: &'static str, operation: Operation, kind: &'static str) -> Deed {
    Deed { action, operation, kind }
}

/// Actions of each service, in the order of [`Service::ALL`]; the first is the most frequent.
const DEEDS: [[Deed; 8]; 5] = [
    [
        deed("pull", Operation::Pull, "artifact"),
        deed("push", Operation::Push, "artifact"),
        deed("head", Operation::Read, "artifact"),
        deed("mount", Operation::Mount, "blob"),
        deed("authenticate", Operation::Login, "registry"),
        deed("delete", Operation::Delete, "artifact"),
        deed("create_tag", Operation::Create, "tag"),
        deed("set_retention", Operation::Configure, "repository"),
    ],
    [
        deed("download", Operation::Download, "file"),
        deed("upload", Operation::Upload, "file"),
        deed("stat", Operation::Read, "file"),
        deed("delete_file", Operation::Delete, "file"),
        deed("move_file", Operation::Other, "file"),
        deed("create_repository", Operation::Create, "repository"),
        deed("update_repository", Operation::Update, "repository"),
        deed("grant_permission", Operation::Grant, "repository"),
    ],
    [
        deed("SELECT", Operation::Read, "table"),
        deed("INSERT", Operation::Create, "table"),
        deed("UPDATE", Operation::Update, "table"),
        deed("CONNECT", Operation::Login, "database"),
        deed("DISCONNECT", Operation::Logout, "database"),
        deed("DELETE", Operation::Delete, "table"),
        deed("CALL", Operation::Exec, "procedure"),
        deed("ALTER", Operation::Configure, "table"),
    ],
    [
        deed("get", Operation::Read, "deployment"),
        deed("patch", Operation::Update, "deployment"),
        deed("create", Operation::Create, "pod"),
        deed("remove", Operation::Delete, "pod"),
        deed("exec", Operation::Exec, "pod"),
        deed("login", Operation::Login, "console"),
        deed("bind_role", Operation::Grant, "role"),
        deed("scale", Operation::Configure, "deployment"),
    ],
    [
        deed("list_rules", Operation::Read, "rule"),
        deed("logon", Operation::Login, "console"),
        deed("logoff", Operation::Logout, "console"),
        deed("update_rule", Operation::Update, "rule"),
        deed("add_rule", Operation::Create, "rule"),
        deed("export_report", Operation::Download, "report"),
        deed("remove_rule", Operation::Delete, "rule"),
        deed("assign_role", Operation::Grant, "account"),
    ],
];

/// A kind of failure.
struct Failure {
    code: u32,
    reason: &'static str,
    why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Refused,
    Impossible,
    Broken,
}

const fn failure(code: u32, reason: &'static str, why: Why) -> Failure {
    Failure { code, reason, why }
}

const FAILURES: [Failure; 8] = [
    failure(401, "authentication required", Why::Refused),
    failure(403, "denied by policy", Why::Refused),
    failure(404, "not found", Why::Impossible),
    failure(409, "conflict with a change under way", Why::Impossible),
    failure(412, "precondition failed", Why::Impossible),
    failure(429, "too many requests", Why::Impossible),
    failure(500, "internal error", Why::Broken),
    failure(503, "backend unavailable", Why::Broken),
];

const SQL_FAILURES: [Failure; 5] = [
    failure(1045, "access denied for user", Why::Refused),
    failure(1142, "command denied to user", Why::Refused),
    failure(1064, "syntax error", Why::Impossible),
    failure(1146, "table does not exist", Why::Impossible),
    failure(1205, "lock wait timeout exceeded", Why::Broken),
];

const USER_AGENTS: [&str; 30] = [
    "docker/24.0.7 kernel/6.1.0 os/linux arch/amd64",
    "docker/26.1.4 kernel/5.15.0 os/linux arch/amd64",
    "docker/27.3.1 kernel/6.8.0 os/linux arch/arm64",
    "containerd/v1.7.13",
    "containerd/v2.0.1",
    "cri-o/1.29.2 os/linux arch/amd64",
    "buildkit/v0.13",
    "skopeo/1.14.2",
    "crane/v0.19.1",
    "helm/v3.14.2",
    "Apache-Maven/3.9.6 (Java 17.0.10)",
    "Apache-Maven/3.8.8 (Java 11.0.22)",
    "Gradle/8.6 (Linux;6.5.0;amd64)",
    "npm/10.2.4 node/v20.11.1 linux x64",
    "pnpm/8.15.4 node/v20.11.1",
    "pip/24.0",
    "twine/5.0.0 CPython/3.12.2",
    "GoModuleMirror/1.0",
    "curl/7.88.1",
    "curl/8.5.0",
    "Wget/1.21.3",
    "python-requests/2.31.0",
    "kubectl/v1.29.2 (linux/amd64)",
    "kubectl/v1.28.7 (darwin/arm64)",
    "kube-controller-manager/v1.29.2",
    "Terraform/1.7.4",
    "mysql-connector-java-8.3.0",
    "libmariadb/3.3.8",
    "Firefox/122.0 (X11; Linux x86_64)",
    "Chrome/122.0.0.0 (Windows NT 10.0)",
];

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use event::entry::Template;

    use super::*;

    const COUNT: u64 = 20_000;

    fn all() -> (Events, Vec<Event>) {
        let events = Events::new(COUNT, 1);
        let made = (0..COUNT).map(|number| events.event(number)).collect();
        (events, made)
    }

    fn share(made: &[Event], is_counted: impl Fn(&Event) -> bool) -> f64 {
        made.iter().filter(|event| is_counted(event)).count() as f64 / made.len() as f64
    }

    fn assert_near(got: f64, expected: f64, what: &str) {
        assert!((got / expected - 1.0).abs() < 0.2, "{what}: {got}, expected about {expected}");
    }

    #[test]
    fn an_event_follows_from_seed_and_number() {
        let (again, other) = (Events::new(COUNT, 1), Events::new(COUNT, 2));
        let (_, made) = all();
        for number in (0..COUNT).rev().step_by(997) {
            assert_eq!(again.event(number), made[number as usize]);
            assert_ne!(other.event(number), made[number as usize]);
        }
    }

    #[test]
    fn entries_have_about_800_bytes() {
        let (_, made) = all();
        let mut bytes = Vec::new();
        for (number, event) in (1..).zip(&made) {
            Template::new(event).fill(number, END, &mut bytes);
        }
        let average = bytes.len() / made.len();
        // The form takes 500 of them: names of members, hash, times, id and trail.
        assert!((750..830).contains(&average), "{average} bytes");
    }

    #[test]
    fn few_have_most() {
        let (events, made) = all();
        let trails: HashSet<_> = made.iter().map(|event| &event.trail).collect();
        assert_eq!(trails.len(), TRAILS);
        assert_eq!(
            events.actors.iter().map(|actor| &actor.name).collect::<HashSet<_>>().len(),
            ACTORS
        );
        assert_near(
            share(&made, |event| event.trail == events.trails[0]),
            0.170,
            "the largest trail",
        );
        assert_near(
            share(&made, |event| event.trail == events.trails[9]),
            0.017,
            "the tenth trail",
        );
        assert_near(
            share(&made, |event| event.actor == events.actors[0]),
            0.110,
            "the first actor",
        );
        for service in Service::ALL {
            assert!(share(&made, |event| event.trail.service() == service) > 0.1, "{service:?}");
        }
    }

    #[test]
    fn actions_are_words_of_their_services() {
        let (_, made) = all();
        let pairs: HashSet<_> = made.iter().map(|event| (&event.action, event.operation)).collect();
        assert_eq!(pairs.len(), 40);
    }

    #[test]
    fn failures_have_a_reason_and_a_severity() {
        let (_, made) = all();
        let failed = |event: &Event| event.outcome.kind == OutcomeKind::Failure;
        assert_near(share(&made, failed), 0.03, "failures");
        for event in &made {
            assert_eq!(failed(event), event.outcome.reason.is_some());
            assert_eq!(failed(event), event.outcome.code.is_some());
            assert!(failed(event) || event.severity <= Severity::MINOR);
            assert!(!failed(event) || event.severity > Severity::WARNING);
        }
        for level in 1..=4 {
            assert!(made.iter().any(|event| event.severity.level() == level), "severity {level}");
        }
    }

    #[test]
    fn time_is_filled_and_few_are_late() {
        let (events, made) = all();
        let start = END.plus_seconds(-DAYS * 86_400);
        assert!(made.iter().all(|event| (start..END).contains(&event.occurred_at)));
        assert!(made[COUNT as usize - 1].occurred_at > END.plus_seconds(-7 * 3600));
        let late = made
            .iter()
            .zip(0..)
            .filter(|(event, number)| event.occurred_at < events.moment(*number).plus_seconds(-1));
        assert_near(late.count() as f64 / COUNT as f64, 0.01, "late ones");
        for number in 0..COUNT {
            assert!(events.received_at(number) >= made[number as usize].occurred_at);
            assert!(events.received_at(number) <= events.received_at(number + 1));
        }
    }

    #[test]
    fn keys_and_names_are_many() {
        let (events, made) = all();
        let distinct = |value: &dyn Fn(&Event) -> Option<String>| -> usize {
            made.iter().filter_map(value).collect::<HashSet<_>>().len()
        };
        assert_eq!(distinct(&|event| event.origin.key.clone()), COUNT as usize);
        assert_eq!(distinct(&|event| Some(event.id.to_string())), COUNT as usize);
        assert_near(
            distinct(&|event| event.request_id.clone()) as f64,
            COUNT as f64 / 2.0,
            "request ids",
        );
        assert!(distinct(&|event| event.resource.name.clone()) > 17_000);
        assert_eq!(distinct(&|event| event.user_agent.clone()), USER_AGENTS.len());
        assert_eq!(events.words.iter().collect::<HashSet<_>>().len(), WORDS);
        let mut of_trails = BTreeMap::new();
        for event in &made {
            let first = of_trails.entry(&event.resource.name).or_insert(&event.trail);
            assert_eq!(*first, &event.trail, "a resource belongs to one trail");
        }
    }

    #[test]
    fn resources_are_a_million() {
        let parts: Vec<_> =
            (0..TRAILS).map(|rank| Zipf::new(TRAILS).part_of(rank, RESOURCES)).collect();
        assert_eq!((parts[0].0, parts[TRAILS - 1].1), (0, RESOURCES));
        assert!(parts.windows(2).all(|pair| pair[0].1 == pair[1].0 && pair[0].0 < pair[0].1));
    }
}
