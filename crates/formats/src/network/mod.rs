//! Web servers and proxies.

pub(crate) mod nginx_combined;
pub(crate) mod nginx_json;
