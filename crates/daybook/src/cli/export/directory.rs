//! An export of a data directory: the same bytes as from its server, without a record and a
//! manifest.

use std::fs;

use event::query::Query;

use super::{
    Arguments, Bar, ExportIdentity, Part, Progress, Sink, Stream, Target, failed, report,
    write_problem,
};
use crate::cli::question::{Directory, Pairs};
use crate::cli::reach::Problem;
use crate::cli::warn;
use find::QueryError;
use find::export::{Export, ExportError, Format, Pieces, pinned};
use find::question::Parameters;
use server::failure::Failure;

/// Exports to the file of the command line.
pub fn export(directory: &Directory, arguments: &Arguments, pairs: &Pairs) -> Result<(), Failure> {
    let explained = |problem| arguments.question.explain(problem);
    let export = request(directory, pairs, arguments.format()).map_err(explained)?;
    if arguments.to.as_os_str() == "-" {
        let mut sink = Stream::of(arguments.format())?;
        return write(directory, &export, &mut sink).map_err(explained);
    }
    let file = Target::of(&arguments.to)?;
    file.check(arguments.force)?;
    let mut part = Part { target: &file, file: None };
    write(directory, &export, &mut part).map_err(explained)?;
    file.finish(&part, None)?;
    // An old manifest belongs to the replaced file.
    let _ = fs::remove_file(arguments.to.with_file_name(file.beside(super::MANIFEST)));
    warn("daybook: no manifest; only an export from a server is recorded and signed");
    Ok(())
}

/// The requested export, as of one tree size.
fn request(directory: &Directory, pairs: &Pairs, format: Format) -> Result<Export, Problem> {
    let mut parameters = Parameters::of(pairs.iter().cloned());
    let request = parameters.question().map_err(QueryError::from)?;
    let finder = directory.finder();
    let query = finder.query(&request)?;
    let counted = directory.contents.query(&query)?;
    Ok(Export {
        question: pinned(&finder.search(&request), query.from, query.until).to_string(),
        query: Query { as_of: Some(counted.tree_size), ..query },
        tree_size: counted.tree_size,
        format,
        caller: String::new(),
        total: counted.total,
    })
}

fn write(directory: &Directory, export: &Export, sink: &mut dyn Sink) -> Result<(), Problem> {
    let bar = Bar::new(export.format != Format::Parquet);
    let (requested, query, rows) =
        (directory.path.display().to_string(), export.question.clone(), export.total);
    sink.begin(&ExportIdentity { requested, query, mark: export.mark(), rows })
        .map_err(|error| write_problem(&error))?;
    bar.begin(export.total);
    let mut pieces = Pieces::of(&directory.contents, export).map_err(export_problem)?;
    let mut progress = Progress::default();
    while let Some(piece) = pieces.next_piece().map_err(export_problem)? {
        sink.write(progress.bytes, &piece).map_err(|error| write_problem(&error))?;
        progress.add(&piece);
        bar.show(&progress);
    }
    bar.end();
    let totals = pieces.totals();
    report(totals.rows, totals.bytes, &hex::encode(totals.sha256));
    Ok(())
}

fn export_problem(why: ExportError) -> Problem {
    match why {
        ExportError::Store(error) => error.into(),
        ExportError::Parquet(error) => failed(format!("couldn't write Parquet: {error}")),
    }
}
