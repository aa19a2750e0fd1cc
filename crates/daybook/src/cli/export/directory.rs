//! An export of a data directory: the same bytes as its server makes, without a record and a
//! manifest.

use std::fs;

use event::query::Query;

use super::{
    Arguments, Bar, Known, Part, Received, Sink, Stream, Target, failed, not_written, tell,
};
use crate::cli::question::{Directory, Pairs};
use crate::cli::reach::Problem;
use crate::cli::warn;
use find::Unanswered;
use find::ask::Parameters;
use find::export::{Export, Failed, Format, Pieces, pinned};
use server::failure::Failure;

/// Makes the file that the command line asks for.
pub fn export(directory: &Directory, arguments: &Arguments, pairs: &Pairs) -> Result<(), Failure> {
    let explained = |problem| arguments.question.explain(problem);
    let export = asked(directory, pairs, arguments.format).map_err(explained)?;
    if arguments.output.as_os_str() == "-" {
        let mut sink = Stream { out: std::io::stdout(), has_begun: false };
        return write(directory, &export, &mut sink).map_err(explained);
    }
    let file = Target::of(&arguments.output)?;
    file.check(arguments.force)?;
    let mut part = Part { target: &file, file: None };
    write(directory, &export, &mut part).map_err(explained)?;
    file.finish(&part, None)?;
    // One that is there is of the file that was replaced.
    let _ = fs::remove_file(arguments.output.with_file_name(file.beside(super::MANIFEST)));
    warn("daybook: no manifest: an export that is recorded and signed is made by a server");
    Ok(())
}

/// What is asked for, as of one tree size.
fn asked(directory: &Directory, pairs: &Pairs, format: Format) -> Result<Export, Problem> {
    let mut parameters = Parameters::of(pairs.iter().cloned());
    let asked = parameters.asked().map_err(Unanswered::from)?;
    let query = directory.finder().query(&asked)?;
    let counted = directory.contents.query(&query)?;
    Ok(Export {
        question: pinned(&asked.search, query.from, query.until).to_string(),
        query: Query { as_of: Some(counted.tree_size), ..query },
        tree_size: counted.tree_size,
        format,
        caller: String::new(),
        total: counted.total,
    })
}

fn write(directory: &Directory, export: &Export, sink: &mut dyn Sink) -> Result<(), Problem> {
    let bar = Bar::hidden(export.format != Format::Parquet);
    let (asked, query, rows) =
        (directory.path.display().to_string(), export.question.clone(), export.total);
    sink.begin(&Known { asked, query, mark: export.mark(), rows })
        .map_err(|error| not_written(&error))?;
    bar.begin(export.total);
    let mut pieces = Pieces::of(&directory.contents, export).map_err(not_made)?;
    let mut made = Received::default();
    while let Some(piece) = pieces.next_piece().map_err(not_made)? {
        sink.write(made.bytes, &piece).map_err(|error| not_written(&error))?;
        made.add(&piece);
        bar.show(&made);
    }
    bar.end();
    let totals = pieces.totals();
    tell(totals.rows, totals.bytes, &hex::encode(totals.sha256));
    Ok(())
}

fn not_made(why: Failed) -> Problem {
    match why {
        Failed::Store(error) => error.into(),
        Failed::Parquet(error) => failed(format!("couldn't write Parquet: {error}")),
    }
}
