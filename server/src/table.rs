//! Prints a query's result as psql does: columns aligned, numbers to the right.

use std::fmt::Write;

/// A result as text.
#[derive(Debug, Default)]
pub struct Table {
    /// Column names.
    pub columns: Vec<String>,
    /// Values; NULL is empty.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// The aligned form, each line ended.
    pub fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|i| self.width(i)).collect();
        let right: Vec<bool> = (0..self.columns.len()).map(|i| self.is_numeric(i)).collect();
        let mut text = line(&self.columns, &widths, |_| Align::Center);
        let rule: Vec<String> = widths.iter().map(|w| "-".repeat(w + 2)).collect();
        writeln!(text, "{}", rule.join("+")).expect("a String takes everything");
        for row in &self.rows {
            text += &line(row, &widths, |i| if right[i] { Align::Right } else { Align::Left });
        }
        let n = self.rows.len();
        writeln!(text, "({n} row{})", if n == 1 { "" } else { "s" }).expect("a String takes everything");
        text
    }

    fn width(&self, i: usize) -> usize {
        let values = self.rows.iter().map(|r| r[i].chars().count());
        values.chain([self.columns[i].chars().count()]).max().unwrap_or(0)
    }

    fn is_numeric(&self, i: usize) -> bool {
        self.rows.iter().all(|r| r[i].is_empty() || r[i].parse::<f64>().is_ok())
    }
}

enum Align {
    Left,
    Center,
    Right,
}

fn line(values: &[String], widths: &[usize], align: impl Fn(usize) -> Align) -> String {
    let cell = |(i, value): (usize, &String)| {
        let width = widths[i];
        match align(i) {
            Align::Left => format!(" {value:<width$} "),
            Align::Center => format!(" {value:^width$} "),
            Align::Right => format!(" {value:>width$} "),
        }
    };
    let cells: Vec<String> = values.iter().enumerate().map(cell).collect();
    format!("{}\n", cells.join("|").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_as_psql_does() {
        let strings = |v: &[&str]| v.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let table = Table {
            columns: strings(&["site", "n"]),
            rows: vec![strings(&["Zürich", "7"]), strings(&["Ulm", "1200"])],
        };
        let expected = "  site  |  n\n--------+------\n Zürich |    7\n Ulm    | 1200\n(2 rows)\n";
        assert_eq!(table.render(), expected);
    }
}
