//! The command line.

use std::path::PathBuf;

use crate::Result;
use crate::drive::Cell;

/// What the command line asks for.
pub struct Options {
    /// How long each cell is measured.
    pub seconds: f64,
    pub cells: Vec<Cell>,
    pub has_baselines: bool,
    /// The `daybook` to measure.
    pub program: PathBuf,
    /// Where data is put; it decides the disk.
    pub folder: PathBuf,
}

/// How long a cell is measured, unless told otherwise.
const SECONDS: f64 = 5.0;
const SECONDS_QUICK: f64 = 1.5;

impl Options {
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
        let mut options = Options {
            seconds: SECONDS,
            cells: Cell::all(),
            has_baselines: true,
            program: PathBuf::new(),
            folder: PathBuf::new(),
        };
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--seconds" => options.seconds = parse_seconds(&value()?)?,
                "--quick" => options.seconds = SECONDS_QUICK,
                "--cells" => options.cells = value()?.split(',').map(Cell::parse).collect::<Result<_>>()?,
                "--no-baselines" => options.has_baselines = false,
                "--program" => options.program = value()?.into(),
                "--folder" => options.folder = value()?.into(),
                _ => return Err(format!("there is no option {name}; see scripts/bench --help").into()),
            }
        }
        // Programs are started in other folders.
        options.folder = std::path::absolute(&options.folder)?;
        Ok(options)
    }

    /// How long each cell runs before it is measured.
    pub fn warm_up_seconds(&self) -> f64 {
        self.seconds / 5.0
    }
}

fn parse_seconds(text: &str) -> Result<f64> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=600.0).contains(seconds));
    seconds.ok_or_else(|| "--seconds takes a number from 0.1 to 600".into())
}
