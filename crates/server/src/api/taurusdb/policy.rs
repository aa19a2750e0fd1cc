//! The audit policy of an instance, read and changed.

use event::Operation;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::authorise::authorise_instance;
use crate::api::{Answer, ApiError, Call, Refusal};
use crate::audit_policies::{ACTIONS, KEEP_DAYS_MAX, Policy};
use intake::audit::Act;

pub(super) fn show(call: &Call<'_>) -> Result<Answer, Refusal> {
    let trail = authorise_instance(call)?;
    let policy = call.state.policies.known()?.of(&trail).unwrap_or_default();
    let body = PolicyBody {
        keep_days: policy.keep_days,
        audit_types: policy.audit_types,
        all_audit_log_action: ACTIONS.join(","),
    };
    Ok(Answer::json(StatusCode::OK, &body))
}

#[derive(Serialize)]
struct PolicyBody {
    keep_days: u64,
    audit_types: Vec<String>,
    all_audit_log_action: String,
}

pub(super) fn set(call: &Call<'_>) -> Result<Answer, Refusal> {
    let trail = authorise_instance(call)?;
    let job_id = system::random_hex::<16>();
    call.state.policies.known()?.change(&trail, |before| {
        let policy = parameters(&call.request.body, before)?;
        let act = Act::new(call.operation, Operation::Update, "Audit policy")
            .by(call.who())
            .on("audit policy", &trail.to_string())
            .with("keep_days", policy.keep_days.to_string())
            .with("reserve_audit_logs", policy.reserve_audit_logs.to_string())
            .with("audit_types", policy.audit_types.join(","))
            .with("job_id", &job_id);
        let description = format!("audit log files are listed for {} days", policy.keep_days);
        let act = Act { description: Some(description), ..act };
        call.state.audit.record_now(act).map_err(ApiError::Unrecorded)?;
        Ok::<_, ApiError>(policy)
    })?;
    Ok(Answer::json(StatusCode::OK, &Completed { result: "COMPLETED", job_id }).recorded())
}

#[derive(Serialize)]
struct Completed {
    result: &'static str,
    job_id: String,
}

#[derive(Deserialize)]
struct PolicyRequest {
    keep_days: u64,
    reserve_audit_logs: Option<bool>,
    audit_types: Option<Vec<String>>,
}

/// The policy that a request sets. Members that it leaves out stay as they were.
fn parameters(body: &[u8], before: Policy) -> Result<Policy, ApiError> {
    let request: PolicyRequest =
        serde_json::from_slice(body).map_err(|_| ApiError::InvalidParameter)?;
    let mut types: Vec<String> = Vec::new();
    for one in request.audit_types.unwrap_or(before.audit_types) {
        if !types.contains(&one) {
            types.push(one);
        }
        if types.len() > ACTIONS.len() {
            return Err(ApiError::InvalidParameter);
        }
    }
    if request.keep_days > KEEP_DAYS_MAX || !types.iter().all(|one| ACTIONS.contains(&one.as_str()))
    {
        return Err(ApiError::InvalidParameter);
    }
    Ok(Policy {
        keep_days: request.keep_days,
        reserve_audit_logs: request.reserve_audit_logs.unwrap_or(before.reserve_audit_logs),
        audit_types: types,
    })
}

/// Whether a body is a policy; for fuzz targets.
pub fn is_policy(body: &[u8]) -> bool {
    parameters(body, Policy::default()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_the_ranges_of_the_page() {
        let read = |body: &str| parameters(body.as_bytes(), Policy::default()).ok();
        let policy = |keep_days, reserve_audit_logs, audit_types: &[&str]| {
            let audit_types = audit_types.iter().map(|one| (*one).to_owned()).collect();
            Some(Policy { keep_days, reserve_audit_logs, audit_types })
        };
        assert_eq!(read(r#"{"keep_days":7}"#), policy(7, true, &[]));
        assert_eq!(
            read(r#"{"keep_days":0,"reserve_audit_logs":false,"audit_types":["DROP_USER"],"x":1}"#),
            policy(0, false, &["DROP_USER"])
        );
        for wrong in [
            "",
            "{}",
            "[]",
            r#"{"keep_days":733}"#,
            r#"{"keep_days":-1}"#,
            r#"{"keep_days":"7"}"#,
            r#"{"keep_days":7.5}"#,
            r#"{"keep_days":7,"audit_types":["x"]}"#,
            r#"{"keep_days":7,"audit_types":"DROP"}"#,
            r#"{"keep_days":7,"reserve_audit_logs":"true"}"#,
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
