//! The event: one thing that happened, in the same form for all sources.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::{EventId, Resolution, Time, Trail};

/// One thing that happened in an audited instance, as reported by its source.
///
/// The number in the trail, the time of receipt and the index are added by the log and not part of
/// this type: see [`crate::entry::Entry`].
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Our own id.
    pub id: EventId,
    /// The trail it belongs to.
    pub trail: Trail,
    /// When it happened, by the source's clock.
    pub occurred_at: Time,
    /// The resolution of that clock.
    pub resolution: Resolution,
    /// The actor.
    pub actor: Actor,
    /// The address it came from.
    pub source_ip: Option<SourceIp>,
    /// The client program.
    pub user_agent: Option<String>,
    /// The source's own verb.
    pub action: String,
    /// The operation that the verb stands for.
    pub operation: Operation,
    /// The resource that was acted on.
    pub resource: Resource,
    /// The outcome.
    pub outcome: Outcome,
    /// Its severity.
    pub severity: Severity,
    /// Ordinary operation or security matter.
    pub class: Class,
    /// One line for people.
    pub description: Option<String>,
    /// The source's id of the request that caused it.
    pub request_id: Option<String>,
    /// The distributed trace it belongs to.
    pub trace_id: Option<String>,
    /// Its origin, and the key by which a redelivery is recognised.
    pub origin: Origin,
    /// Everything else that the source said: names to texts. Numbers and booleans have their text
    /// as sent. [`INSTANCE_ID`](crate::query::INSTANCE_ID) and [`LOG_FILE`] have a meaning of their
    /// own.
    pub attributes: BTreeMap<String, String>,
    /// The bytes as received.
    pub raw: Vec<u8>,
}

/// The attribute that names the source's own log file of an event; a new name means that the source
/// rotated.
pub const LOG_FILE: &str = "log_file";

/// The actor. A source that knows no name gives none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The source's id of the actor.
    pub id: Option<String>,
    /// The name people know the actor by.
    pub name: Option<String>,
    /// The kind of actor.
    pub kind: ActorKind,
}

/// An address and how far it can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceIp {
    /// The address, without port, brackets or zone.
    pub address: IpAddr,
    /// Who vouches for it.
    pub trust: Trust,
}

/// The resource that was acted on. Names and ids are the source's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// The kind of thing: `artifact`, `blob`, `tag`, `repository`, `table`, …
    pub kind: Option<String>,
    /// The name people know it by.
    pub name: Option<String>,
    /// The id that distinguishes it from others of that name: a digest, a tag, a UUID, …
    pub id: Option<String>,
    /// The region it is in.
    pub region: Option<String>,
}

/// The outcome of an act.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Success, failure, or unknown.
    pub kind: OutcomeKind,
    /// The source's status or error code.
    pub code: Option<u32>,
    /// The source's reason.
    pub reason: Option<String>,
}

/// The origin of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The configured source's name.
    pub source: String,
    /// The format it was parsed as.
    pub format: String,
    /// The key that all deliveries of the same event share; unique within the source. Without one,
    /// every delivery is recorded.
    pub key: Option<String>,
}

/// Defines an enum whose members have one text each, used in entries, filters and configuration
/// alike.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$member_doc:meta])* $member:ident = $text:literal,)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$member_doc])* $member,)+ }

        impl $name {
            /// Every member, in order.
            pub const ALL: &'static [$name] = &[$($name::$member,)+];

            /// The member's text.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$member => $text,)+ }
            }
        }

        impl $name {
            /// The member with this text.
            pub fn from_text(text: &str) -> Option<$name> {
                match text {
                    $($text => Some($name::$member),)+
                    _ => None,
                }
            }
        }
    };
}

words! {
    /// The operation, the same for all sources.
    Operation {
        /// A thing was made.
        Create = "create",
        /// A thing was changed.
        Update = "update",
        /// A thing was removed.
        Delete = "delete",
        /// A thing was read without being fetched (a registry HEAD, a SELECT).
        Read = "read",
        /// An image or artifact was fetched from a registry.
        Pull = "pull",
        /// An image or artifact was stored in a registry.
        Push = "push",
        /// A blob was linked from one repository into another.
        Mount = "mount",
        /// A file was stored in a repository.
        Upload = "upload",
        /// A file was fetched from a repository.
        Download = "download",
        /// Someone signed in, or tried to.
        Login = "login",
        /// Someone signed out.
        Logout = "logout",
        /// A command was run.
        Exec = "exec",
        /// Rights were given or taken.
        Grant = "grant",
        /// Settings were changed.
        Configure = "configure",
        /// None of these.
        Other = "other",
    }
}

words! {
    /// The kind of actor.
    #[derive(Default)]
    ActorKind {
        /// A person.
        User = "user",
        /// An account made for a machine (`robot$…`).
        Robot = "robot",
        /// A workload's own identity.
        Service = "service",
        /// A client that did not sign in.
        Anonymous = "anonymous",
        /// The audited system itself.
        System = "system",
        /// Unknown to the source.
        #[default]
        Unknown = "unknown",
    }
}

words! {
    /// Who vouches for an address.
    Trust {
        /// The audited system saw it on the connection.
        Peer = "peer",
        /// A client or proxy claimed it in a header.
        Forwarded = "forwarded",
    }
}

words! {
    /// The kind of outcome.
    #[derive(Default)]
    OutcomeKind {
        /// It was done.
        Success = "success",
        /// It was refused or failed.
        Failure = "failure",
        /// Unknown to the source.
        #[default]
        Unknown = "unknown",
    }
}

words! {
    /// Ordinary operation, or a security matter.
    Class {
        /// Ordinary operation.
        Operation = "operation",
        /// Logins, rights, audit settings and the like.
        Security = "security",
    }
}

/// The severity of an event: 1 warning, 2 minor, 3 major, 4 critical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Severity(u8);

impl Severity {
    /// Nothing out of the ordinary.
    pub const WARNING: Severity = Severity(1);
    /// Failures, and destruction that succeeded.
    pub const MINOR: Severity = Severity(2);
    /// Refused destruction, failed logins, server errors.
    pub const MAJOR: Severity = Severity(3);
    /// Incidents; auditing switched off.
    pub const CRITICAL: Severity = Severity(4);

    /// The severity with this number; `None` outside 1 to 4.
    pub const fn new(level: u8) -> Option<Severity> {
        if matches!(level, 1..=4) { Some(Severity(level)) } else { None }
    }

    /// 1 to 4.
    pub const fn level(self) -> u8 {
        self.0
    }

    /// The number as text, as filters use it.
    pub const fn as_str(self) -> &'static str {
        match self.0 {
            1 => "1",
            2 => "2",
            3 => "3",
            _ => "4",
        }
    }
}
