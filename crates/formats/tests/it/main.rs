//! The parsers from outside: golden samples, and bytes of any kind.

#![allow(clippy::unwrap_used)]

mod again;
mod any_bytes;
mod artifactory_access;
mod artifactory_request;
mod artifactory_webhook;
mod cloudevents;
mod cts;
mod docker_registry;
mod golden;
mod harbor_syslog;
mod harbor_webhook;
mod journald;
mod kubernetes_audit;
mod linux_audit;
mod mariadb_audit;
mod messages;
mod mysql;
mod nexus_audit;
mod nexus_request;
mod nexus_webhook;
mod nginx_combined;
mod nginx_json;
mod openstack_cadf;
mod otlp;
mod otlp_hostile;
mod otlp_logs;
mod padded;
mod postgresql;
mod sql_secrets;
mod syslog;
mod verdaccio_log;
mod verdaccio_notify;
mod zot;
