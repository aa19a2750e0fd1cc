//! Cloud platforms.

pub(crate) mod cts;
pub(crate) mod kubernetes_audit;
pub(crate) mod openstack_cadf;
