//! Instances by their ids in paths.

use event::{Service, Trail};

use super::error::Error;
use crate::api::{ApiError, Call, Refusal, authorise};

/// The trail of the path's instance, if the caller may do to it what the route does. An id that
/// names a trail is right whatever its form; only unknown ids are distinguished by it.
pub fn authorise_instance(call: &Call<'_>) -> Result<Trail, Refusal> {
    let [project, instance] = call.path();
    let caller = call.caller()?;
    match authorise(call, caller, Service::Database, project, instance) {
        Ok(trail) => Ok(trail),
        Err(ApiError::NoSuchTrail) if !has_vendors_form(instance) => {
            Err(Error::InvalidInstanceId.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// 36 letters and digits, the last four of which are `in` and two digits in all ids that the vendor
/// makes.
fn has_vendors_form(instance: &str) -> bool {
    instance.len() == 36 && instance.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
