//! The events sent: notifications as a registry writes them, each with an id of its own.

/// Digits of an id that differ from event to event.
const DIGITS: usize = 12;

const ACTORS: [&str; 4] = ["alice", "robot$ci-builder", "CORP\\\\dave", "ops@example.com"];
const REPOSITORIES: [&str; 4] =
    ["library/ubuntu", "team-a/sub/app", "charts/demo", "team-b/derived"];

/// One event as it stands in an envelope.
pub fn raw(number: u64) -> String {
    let (actor, repository) = (actor(number), repository(number));
    let digest = digest(number);
    format!(
        r#"      {{
         "id": "4b6f641e-12c8-49b1-a683-{number:0width$}",
         "timestamp": "{}",
         "action": "pull",
         "target": {{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "size": 626,
            "digest": "{digest}",
            "length": 626,
            "repository": "{repository}",
            "url": "http://127.0.0.1:18200/v2/{repository}/manifests/{digest}",
            "tag": "24.04"
         }},
         "request": {{
            "id": "67287651-e374-459b-99c5-{number:0width$}",
            "addr": "127.0.0.1:37950",
            "host": "127.0.0.1:18200",
            "method": "GET",
            "useragent": "docker/24.0.7 go/go1.20.10 kernel/6.1.0 os/linux arch/amd64"
         }},
         "actor": {{
            "name": "{actor}"
         }},
         "source": {{
            "addr": "vm:18200",
            "instanceID": "cba8e59a-19e0-4d46-a0f1-72e0ebd11c6a"
         }}
      }}"#,
        timestamp(number),
        width = DIGITS,
    )
}

/// A whole request body.
pub fn envelope(first: u64, count: usize) -> String {
    let events: Vec<String> = (first..first + count as u64).map(raw).collect();
    format!("{{\n   \"events\": [\n{}\n   ]\n}}", events.join(",\n"))
}

/// A body whose ids can be replaced in it. Writing it anew would cost the senders more than the
/// server.
pub struct Template {
    body: Vec<u8>,
    /// Offsets of each event's two ids and its time.
    offsets: Vec<[usize; 3]>,
}

impl Template {
    pub fn new(count: usize) -> Template {
        let body = envelope(0, count).into_bytes();
        let after = |marker: &str| -> Vec<usize> {
            let marker = marker.as_bytes();
            body.windows(marker.len())
                .enumerate()
                .filter(|(_, window)| *window == marker)
                .map(|(at, _)| at + marker.len())
                .collect()
        };
        let (ids, requests, times) = (after("a683-"), after("99c5-"), after("\"timestamp\": \""));
        let offsets: Vec<[usize; 3]> =
            (0..count).map(|at| [ids[at], requests[at], times[at]]).collect();
        assert_eq!(offsets.len(), count);
        Template { body, offsets }
    }

    pub fn numbered(&mut self, first: u64) -> &[u8] {
        for (position, offsets) in self.offsets.iter().enumerate() {
            let number = first + position as u64;
            let [id, request, time] = *offsets;
            let text = timestamp(number);
            self.body[time..time + text.len()].copy_from_slice(text.as_bytes());
            let mut rest = number;
            let mut digits = [b'0'; DIGITS];
            for digit in digits.iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            for at in [id, request] {
                self.body[at..at + DIGITS].copy_from_slice(&digits);
            }
        }
        &self.body
    }
}

pub fn key(number: u64) -> String {
    format!("4b6f641e-12c8-49b1-a683-{number:0width$}", width = DIGITS)
}

pub fn actor(number: u64) -> &'static str {
    ACTORS[number as usize % ACTORS.len()]
}

pub fn repository(number: u64) -> &'static str {
    REPOSITORIES[number as usize / 4 % REPOSITORIES.len()]
}

pub fn digest(number: u64) -> String {
    format!("sha256:{:064x}", number % 997)
}

/// Nanoseconds since the epoch.
pub fn occurred_ns(number: u64) -> i64 {
    1_795_132_800_000_000_000 + number as i64 * 10_000
}

/// One event every ten microseconds; as wide for every number.
pub fn timestamp(number: u64) -> String {
    let (hours, minutes) = (number / 360_000_000 % 24, number / 6_000_000 % 60);
    format!(
        "2026-11-20T{hours:02}:{minutes:02}:{:02}.{:05}0000Z",
        number / 100_000 % 60,
        number % 100_000
    )
}

/// The canonical text that a database stores for an event: as long as Daybook's own entry.
pub fn entry(number: u64) -> String {
    format!(
        r#"{{"action":"pull","actor":{{"name":"{}","type":"user"}},"attributes":{{"host":"127.0.0.1:18200","media_type":"application/vnd.oci.image.manifest.v1+json","method":"GET","registry":"vm:18200","registry_instance":"cba8e59a-19e0-4d46-a0f1-72e0ebd11c6a","remote_addr":"127.0.0.1:37950","size":"626","tag":"24.04"}},"class":"operation","id":"01a1fa23-7470-7707-8707-{number:012}","number":{number},"occurred_at":"{}","operation":"pull","outcome":{{"result":"success"}},"raw_sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","received_at":"2026-11-20T18:06:30.000000000Z","request_id":"67287651-e374-459b-99c5-{number:012}","resolution":"ms","resource":{{"id":"{}","name":"{}","type":"artifact"}},"severity":1,"source":{{"format":"docker-registry","key":"{}","name":"hub"}},"source_ip":{{"address":"127.0.0.1","trust":"peer"}},"trail":{{"instance":"hub","project":"p1","service":"registry","tenant":"acme"}},"user_agent":"docker/24.0.7 go/go1.20.10 kernel/6.1.0 os/linux arch/amd64","v":1}}"#,
        actor(number),
        timestamp(number),
        digest(number),
        repository(number),
        key(number),
    )
}
