//! The pure crate from outside: golden samples and canonical form.

#![allow(clippy::unwrap_used)]

mod any_bytes;
mod canonical_entry;
mod docker_registry;
mod golden;
mod kubernetes_audit;
mod mariadb_audit;
mod nginx_json;
