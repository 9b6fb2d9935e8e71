//! Figures in columns.

use std::io::{IsTerminal, stdout};

/// Prints lines of cells under a header: the first column to the left, the others to the right,
/// each as wide as its widest cell. On a terminal the header is bold.
pub fn print_columns(header: &[&str], lines: &[Vec<String>]) {
    let chars = |cell: &str| cell.chars().count();
    let width = |c: usize| lines.iter().map(|cells| chars(&cells[c])).fold(chars(header[c]), usize::max);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let [on, off] = if stdout().is_terminal() { ["\x1b[1m", "\x1b[0m"] } else { [""; 2] };
    println!("{on}{}{off}", line(header, &widths));
    lines.iter().for_each(|cells| println!("{}", line(cells, &widths)));
}

fn line<C: AsRef<str>>(cells: &[C], widths: &[usize]) -> String {
    let cells = cells.iter().map(AsRef::as_ref).zip(widths).enumerate();
    let cells =
        cells.map(|(c, (cell, width))| if c == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
    cells.collect::<Vec<_>>().join("  ").trim_end().into()
}
