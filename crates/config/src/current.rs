//! The configuration in force in a running server.

use std::sync::{Arc, RwLock};

use crate::config::Config;

/// The configuration in force. A reload replaces it whole.
pub struct CurrentConfig(RwLock<Arc<Config>>);

impl CurrentConfig {
    /// Puts the first configuration in force.
    pub fn new(config: Config) -> CurrentConfig {
        CurrentConfig(RwLock::new(Arc::new(config)))
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
