//! The columns of a segment's table.

/// Name and type of each column. A `?` marks columns that may lack values.
pub(super) const COLUMNS: [(&str, &str); 25] = [
    ("index", "int64"),
    ("service", "text"),
    ("tenant", "text"),
    ("project", "text"),
    ("instance", "text"),
    ("number", "int64"),
    ("occurred_at", "time"),
    ("received_at", "time"),
    ("actor_id", "?text"),
    ("actor_name", "?text"),
    ("actor_type", "text"),
    ("source_ip", "?text"),
    ("operation", "text"),
    ("action", "text"),
    ("resource_type", "?text"),
    ("resource_name", "?text"),
    ("resource_id", "?text"),
    ("outcome", "text"),
    ("outcome_code", "?int32"),
    ("severity", "int32"),
    ("class", "text"),
    ("user_agent", "?text"),
    ("source", "text"),
    ("entry", "bytes"),
    ("raw", "bytes"),
];
pub(super) const ENTRY: usize = 23;
pub(super) const RAW: usize = 24;

/// Bytes of the file that share a checksum, because Parquet requires none.
pub(crate) const CHUNK: usize = 16 << 10;
