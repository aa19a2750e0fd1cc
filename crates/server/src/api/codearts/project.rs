//! Accounts and projects by their ids in paths.

use access::{Caller, Project};

use crate::api::{ApiError, Call};

/// The forms that the page gives account and project ids.
pub fn check_ids(tenant: &str, project: &str) -> Result<(), ApiError> {
    let is_alphanumeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_tenant = (8..=32).contains(&tenant.len()) && is_alphanumeric(tenant);
    let is_project = project.len() == 32 && is_alphanumeric(project);
    if is_tenant && is_project { Ok(()) } else { Err(ApiError::InvalidParameter) }
}

/// The project, if it is the account's and the caller reaches it.
pub fn authorise_project<'a>(
    call: &Call<'a>,
    caller: &Caller<'_>,
    tenant: &str,
    project: &str,
) -> Result<&'a Project, ApiError> {
    call.project(project, caller)
        .filter(|project| project.tenant == tenant)
        .ok_or(ApiError::Forbidden)
}
