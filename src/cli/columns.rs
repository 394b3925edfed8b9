//! Tables with aligned columns, and what is printed for each virtual server.

use crate::serve::routes::{FamilyRoutes, PortRoutes};

/// A block for each virtual server, with a blank line between two.
pub fn blocks(
    routes: &[PortRoutes],
    block: impl Fn(&PortRoutes, &FamilyRoutes) -> String,
) -> String {
    let servers = routes
        .iter()
        .flat_map(|port| port.families.iter().map(move |family| (port, family)));
    let blocks: Vec<String> = servers.map(|(port, family)| block(port, family)).collect();
    blocks.join("\n")
}

/// Which way the cells of a column lean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lean {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// The lines of a table, each indented by so many spaces, with two spaces between columns.
pub fn align<const N: usize>(indent: usize, leans: [Lean; N], rows: &[[String; N]]) -> String {
    let mut text = String::new();
    for row in rows {
        let mut line = " ".repeat(indent);
        for (column, (cell, lean)) in row.iter().zip(leans).enumerate() {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let width = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            match lean {
                Lean::Left => line.extend([cell, padding.as_str(), "  "]),
                Lean::Right => line.extend([padding.as_str(), cell, "  "]),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A number, or `-` where nobody has counted.
pub fn counted(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

/// A number, or `any` where there is no limit.
pub fn limit(number: Option<u64>) -> String {
    number.map_or_else(|| "any".to_owned(), |number| number.to_string())
}

/// A part of a whole.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
