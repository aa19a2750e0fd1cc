//! The configuration in force in a running server.

use std::sync::{Arc, RwLock};

use crate::Config;

/// The configuration in force, replaced whole by a reload.
pub struct InForce(RwLock<Arc<Config>>);

impl InForce {
    /// Begins with this configuration.
    pub fn new(config: Config) -> InForce {
        InForce(RwLock::new(Arc::new(config)))
    }

    /// The configuration in force now.
    pub fn current(&self) -> Arc<Config> {
        Arc::clone(&self.0.read().expect("no panic while held"))
    }

    /// Puts another configuration in force.
    pub fn replace(&self, config: Config) {
        *self.0.write().expect("no panic while held") = Arc::new(config);
    }
}
