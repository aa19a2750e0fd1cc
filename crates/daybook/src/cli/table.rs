//! Tables that fit their terminal.

use console::measure_text_width;

use super::screen::{Screen, Tone, cut, pad};

/// A column of a table.
pub struct Column {
    pub name: String,
    /// Whether cells are numbers, aligned right.
    pub is_right: bool,
    /// Least width as long as other columns can go.
    pub least: usize,
    /// The column of the highest rank goes first without room; rank 0 remains.
    pub rank: u8,
}

/// A cell: text that is safe for a terminal, and its tone.
pub type Cell = (String, Tone);

/// Width between columns.
const GAP: usize = 2;

/// A table with the widths of its columns.
pub struct Table {
    columns: Vec<Column>,
    /// `None` for a column without room.
    widths: Vec<Option<usize>>,
    /// Whether wider cells are cut.
    is_cut: bool,
}

impl Table {
    /// Gives each column the width for these rows, as far as there is room.
    pub fn for_rows(columns: Vec<Column>, rows: &[Vec<Cell>], screen: &Screen) -> Table {
        let widest = |(at, column): (usize, &Column)| {
            let cells = rows.iter().map(|row| measure_text_width(&row[at].0));
            cells.chain([measure_text_width(&column.name)]).max().unwrap_or(0)
        };
        let natural: Vec<usize> = columns.iter().enumerate().map(widest).collect();
        let widths = match screen.width {
            Some(width) => fit(&columns, &natural, width),
            None => natural.into_iter().map(Some).collect(),
        };
        Table { columns, widths, is_cut: screen.width.is_some() }
    }

    /// The line of column names.
    pub fn head(&self, screen: &Screen) -> String {
        self.line(
            screen,
            self.columns.iter().map(|column| (column.name.clone(), Tone::Heading)).collect(),
        )
    }

    /// A line of cells.
    pub fn line(&self, screen: &Screen, cells: Vec<Cell>) -> String {
        let mut line = String::new();
        let is_shown =
            |(at, (text, _)): (usize, &Cell)| self.widths[at].is_some() && !text.is_empty();
        let last = (0..cells.len()).rev().find(|at| is_shown((*at, &cells[*at])));
        for (at, (text, tone)) in cells.into_iter().enumerate() {
            let Some(width) = self.widths[at].filter(|_| last.is_some_and(|last| at <= last))
            else {
                continue;
            };
            let text = if self.is_cut { cut(&text, width) } else { text };
            let is_right = self.columns[at].is_right;
            // The last cell needs no spaces behind it.
            let text =
                if last == Some(at) && !is_right { text } else { pad(&text, width, is_right) };
            line.push_str(&screen.toned(&text, tone));
            if last != Some(at) {
                line.push_str(&" ".repeat(GAP));
            }
        }
        line.push('\n');
        line
    }
}

/// The width of each column for a total width: first the least important columns go, then the
/// widest shrink.
fn fit(columns: &[Column], natural: &[usize], width: usize) -> Vec<Option<usize>> {
    let mut widths: Vec<Option<usize>> = natural.iter().copied().map(Some).collect();
    let least = |at: usize| natural[at].min(columns[at].least);
    loop {
        let remaining = || (0..columns.len()).filter(|at| widths[*at].is_some());
        let needed: usize = remaining().map(|at| least(at) + GAP).sum();
        let Some(gone) =
            remaining().filter(|at| columns[*at].rank > 0).max_by_key(|at| columns[*at].rank)
        else {
            break;
        };
        if needed <= width + GAP {
            break;
        }
        widths[gone] = None;
    }
    let total =
        |widths: &[Option<usize>]| widths.iter().flatten().map(|width| width + GAP).sum::<usize>();
    while total(&widths) > width + GAP {
        let above = |at: usize, floor: usize| widths[at].filter(|width| *width > floor);
        let widest = (0..columns.len())
            .filter_map(|at| above(at, least(at)).map(|width| (width, at)))
            .max()
            .or_else(|| {
                (0..columns.len()).filter_map(|at| above(at, 1).map(|width| (width, at))).max()
            });
        let Some((_, at)) = widest else { break };
        widths[at] = widths[at].map(|width| width - 1);
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        [("INDEX", 5, 2), ("TIME", 19, 0), ("ACTOR", 8, 0), ("RESOURCE", 16, 0), ("TRAIL", 12, 9)]
            .map(|(name, least, rank)| Column {
                name: name.to_owned(),
                is_right: name == "INDEX",
                least,
                rank,
            })
            .into()
    }

    #[test]
    fn the_least_important_goes_first_and_the_widest_shrinks() {
        let natural = [5, 19, 10, 40, 30];
        for (width, expected) in [
            (112, [Some(5), Some(19), Some(10), Some(40), Some(30)]),
            (80, [Some(5), Some(19), Some(10), Some(19), Some(19)]),
            (70, [Some(5), Some(19), Some(10), Some(16), Some(12)]),
            (60, [Some(5), Some(19), Some(10), Some(20), None]),
            (50, [None, Some(19), Some(10), Some(17), None]),
            (20, [None, Some(6), Some(5), Some(5), None]),
        ] {
            let widths = fit(&columns(), &natural, width);
            assert_eq!(widths, expected, "{width}");
            assert!(widths.iter().flatten().map(|width| width + GAP).sum::<usize>() <= width + GAP);
        }
    }
}
