//! Lines of Artifactory's access log, and names in them that look like their ends.

use event::{Class, Event, Operation, OutcomeKind, Resolution, Service};
use formats::{Item, Options, Zone};

use crate::golden::{Request, Source, requests};

const JFROG: Source =
    Source { format: "artifactory-access", service: Service::Artifact, name: "jfrog" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    let path = JFROG.capture("artifactory-access.log");
    JFROG.check(&path, &requests(&path));
}

fn line(response: &str, what: &str, who: &str) -> String {
    format!("2026-11-20T18:52:11.456Z [4b1b] [{response}] {what} for client : {who}")
}

fn event(response: &str, what: &str) -> Event {
    JFROG.event(line(response, what, "al / 192.0.2.1 [token]"))
}

#[test]
fn actions_mean_operations() {
    for (response, operation, outcome, class, severity) in [
        ("ACCEPTED DEPLOY", Operation::Upload, OutcomeKind::Success, Class::Operation, 1),
        ("DENIED DEPLOY", Operation::Upload, OutcomeKind::Failure, Class::Security, 2),
        ("ACCEPTED DOWNLOAD", Operation::Download, OutcomeKind::Success, Class::Operation, 1),
        ("ACCEPTED DELETE", Operation::Delete, OutcomeKind::Success, Class::Operation, 2),
        ("DENIED DELETE", Operation::Delete, OutcomeKind::Failure, Class::Security, 3),
        ("ACCEPTED LOGIN", Operation::Login, OutcomeKind::Success, Class::Security, 1),
        ("DENIED LOGIN", Operation::Login, OutcomeKind::Failure, Class::Security, 3),
        ("ACCEPTED ANNOTATE_DELETE", Operation::Update, OutcomeKind::Success, Class::Operation, 1),
        (
            "ACCEPTED CONFIGURATION_CHANGE",
            Operation::Configure,
            OutcomeKind::Success,
            Class::Security,
            1,
        ),
        ("ACCEPTED BUILD_DELETE", Operation::Delete, OutcomeKind::Success, Class::Operation, 2),
        ("ACCEPTED FROB", Operation::Other, OutcomeKind::Success, Class::Operation, 1),
    ] {
        let event = event(response, "r:a/b");
        let described = (event.operation, event.outcome.kind, event.class, event.severity.level());
        assert_eq!(described, (operation, outcome, class, severity), "{response}");
    }
}

#[test]
fn paths_are_distinguished_from_messages() {
    for (what, kind, name, description) in [
        ("maven-local:a/b.jar", "file", Some("maven-local/a/b.jar"), None),
        ("maven-local:/a for b.jar", "file", Some("maven-local/a for b.jar"), None),
        ("A message: with a colon", "request", None, Some("A message: with a colon")),
        ("", "request", None, None),
    ] {
        let event = event("ACCEPTED DOWNLOAD", what);
        let described = (
            event.resource.kind.as_deref(),
            event.resource.name.as_deref(),
            event.description.as_deref(),
        );
        assert_eq!(described, (Some(kind), name, description), "{what}");
    }
}

#[test]
fn users_addresses_and_how_they_signed_in() {
    for (who, user, address, how) in [
        ("al / 192.0.2.1 [token]", Some("al"), Some("192.0.2.1"), Some("token")),
        ("al / 192.0.2.1 [token].", Some("al"), Some("192.0.2.1"), Some("token")),
        ("al / 192.0.2.1.", Some("al"), Some("192.0.2.1"), None),
        ("anonymous / 2001:db8:0:0:0:0:0:9.", None, Some("2001:db8::9"), None),
        ("a / b / 192.0.2.1", Some("a / b"), Some("192.0.2.1"), None),
        ("al / unknown", Some("al"), None, None),
    ] {
        let event = JFROG.event(line("DENIED LOGIN", "", who));
        assert_eq!(event.actor.name.as_deref(), user, "{who}");
        assert_eq!(event.source_ip.map(|ip| ip.address.to_string()).as_deref(), address, "{who}");
        assert_eq!(event.attributes.get("auth_type").map(String::as_str), how, "{who}");
    }
}

#[test]
fn lines_before_version_7_have_no_trace_id() {
    let text =
        "2017-01-13 18:54:12,121 [ACCEPTED DEPLOY] maven-local:org/acme/a.jar for ann/192.0.2.9.";
    let event = JFROG.event(text);
    assert_eq!((event.operation, event.actor.name.as_deref()), (Operation::Upload, Some("ann")));
    assert_eq!(event.resource.name.as_deref(), Some("maven-local/org/acme/a.jar"));
    assert_eq!((event.trace_id, event.origin.key), (None, None));
    let event = JFROG.event("2017-01-13 18:54:13,121 [DENIED LOGIN] for bob/192.0.2.8.");
    assert_eq!((event.operation, event.outcome.kind), (Operation::Login, OutcomeKind::Failure));
    assert_eq!(event.source_ip.unwrap().address.to_string(), "192.0.2.8");
}

#[test]
fn old_lines_have_a_time_without_zone() {
    let text = "2020-05-15 15:52:11,456 [4b1b] [ACCEPTED DOWNLOAD] r:a/b for al/192.0.2.1.";
    let event = JFROG.event(text);
    assert_eq!(event.occurred_at.to_string(), "2020-05-15T15:52:11.456000000Z");
    assert_eq!(
        (event.resolution, event.attributes["time_zone_assumed"].as_str()),
        (Resolution::Millisecond, "UTC")
    );
    let options = Options { time_zone: Some(Zone::parse("+02:00").unwrap()), ..Options::default() };
    let request = Request { body: text.as_bytes().to_vec(), ..Request::default() };
    let Item::Event(event) = JFROG.parse_as(&request, &options, &mut 0).unwrap().remove(0) else {
        panic!()
    };
    assert_eq!(event.occurred_at.to_string(), "2020-05-15T13:52:11.456000000Z");
    assert_eq!(event.attributes["time_zone"], "+02:00");
}

#[test]
fn searches_are_noise_but_refused_ones_are_not() {
    let items = |response| {
        let body = line(response, "", "al / 192.0.2.1").into_bytes();
        JFROG
            .parse_as(&Request { body, ..Request::default() }, &Options::default(), &mut 0)
            .unwrap()
    };
    assert!(matches!(items("ACCEPTED SEARCH")[..], [Item::Skipped("noise")]));
    assert!(matches!(items("DENIED SEARCH")[..], [Item::Event(_)]));
}

#[test]
fn each_line_of_a_trace_has_its_key() {
    let key = |response| event(response, "r:a/b").origin.key;
    assert!(key("ACCEPTED DEPLOY").is_some());
    assert_eq!(key("ACCEPTED DEPLOY"), key("ACCEPTED DEPLOY"));
    assert_ne!(key("ACCEPTED DEPLOY"), key("DENIED DEPLOY"));
}

#[test]
fn one_bad_line_takes_no_other_with_it() {
    let good = line("ACCEPTED DEPLOY", "r:a", "al / 192.0.2.1");
    for (bad, why) in [
        ("hello", "no trace id"),
        ("2026-11-20T18:52:11.456Z [4b1b] hello", "no [ACCEPTED"),
        (&good.replace("ACCEPTED", "MAYBE"), "no [ACCEPTED"),
        (&good.replace("ACCEPTED DEPLOY", "ACCEPTED "), "no [ACCEPTED"),
        (&good.replace(" for client : ", " of "), "does not say for whom"),
        (&good.replace(" / ", " at "), "no user and address"),
        (&good.replace("2026-11-20T", "yesterday"), "is not a time"),
        (&line("DENIED LOGIN", "", "x for client : admin / 192.0.2.9 / 192.0.2.1"), "two ways"),
    ] {
        let reasons = JFROG.reasons(format!("{good}\n{bad}\n{good}"));
        assert_eq!(
            (reasons.len(), &*reasons[0], &*reasons[2]),
            (3, "event DEPLOY", "event DEPLOY")
        );
        assert!(reasons[1].contains(why), "{bad}: {}", reasons[1]);
    }
}
