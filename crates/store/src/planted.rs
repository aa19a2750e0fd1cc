//! Bugs planted, so that the tests can show that they would find them. Only builds with the feature
//! `planted` can have any.

use std::sync::LazyLock;

/// Every bug there is.
const BUGS: [&str; 14] = [
    "ack_before_write",
    "any_signature",
    "early_drop",
    "foreign_trails",
    "late_record",
    "merge_loses_a_row",
    "no_dedup_after_restart",
    "no_dir_fsync",
    "no_fsync",
    "no_tail_rewrite",
    "place_off_by_one",
    "position_first",
    "rank_off_by_one",
    "witness_answers_first",
];

static PLANTED: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let named = std::env::var("PLANTED_BUGS").unwrap_or_default();
    let known = |bug| {
        *BUGS
            .iter()
            .find(|known| **known == bug)
            .unwrap_or_else(|| panic!("no bug is called {bug:?}"))
    };
    named.split(',').filter(|bug| !bug.is_empty()).map(known).collect()
});

/// Whether this bug is one of those that the environment variable `PLANTED_BUGS` names, with commas
/// between them.
///
/// # Panics
///
/// When a bug is named that there is not.
pub fn is_planted(bug: &str) -> bool {
    cfg!(feature = "planted") && PLANTED.contains(&bug)
}

/// Whether the check is left out that the environment variable `SKIPPED_CHECK` names.
pub fn skips(check: &str) -> bool {
    cfg!(feature = "planted") && std::env::var("SKIPPED_CHECK").as_deref() == Ok(check)
}
