//! Container registries.

pub(crate) mod docker_registry;
pub(crate) mod harbor_syslog;
pub(crate) mod harbor_webhook;
pub(crate) mod zot;
