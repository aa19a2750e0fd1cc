//! Daybook as a source of events: the trail of its own audit events.

use event::{Service, Trail};

use crate::setting::{Kind, settings};

/// Name of the source of Daybook's own events; no configured source may have it.
pub const OWN_SOURCE: &str = "daybook";

settings! {
    /// Trail of Daybook's own audit events, of service `dbaudit`. The default ids are as long as
    /// those of the vendor's clients, which check for 32 characters.
    pub struct Own in "own." {
        tenant: String = "daybook".to_owned(), Kind::Text, No,
            "Tenant of the trail of service `dbaudit` on which Daybook [records what is done to \
             itself](api/dbss.md#daybooks-own-trail). No source may feed this trail. Another trail \
             starts empty, so policies of [TaurusDB](api/taurusdb.md) on the old trail no longer \
             apply.";
        project: String = "0000000000000000000000000daybook".to_owned(), Kind::Text, No,
            "Project of that trail. It exists without being added.";
        instance: String = "operators-of-this-daybook-server".to_owned(), Kind::Text, No,
            "Instance of that trail.";
    }
}

impl Own {
    pub(crate) fn trail(&self) -> Result<Trail, String> {
        Trail::new(Service::Dbaudit, &self.tenant, &self.project, &self.instance)
            .map_err(|error| format!("own: {error}"))
    }
}
