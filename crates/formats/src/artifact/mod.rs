//! Repositories of packages.

pub(crate) mod artifactory_access;
pub(crate) mod artifactory_request;
pub(crate) mod artifactory_webhook;
pub(crate) mod nexus_audit;
pub(crate) mod nexus_request;
pub(crate) mod nexus_webhook;
pub(crate) mod verdaccio_log;
pub(crate) mod verdaccio_notify;
