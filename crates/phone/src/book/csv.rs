//! Contacts as a table (RFC 4180): our own columns, and those of common address books.

use std::fmt;

use super::contacts::Contact;

/// The longest text that is read, in octets.
const MAX_OCTETS: usize = 32 * 1024 * 1024;
/// The most columns.
const MAX_COLUMNS: usize = 256;

/// Why a table cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvError {
    /// The line, counted from 1.
    pub line: usize,
    why: String,
}

impl fmt::Display for CsvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for CsvError {}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    Given,
    Family,
    Address,
    Groups,
    Favourite,
    Note,
    Uid,
    Other,
}

/// Reads a table whose first line names the columns: `name`, `address` (or sip, phone, mobile, tel, number; several may
/// be there), `groups`, `favourite`, `note`, `uid`. Commas, semicolons or tabulators stand between.
///
/// # Errors
/// [`CsvError`], with the line.
pub fn from_csv(text: &str) -> Result<Vec<Contact>, CsvError> {
    let text = text.trim_start_matches('\u{feff}');
    let wrong = |line, why: &str| CsvError {
        line,
        why: why.to_owned(),
    };
    if text.len() > MAX_OCTETS {
        return Err(wrong(1, "the table is larger than 32 MiB"));
    }
    let first = text.lines().next().unwrap_or_default();
    let count = |separator: &char| first.matches(*separator).count();
    // The first of those that stand there most often.
    let separator = [';', '\t', ',']
        .into_iter()
        .max_by_key(count)
        .unwrap_or(',');
    let mut rows = rows(text, separator)?.into_iter();
    let Some((_, heads)) = rows.next() else {
        return Err(wrong(1, "the table is empty"));
    };
    let columns: Vec<Column> = heads.iter().map(|head| column(head)).collect();
    let has = |wanted| columns.contains(&wanted);
    if !has(Column::Address) || !(has(Column::Name) || has(Column::Given) || has(Column::Family)) {
        return Err(wrong(
            1,
            "the first line has to name the columns, with name and address among them",
        ));
    }
    let mut contacts = Vec::new();
    for (line, cells) in rows {
        if cells.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let contact = contact(&columns, &cells);
        if contact.name.is_empty() {
            return Err(wrong(line, "there is neither a name nor an address"));
        }
        contacts.push(contact);
    }
    Ok(contacts)
}

/// Writes a table.
pub fn to_csv(contacts: &[Contact]) -> String {
    let most = contacts.iter().map(|c| c.addresses.len()).max();
    let most = most.unwrap_or(0).max(1);
    let mut out = String::from("name");
    for _ in 0..most {
        out.push_str(",address");
    }
    out.push_str(",groups,favourite,note,uid\r\n");
    for contact in contacts {
        let mut cells = vec![contact.name.clone()];
        cells.extend((0..most).map(|n| contact.addresses.get(n).cloned().unwrap_or_default()));
        cells.push(contact.groups.join(";"));
        cells.push(if contact.favourite { "yes" } else { "" }.to_owned());
        cells.push(contact.note.clone());
        cells.push(contact.uid.clone());
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        out.push_str(&cells.join(","));
        out.push_str("\r\n");
    }
    out
}

fn contact(columns: &[Column], cells: &[String]) -> Contact {
    let mut contact = Contact::default();
    let (mut given, mut family) = (String::new(), String::new());
    for (column, cell) in columns.iter().zip(cells) {
        let cell = cell.trim();
        if cell.is_empty() {
            continue;
        }
        match column {
            Column::Name => contact.name = cell.to_owned(),
            Column::Given => given = cell.to_owned(),
            Column::Family => family = cell.to_owned(),
            // Google puts several into one cell.
            Column::Address => {
                let several = cell.split(":::").map(|a| a.trim().to_owned());
                contact.addresses.extend(several.filter(|a| !a.is_empty()));
            }
            Column::Groups => {
                let groups = cell.split([';', ',']).map(|g| g.trim().to_owned());
                contact.groups.extend(groups.filter(|g| !g.is_empty()));
            }
            Column::Favourite => {
                let no = ["no", "false", "0", "n"];
                contact.favourite = !no.contains(&cell.to_ascii_lowercase().as_str());
            }
            Column::Note => contact.note = cell.to_owned(),
            Column::Uid => contact.uid = cell.to_owned(),
            Column::Other => {}
        }
    }
    if contact.name.is_empty() {
        let korean = [&given, &family]
            .iter()
            .any(|n| n.chars().any(|c| ('가'..='힣').contains(&c)));
        contact.name = if korean {
            format!("{family}{given}")
        } else {
            format!("{given} {family}").trim().to_owned()
        };
    }
    if contact.name.is_empty() {
        contact.name = contact.addresses.first().cloned().unwrap_or_default();
    }
    contact
}

fn column(head: &str) -> Column {
    let head = head.trim().to_lowercase();
    match head.as_str() {
        "name" | "display name" | "full name" | "이름" | "성명" => return Column::Name,
        "given name" | "first name" => return Column::Given,
        "family name" | "last name" => return Column::Family,
        "groups" | "group" | "categories" | "labels" | "그룹" => return Column::Groups,
        "favourite" | "favorite" | "즐겨찾기" => return Column::Favourite,
        "note" | "notes" | "메모" => return Column::Note,
        "uid" => return Column::Uid,
        _ => {}
    }
    // "Phone 1 - Type" stands beside "Phone 1 - Value".
    let kinds = ["type", "label"];
    let begins = [
        "address", "sip", "phone", "mobile", "tel", "number", "전화", "휴대",
    ];
    let ends = [" phone", " phone 2"];
    let is_address =
        begins.iter().any(|b| head.starts_with(b)) || ends.iter().any(|e| head.ends_with(e));
    if is_address && !kinds.iter().any(|k| head.ends_with(k)) && !head.starts_with("address 1") {
        return Column::Address;
    }
    Column::Other
}

/// Rows with the line where each begins.
fn rows(text: &str, separator: char) -> Result<Vec<(usize, Vec<String>)>, CsvError> {
    let mut rows = Vec::new();
    let (mut row, mut cell, mut line, mut begin) = (Vec::new(), String::new(), 1, 1);
    let mut quote: Option<usize> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        line += usize::from(c == '\n');
        match (c, quote) {
            ('"', Some(_)) if chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            ('"', Some(_)) => quote = None,
            (other, Some(_)) => cell.push(other),
            ('"', None) if cell.is_empty() => quote = Some(line),
            ('\n', None) => {
                row.push(std::mem::take(&mut cell));
                rows.push((begin, std::mem::take(&mut row)));
                begin = line;
            }
            ('\r', None) => {}
            (c, None) if c == separator => {
                row.push(std::mem::take(&mut cell));
                if row.len() > MAX_COLUMNS {
                    let why = format!("there are more than {MAX_COLUMNS} columns");
                    return Err(CsvError { line, why });
                }
            }
            (other, None) => cell.push(other),
        }
    }
    if let Some(line) = quote {
        let why = "a quotation mark opens here and never closes".to_owned();
        return Err(CsvError { line, why });
    }
    if !row.is_empty() || !cell.is_empty() {
        row.push(cell);
        rows.push((begin, row));
    }
    Ok(rows)
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', ';', '\t', '"', '\n', '\r']) || cell.trim() != cell {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let contacts = [
            Contact {
                id: None,
                uid: "u".to_owned(),
                name: "김 \"철\", 수".to_owned(),
                addresses: vec!["sip:a@h".to_owned(), "+82-2-1".to_owned()],
                groups: vec!["일".to_owned(), "집".to_owned()],
                favourite: true,
                note: "a\nb;c".to_owned(),
            },
            Contact::new("Bob", "4711"),
        ];
        assert_eq!(from_csv(&to_csv(&contacts)).as_deref(), Ok(&contacts[..]));
        assert_eq!(from_csv(&to_csv(&[])).as_deref(), Ok(&[][..]));
    }

    #[test]
    fn tables_of_other_programs() {
        let google = "Name,Given Name,Family Name,Group Membership,Phone 1 - Type,Phone 1 - Value,E-mail 1 - Value\r\n\
                      ,철수,김,x,Mobile,010-1 ::: 010-2,a@b\r\n";
        let found = from_csv(google).unwrap();
        assert_eq!(found[0].name, "김철수");
        assert_eq!(found[0].addresses, ["010-1", "010-2"]);
        let outlook = "\u{feff}First Name;Last Name;Mobile Phone;Business Phone;Notes\nAlice;Adams;1;2;x\n\n;;3;;\n";
        let found = from_csv(outlook).unwrap();
        assert_eq!(
            (found[0].name.as_str(), found[0].note.as_str()),
            ("Alice Adams", "x")
        );
        assert_eq!(found[0].addresses, ["1", "2"]);
        assert_eq!(found[1].name, "3");
        let ours = "이름\t전화\n김철수\t02-1\n";
        assert_eq!(from_csv(ours).unwrap()[0], Contact::new("김철수", "02-1"));
    }

    #[test]
    fn mistakes_have_their_line() {
        for (text, says) in [
            ("", "line 1: the table is empty"),
            ("a,b\n1,2\n", "line 1: the first line has to name"),
            ("name,address\nx,\"y\nz", "line 2: a quotation mark"),
            (
                "name,address,note\nx,y,\"a\nb\"\n,,z\n",
                "line 4: there is neither",
            ),
        ] {
            let error = from_csv(text).unwrap_err().to_string();
            assert!(error.starts_with(says), "{text:?}: {error}");
        }
        assert!(from_csv(&",".repeat(1000)).is_err());
    }
}
