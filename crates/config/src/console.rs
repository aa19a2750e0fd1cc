//! Settings of the console, the page at `/console/`.

use crate::setting::{Kind, settings};

settings! {
    /// Settings of the console.
    pub struct Console in "console." {
        enabled: bool = true, Kind::Flag, Yes,
            "Whether the server has the [console](console.md) at `/console/`, and sessions for it.";
        insecure: bool = false, Kind::Flag, Yes,
            "Whether people may sign in to the console without TLS from other machines. Anybody on \
             the way can then read passwords and sessions.";
    }
}
