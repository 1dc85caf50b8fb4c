//! Columns as Go's `text/tabwriter` sets them with a padding of two spaces: each as wide as its widest cell, the last one bare.

/// The rows as lines. All rows of one call form one block.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        // The last cell of a row ends the line and widens no column.
        for (column, cell) in row.iter().take(row.len().saturating_sub(1)).enumerate() {
            let width = cell.chars().count() + 2;
            match widths.get_mut(column) {
                Some(held) => *held = (*held).max(width),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
                let width = widths.get(column).copied().unwrap_or(0);
                text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
            }
        }
        text.push('\n');
    }
    text
}
