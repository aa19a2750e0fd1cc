//! Hosts: their kernels, services and logins.

pub(crate) mod journald;
pub(crate) mod linux_audit;
mod programs;
pub(crate) mod syslog;
