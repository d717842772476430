//! Tables as text (CSV, RFC 4180) that spreadsheets open without running anything in them.

use csv::WriterBuilder;

use crate::problem::Problem;

/// A table that is written row by row.
pub(crate) struct Table {
    writer: csv::Writer<Vec<u8>>,
}

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Result<Table, Problem> {
        // The mark at the start tells spreadsheets that this is UTF-8.
        let mut writer = WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer("\u{feff}".as_bytes().to_vec());
        writer.write_record(columns).map_err(failed)?;
        Ok(Table { writer })
    }

    pub(crate) fn row(&mut self, cells: &[&str]) -> Result<(), Problem> {
        let cells = cells.iter().map(|cell| harmless(cell));
        self.writer.write_record(cells).map_err(failed)
    }

    pub(crate) fn finish(self) -> Result<Vec<u8>, Problem> {
        self.writer
            .into_inner()
            .map_err(|_| Problem::unavailable("the table cannot be written"))
    }
}

fn failed(error: csv::Error) -> Problem {
    Problem::unavailable(format!("the table cannot be written: {error}"))
}

/// What begins like a formula gets an apostrophe in front, so that a spreadsheet takes it for text. A telephone number
/// (`+8225550100`) is no formula.
fn harmless(cell: &str) -> String {
    let number = cell
        .strip_prefix(['+', '-'])
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\'']) && !number {
        return format!("'{cell}");
    }
    cell.to_owned()
}

/// What [`harmless`] was made of.
pub(crate) fn original(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@', '\t', '\r', '\'']) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_text_and_come_back() {
        for text in [
            "=1+1",
            "+SUM(A1)",
            "-2+3",
            "@x",
            "'=a",
            "''",
            "\t=1",
            "+8225550100",
            "-7",
            "plain",
            "",
            "a,\"b\"\n",
        ] {
            let safe = harmless(text);
            let first = safe.chars().next();
            let number = text == "+8225550100" || text == "-7";
            assert!(
                number || !first.is_some_and(|c| "=+-@\t\r".contains(c)),
                "{safe}"
            );
            assert_eq!(original(&safe), text);
        }
        let mut table = Table::new(&["a", "b"]).unwrap();
        table.row(&["=1", "x,\"y\""]).unwrap();
        let bytes = table.finish().unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "\u{feff}a,b\r\n'=1,\"x,\"\"y\"\"\"\r\n"
        );
    }
}
