//! Databases, and the modules that their formats share.

mod audit_xml;
pub(crate) mod mariadb_audit;
mod mysql;
pub(crate) mod mysql_enterprise;
pub(crate) mod percona_audit;
mod postgresql;
pub(crate) mod postgresql_csvlog;
pub(crate) mod postgresql_jsonlog;
pub(crate) mod taurusdb_audit;
