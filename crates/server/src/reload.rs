//! Reload of the configuration and of certificates while the server runs.
//!
//! Everything is read and checked first, then recorded, and only then in force. A wrong
//! configuration, or one that cannot be recorded, changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Weak};

use event::{Operation, Outcome, OutcomeKind, Severity};
use store::FileObjects;
use store::durable::Local;

use crate::settings_log;
use config::{self, CurrentConfig, Flags, LogLevel, Source, Tls, Transition};
use intake::audit::{Act, OwnAudit};
use intake::sockets;
use net::tls::{self, Certificates, Renewable};

/// Reloads one server.
pub struct Reloader {
    in_force: Arc<CurrentConfig>,
    audit: Weak<OwnAudit>,
    objects: FileObjects,
    certificates: Vec<(Holder, Arc<Renewable>)>,
    flags: Flags,
    variables: BTreeMap<String, String>,
    set_level: Box<dyn Fn(LogLevel) + Send + Sync>,
}

/// The owner of a certificate.
pub enum Holder {
    Server,
    /// The syslog listener of the source with this name.
    Source(String),
}

impl Reloader {
    pub fn new(
        in_force: &Arc<CurrentConfig>,
        audit: &Arc<OwnAudit>,
        data_dir: &Path,
        certificates: Vec<(Holder, Arc<Renewable>)>,
        flags: Flags,
        variables: BTreeMap<String, String>,
        set_level: Box<dyn Fn(LogLevel) + Send + Sync>,
    ) -> Reloader {
        let objects = FileObjects::new(Arc::new(Local::open(data_dir)));
        Reloader {
            in_force: Arc::clone(in_force),
            audit: Arc::downgrade(audit),
            objects,
            certificates,
            flags,
            variables,
            set_level,
        }
    }

    /// Reads configuration and certificates again, and logs the result. Blocks.
    pub fn reload(&self) {
        // Gone when the server is stopping.
        let Some(audit) = self.audit.upgrade() else { return };
        match self.take_up(&audit) {
            Ok((changed, waiting)) => {
                tracing::info!(changed = list(&changed), "reloaded the configuration");
                for setting in waiting {
                    tracing::warn!(
                        setting,
                        "a changed setting is not in force: restart the server to use it"
                    );
                }
            }
            Err(why) => {
                tracing::error!(
                    why,
                    "rejected the new configuration; the running one stays in force"
                );
                let outcome = Outcome { kind: OutcomeKind::Failure, ..Outcome::default() };
                let act =
                    Act { outcome, severity: Severity::MAJOR, description: Some(why), ..act() };
                audit.record_soon(act);
            }
        }
    }

    /// The changed settings, and those that wait for the next start.
    fn take_up(&self, audit: &OwnAudit) -> Result<(Vec<String>, Vec<String>), String> {
        let running = self.in_force.current();
        let Transition { config, mut changed, waiting } =
            config::reload(&running, &self.flags, &self.variables).map_err(|failure| failure.0)?;
        let renewed = self.renewed(config.tls.as_ref(), &config.sources)?;
        let mut fingerprints = Vec::new();
        for (name, certificate, (_, fingerprint)) in &renewed {
            if certificate.fingerprint() != *fingerprint {
                fingerprints.push(format!("{name} {}", hex::encode(fingerprint)));
                changed.push(format!("the certificate of {name}"));
            }
        }
        if !changed.is_empty() {
            let act = act()
                .with("changed", list(&changed))
                .with("waiting", list(&waiting))
                .with("certificates", list(&fingerprints));
            let act = settings_log::anchored(act, &config.text, Some(&running.text));
            let description = Some("the server runs with other settings".to_owned());
            audit.record_now(Act { description, ..act })?;
            settings_log::write_copy(&self.objects, &config.text)?;
        }
        // Nothing can fail from here on.
        renewed.into_iter().for_each(|(_, certificate, read)| certificate.renew(read));
        (self.set_level)(config.log_level);
        self.in_force.replace(config);
        Ok((changed, waiting))
    }

    /// The owner, the current certificate and the files' content of each.
    fn renewed(
        &self,
        server: Option<&Tls>,
        sources: &[Source],
    ) -> Result<Vec<(String, &Renewable, Certificates)>, String> {
        let mut renewed = Vec::new();
        for (holder, certificate) in &self.certificates {
            let (name, read) = match holder {
                Holder::Server => (
                    "the server".to_owned(),
                    server.map(|tls| tls::for_http(sockets::pem_files(tls))),
                ),
                Holder::Source(name) => {
                    let source = sources.iter().find(|source| source.name == *name);
                    let tls = source.and_then(|source| source.syslog.as_ref()?.tls.as_ref());
                    let read = tls.map(|tls| {
                        tls::server_config(
                            sockets::pem_files(&tls.identity),
                            tls.client_ca.as_deref(),
                        )
                    });
                    (format!("source {name}"), read)
                }
            };
            // A listener with TLS continues with it: that changes only at a start.
            if let Some(read) = read {
                renewed.push((name, &**certificate, read?));
            }
        }
        Ok(renewed)
    }
}

fn act() -> Act {
    Act::new("config.reload", Operation::Configure, "Configuration").on("configuration", "daybook")
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join("; ") }
}
