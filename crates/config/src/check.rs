//! From the file as written to valid values.

use std::collections::HashMap;
use std::path::Path;

use event::Trail;
use serde::Deserialize;
use toml::{Table, Value};

use crate::config::Config;
use crate::evidence::Evidence;
use crate::file::File;
use crate::limits::Limits;
use crate::own::OWN_SOURCE;
use crate::path;
use crate::setting::Kind;
use crate::source::{self, RawSource, Source};
use crate::table::settings;
use crate::tls::{self, Tls};
use crate::witness;

/// Types the values of a file. An error names the setting.
pub(crate) fn file(table: Table) -> Result<File, String> {
    File::deserialize(table).map_err(|error| {
        // The parser names the path on a line of its own, after its message.
        let text = error.to_string();
        match text.trim_end().rsplit_once("\nin `") {
            Some((why, path)) => format!("{}: {why}", path.trim_end_matches('`')),
            None => text,
        }
    })
}

/// Checks the values. Relative paths are relative to the configuration's folder. Reads the token
/// files.
pub(crate) fn config(file: File, folder: &Path) -> Result<Config, String> {
    let text = toml::to_string(&file).map_err(|error| error.to_string())?;
    check_bounds(&Table::try_from(&file).map_err(|error| error.to_string())?)?;
    check_flush(&file.limits)?;
    let tls = tls::pair(file.tls.certificate, file.tls.key, folder)
        .map_err(|why| format!("tls: {why}"))?;
    let own = file.own.trail()?;
    let source_positions = positions(&file.source)?;
    let sources = check_sources(file.source, folder, tls.as_ref(), &own)?;
    Ok(Config {
        data_dir: file.data_dir,
        listen: file.listen,
        log_format: file.log_format,
        log_level: file.log_level,
        public_url: file.public_url.map(|url| check_public_url(&url)).transpose()?,
        tls,
        own,
        swr: file.swr,
        codearts: file.codearts.check()?,
        hcs: file.hcs.check()?,
        evidence: Evidence {
            guard: file.evidence.guard.map(|guard| folder.join(guard)),
            ..file.evidence
        },
        console: file.console,
        metrics: file.metrics.check(folder)?,
        text,
        storage: file.storage,
        limits: file.limits,
        sources,
        source_positions,
        witnesses: witness::check_all(&file.witness)?,
    })
}

/// Holds every number of the table of settings against its bounds.
fn check_bounds(table: &Table) -> Result<(), String> {
    for setting in settings() {
        let Kind::Number(number) = setting.kind else { continue };
        let path: Vec<&str> = setting.path.split('.').collect();
        let Some(value) = path::value(table, &path).and_then(Value::as_integer) else { continue };
        number.check(value.cast_unsigned()).map_err(|why| format!("{}: {why}", setting.path))?;
    }
    Ok(())
}

fn check_flush(limits: &Limits) -> Result<(), String> {
    let (max, flush) = (limits.unflushed_events_max, limits.flush_events);
    if max < flush {
        return Err(format!(
            "limits.unflushed_events_max: {max} is below limits.flush_events, {flush}, so that \
             nothing would ever be flushed"
        ));
    }
    Ok(())
}

fn check_public_url(url: &str) -> Result<String, String> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(
            "public_url: write it with its scheme, such as https://audit.example.com".to_owned()
        );
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// The position of each source by its name.
fn positions(raws: &[RawSource]) -> Result<HashMap<String, usize>, String> {
    let mut positions = HashMap::with_capacity(raws.len());
    for (position, raw) in raws.iter().enumerate() {
        if positions.insert(raw.name.clone(), position).is_some() {
            return Err(format!("source {:?} is declared twice", raw.name));
        }
    }
    Ok(positions)
}

fn check_sources(
    raws: Vec<RawSource>,
    folder: &Path,
    tls: Option<&Tls>,
    own: &Trail,
) -> Result<Vec<Source>, String> {
    let mut sources: Vec<Source> = Vec::new();
    for raw in raws {
        let name = raw.name.clone();
        let source =
            source::check(raw, folder, tls).map_err(|why| format!("source {name:?}: {why}"))?;
        if source.trail == *own || name == OWN_SOURCE {
            return Err(format!(
                "source {name:?}: the name {OWN_SOURCE} and the trail {own} are Daybook's own"
            ));
        }
        sources.push(source);
    }
    Ok(sources)
}
