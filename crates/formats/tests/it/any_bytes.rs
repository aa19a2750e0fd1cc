//! No body makes a parser panic, and none is lost: bytes that are not an event are rejected, or the
//! body is refused.

use event::{Event, Service};
use formats::{Continuation, Format, Item, Options, Secrets};
use proptest::prelude::*;

use crate::golden::{Request, Source, everything};

/// Pieces that the parsers look for.
const PIECES: &[&str] = &[
    "20261120 18:09:48,",
    "vm,root,localhost,4,5,",
    "QUERY,db,",
    "FAILED_CONNECT,,,1045",
    "READ,db,t,",
    "'SELECT \\'a\\'',0",
    ",'",
    "\\",
    "/*!",
    "\n",
    "\r\n",
    r#"{"msec":1795197885.965,"status":200,"method":"GET","#,
    r#""uri":"/a%","request_uri":"/a%2","#,
    r#""remote_addr":"::1","request_time":0.001}"#,
    r#"{"kind":"EventList","items":["#,
    r#"{"kind":"Event","auditID":"a","verb":"get","stage":"ResponseComplete","#,
    r#""requestReceivedTimestamp":"2026-11-20T18:22:27.876845Z""#,
    r#""objectRef":{"resource":"pods"},"#,
    r#""sourceIPs":[],"#,
    "}",
    "]",
    ",",
    "\"",
    "\u{fffd}",
];

/// Pieces of registries and repositories.
const REPOSITORIES: &[&str] = &[
    r#"{"type":"PULL_ARTIFACT","occur_at":1795190000,"operator":"al","event_data":"#,
    r#"{"resources":[{"digest":"sha256:ab","tag":"1"}],"repository":{"repo_full_name":"a/b"}}"#,
    "[operator=\"al\" resourceType=\"artifact\"",
    " time=\"2026-11-20 18:35:15.1 +0000 UTC\"]: action:pull, resource:a/b:1",
    r#"{"id":"1","source":"zot","type":"z.image.updated","data":{"name":"a/b","digest":"sha256:ab"}"#,
    "::1 - al [20/Nov/2026:18:04:45 +0000] \"GET /repository/a/b%2 HTTP/1.1\" 200 25",
    " \"-\" \"a\\xE7\\x\"",
    " 7 3 \"agent\" [t]",
    r#"{"time":1795197885574,"request":{"method":"GET","url":"/a/-/a-1.tgz"},"#,
    r#""status":200,"bytes":{"in":0,"out":3},"remoteIP":"::1 via ::1"}"#,
    r#"{"publisher":{"name":"al"},"publishedPackage":"a@1","publishType":"publish""#,
    r#"{"timestamp":"2026-11-20 18:01:15,125+0000","initiator":"al/::1","#,
    r#""domain":"security.user","type":"created","action":"CREATED","asset":{"name":"/a"}"#,
    r#"{"domain":"artifact","event_type":"deployed","data":{"repo_key":"r","path":"a"}"#,
    "2026-11-20T18:46:12.686Z|1|::1|al|GET|/a/b%2|200|-1|0|80|",
    "2026-11-20T18:52:11.456Z [1] [ACCEPTED DEPLOY] r:a for client : al / ::1 [token].",
];

/// Pieces of hosts and of OpenStack.
const HOSTS: &[&str] = &[
    "<38>1 2026-11-20T18:17:11.008018+00:00 vm ",
    "sshd 7 - - ",
    "Nov 20 18:17:11 vm sudo[7]: ",
    "al : PWD=/ ; USER=root ; COMMAND=id",
    "Failed password for invalid user ",
    " from 192.0.2.7 port 22",
    "pam_unix(x:auth): authentication failure;  user=",
    "message repeated 2 times: [ ",
    "__CURSOR=s=1;i=2\n",
    "__REALTIME_TIMESTAMP=1795198781599306\n",
    "MESSAGE\n\u{5}\0\0\0\0\0\0\0hello\n",
    r#"{"__REALTIME_TIMESTAMP":"1795198781599306","#,
    r#""MESSAGE":[104,105],"A":["x",null]}"#,
    "\u{1e}",
    "node=vm type=SYSCALL msg=audit(1795198632.044:626): ",
    "type=PATH msg=audit(1795198632.044:626): ",
    "type=EXECVE msg=audit(1795198632.044:626): a0=\"sh\" a1[0]=2D63",
    "arch=c000003e syscall=59 auid=1001 success=no exit=-13 ",
    "msg='op=login acct=",
    "\u{1d}AUID=\"al\" ",
    r#"{"message_id":"m","event_type":"audit.http.request","payload":{"id":"e","outcome":"pending","#,
    r#""typeURI":"http://schemas.dmtf.org/cloud/audit/1.0/event","action":"read","#,
    r#""eventTime":"2026-11-20T18:29:51.338796+0000"}}"#,
    r#"{"oslo.message":""#,
    "2026-11-20 18:27:16.792 8970 INFO oslo.messaging.notification.x [-] ",
];

/// Pieces of telemetry, events and cloud services.
const SERVICES: &[&str] = &[
    r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":["#,
    r#"{"eventName":"e","timeUnixNano":"7","body":{"arrayValue":{"values":["#,
    r#"{"intValue":7},{"kvlistValue":{"values":[{"key":"k","value":{"bytesValue":"AA=="}}]}}]}}}"#,
    "]}]}]}",
    "\n\x07\x12\x05\x12\x03b\x01e",
    "\n\x09\x12\x07\x12\x05*\x03*\x01\n",
    "\x12\x7f",
    r#"{"specversion":"1.0","id":"1","source":"s","type":"t""#,
    r#","data":{"user":{"name":"a"},"status":403}"#,
    r#","data_base64":"AP8B","datacontenttype":"text/plain""#,
    r#"{"traces":["#,
    r#"{"trace_id":"t","trace_name":"createUser","time":1795190000000"#,
    r#","user":"{\"name\":\"a\",\"domain\":{}}""#,
    r#","service_type":"SWR","resource_type":"image","resource_name":"a@:/""#,
    r#","response":"{\"error_code\":1}","code":"400""#,
];

/// Pieces of databases.
const DATABASES: &[&str] = &[
    "2026-11-20 18:10:58.412 UTC,\"ro\",\"db\",1,\"h:1\",6b.58,7,\"idle\",2026-11-20 18:10:58 UTC,6/4,0,",
    "LOG,00000,\"AUDIT: SESSION,1,1,READ,SELECT,,,\"\"",
    "ERROR,42710,\"x\",,,,,,",
    "\"\"",
    ",<none>,0\",,,,,,,,,\"app\",\"client backend\",,0\n",
    r#"{"timestamp":"2026-11-20 18:10:25.552 UTC","session_id":"a.b","line_num":1,"#,
    r#""message":"AUDIT: OBJECT,1,1,WRITE,COPY,,,x,y"}"#,
    "password = '",
    "IDENTIFIED BY $$",
    "/*",
    r#"{"timestamp":"2026-11-20 18:00:01","id":1,"class":"general","event":"status","#,
    r#""general_data":{"query":"SET PASSWORD='x'","status":0}}"#,
    "[\n",
    "<AUDIT>\n<AUDIT_RECORD>",
    "<NAME>Query</NAME><TIMESTAMP>2026-11-20T18:06:33</TIMESTAMP>",
    "<SQLTEXT>SELECT &lt;",
    "</SQLTEXT></AUDIT_RECORD>\n",
    "<AUDIT_RECORD\n NAME=\"Quit\" TIMESTAMP=\"2026-11-20T18:06:33Z\"",
    "/>",
    "\"Query\",\"1_x\",\"2026-11-20T18:41:41Z\",\"select\",\"13\",0,\"SELECT ",
    "\",\"a[a] @  []\",\"\",\"\",\"\",\"\"\n",
    "\"7\",\"77\",\"0\",\"Query\",\"2026-11-20T18:00:00Z\",\"select\",\"SELECT ",
];

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select([PIECES, REPOSITORIES, HOSTS, SERVICES, DATABASES].concat())
            .prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// The items of a body, and of the same bytes as a message. Pieces are within them.
fn parse_all(body: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    for format in Format::ALL {
        let source = Source { format: format.as_str(), service: Service::Platform, name: "any" };
        check_struck(&source, body);
        for follows in [Continuation::More, Continuation::Quiet, Continuation::Nothing] {
            assert!(format.complete_bytes(body, follows) <= body.len());
        }
        source.parse_message(body, &everything());
        for item in source.parse(body, &mut 0).unwrap_or_default() {
            let raw = match item {
                Item::Skipped(_) => continue,
                Item::Rejected(rejected) => rejected.raw,
                Item::Event(event) => {
                    events.push(*event.clone());
                    event.raw
                }
            };
            assert!(raw.is_empty() || source.is_from(body, &raw));
        }
    }
    events
}

/// Striking secrets out of originals changes neither lengths nor any other byte.
fn check_struck(source: &Source, body: &[u8]) {
    let request = Request { body: body.to_vec(), ..Request::default() };
    let options = Options { secrets: Secrets::RedactRaw, ..everything() };
    let raws = |items: Vec<Item>| {
        let raw = |item| match item {
            Item::Event(event) => Some(event.raw),
            _ => None,
        };
        items.into_iter().filter_map(raw).collect::<Vec<Vec<u8>>>()
    };
    let whole = raws(source.parse_as(&request, &everything(), &mut 0).unwrap_or_default());
    let struck = raws(source.parse_as(&request, &options, &mut 0).unwrap_or_default());
    assert_eq!(whole.len(), struck.len());
    for (whole, struck) in whole.iter().zip(&struck) {
        assert_eq!(whole.len(), struck.len());
        assert!(whole.iter().zip(struck).all(|(whole, struck)| whole == struck || *struck == b'*'));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
        parse_all(&body);
    }

    #[test]
    fn pieces_in_any_order_never_panic(body in any_body()) {
        parse_all(&body);
    }

    #[test]
    fn any_statement_is_read_as_the_plugin_wrote_it(
        statement in any::<String>().prop_map(|text| text.replace(['\u{fffd}', '\n'], "?")),
    ) {
        let escaped = statement.replace('\\', "\\\\").replace('\'', "\\'");
        let line = format!("20261120 18:09:48,vm,a,b,::1,4,5,QUERY,db,'{escaped}',0");
        let source = Source { format: "mariadb-audit", service: Service::Database, name: "any" };
        let event = source.event(&line);
        prop_assert_eq!(event.actor.name.as_deref(), Some("a,b"));
        prop_assert_eq!(event.resource.name.as_deref(), Some("db"));
        prop_assert_eq!(event.description.unwrap_or_default(), statement);
        prop_assert_eq!(event.raw, line.into_bytes());
    }
}

#[test]
fn the_pieces_make_events_of_every_new_format() {
    for (body, format) in [
        (format!("{}{}{}{}", PIECES[0], PIECES[1], PIECES[2], PIECES[5]), "mariadb-audit"),
        (format!("{}{}{}", PIECES[11], PIECES[12], PIECES[13]), "nginx-json"),
        (
            format!("{}{}{}{}]}}", PIECES[14], PIECES[15], PIECES[16], PIECES[19]),
            "kubernetes-audit",
        ),
        (format!("{}{}}}", REPOSITORIES[0], REPOSITORIES[1]), "harbor-webhook"),
        (format!("{}{}", REPOSITORIES[2], REPOSITORIES[3]), "harbor-syslog"),
        (format!("{}}}", REPOSITORIES[4]), "zot"),
        (format!("{}{}", REPOSITORIES[5], REPOSITORIES[6]), "nginx-combined"),
        (format!("{}{}", REPOSITORIES[5], REPOSITORIES[7]), "nexus-request"),
        (format!("{}{}", REPOSITORIES[8], REPOSITORIES[9]), "verdaccio-log"),
        (format!("{}}}", REPOSITORIES[10]), "verdaccio-notify"),
        (format!("{}{}}}", REPOSITORIES[11], REPOSITORIES[12]), "nexus-webhook"),
        (format!("{}{}}}", REPOSITORIES[11], REPOSITORIES[12]), "nexus-audit"),
        (format!("{}}}", REPOSITORIES[13]), "artifactory-webhook"),
        (REPOSITORIES[14].to_owned(), "artifactory-request"),
        (REPOSITORIES[15].to_owned(), "artifactory-access"),
        (format!("{}{}{}x{}", HOSTS[0], HOSTS[1], HOSTS[4], HOSTS[5]), "syslog"),
        (format!("{}{}", HOSTS[2], HOSTS[3]), "syslog"),
        (format!("{}{}{}", HOSTS[8], HOSTS[9], HOSTS[10]), "journald"),
        (format!("{}{}", HOSTS[11], HOSTS[12]), "journald"),
        (format!("{}{}\n{}", HOSTS[14], HOSTS[17], HOSTS[16]), "linux-audit"),
        (format!("{}{}{}{}", HOSTS[24], HOSTS[20], HOSTS[21], HOSTS[22]), "openstack-cadf"),
        (format!("{}{}{}{}", SERVICES[0], SERVICES[1], SERVICES[2], SERVICES[3]), "otlp-logs"),
        (format!("{}{}", SERVICES[4], SERVICES[5]), "otlp-logs"),
        (format!("{}{}{}", SERVICES[7], SERVICES[8], PIECES[19]), "cloudevents"),
        (format!("{}{}{}", SERVICES[7], SERVICES[9], PIECES[19]), "cloudevents"),
        (
            format!(
                "{}{}{}{}{}]}}",
                SERVICES[10], SERVICES[11], SERVICES[12], SERVICES[14], PIECES[19]
            ),
            "cts",
        ),
        (format!("{}{}{}", SERVICES[11], SERVICES[13], PIECES[19]), "cts"),
        (
            format!("{}{}SELECT 1{}{}", DATABASES[0], DATABASES[1], DATABASES[3], DATABASES[4]),
            "postgresql-csvlog",
        ),
        (format!("{}{}", DATABASES[5], DATABASES[6]), "postgresql-jsonlog"),
        (format!("{}{}", DATABASES[10], DATABASES[11]), "mysql-enterprise"),
        (
            format!("{}{}{}{}", DATABASES[13], DATABASES[14], DATABASES[15], DATABASES[16]),
            "mysql-enterprise",
        ),
        (format!("{}{}", DATABASES[17], DATABASES[18]), "percona-audit"),
        (format!("{}{}", DATABASES[19], DATABASES[20]), "percona-audit"),
        (format!("{}{}", DATABASES[21], DATABASES[20]), "taurusdb-audit"),
    ] {
        let events = parse_all(body.as_bytes());
        assert!(events.iter().any(|event| event.origin.format == format), "{body}");
    }
}

/// A sender with the wrong address gets an error or a rejected record, never silence.
#[test]
fn what_is_of_another_format_is_not_passed_over() {
    for format in Format::ALL {
        let source = Source { format: format.as_str(), service: Service::Platform, name: "any" };
        for body in [
            r#"{"hello":"deploy"}"#,
            r#"{"message":"deploy"}"#,
            "hello",
            "[1]",
            "<a/>",
            r#"["hello"]"#,
        ] {
            let parsed = source.parse(body.as_bytes(), &mut 0);
            assert!(
                !matches!(&parsed, Ok(items) if items.is_empty()),
                "{}: {body}",
                format.as_str()
            );
        }
    }
}
