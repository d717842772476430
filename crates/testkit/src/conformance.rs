//! The conformance material, where it is present.

use std::path::PathBuf;

use toml::{Table, Value};

/// The folder that the environment variable `SORI_CONFORMANCE` names; `None` when it is not set.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os("SORI_CONFORMANCE").map(PathBuf::from)
}

/// One entry of a manifest.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name of its file, or its id.
    pub name: String,
    /// The octets of its file; empty when it has none.
    pub bytes: Vec<u8>,
    /// All that the manifest says.
    pub entry: Table,
}

impl Case {
    /// A text field; empty when it is not there.
    pub fn text(&self, key: &str) -> &str {
        self.entry.get(key).and_then(Value::as_str).unwrap_or("")
    }

    /// Whether a field is there and true.
    pub fn is(&self, key: &str) -> bool {
        self.entry.get(key) == Some(&Value::Boolean(true))
    }
}

/// All cases of `file`, a manifest in the conformance folder, listed there under `key` and named by `name`.
/// `None` when there is no conformance folder.
///
/// # Panics
/// When the folder is there but cannot be read.
pub fn cases(file: &str, key: &str, name: &str) -> Option<Vec<Case>> {
    let manifest = folder()?.join(file);
    let text = std::fs::read_to_string(&manifest)
        .unwrap_or_else(|e| panic!("{}: {e}", manifest.display()));
    let table: Table = text
        .parse()
        .unwrap_or_else(|e| panic!("{}: {e}", manifest.display()));
    let Some(Value::Array(entries)) = table.get(key) else {
        panic!("{}: no {key}", manifest.display());
    };
    let read = |entry: &Value| {
        let entry = entry.as_table().cloned().unwrap_or_default();
        let name = entry
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{}: an entry without {name}", manifest.display()))
            .to_owned();
        let bytes = if entry.contains_key("file") {
            let path = manifest.with_file_name(&name);
            std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        } else {
            Vec::new()
        };
        Case { name, bytes, entry }
    };
    Some(entries.iter().map(read).collect())
}
