//! What answers challenges, kept where a person asked to be remembered: not passwords but their hashes, in a file of their
//! own that nobody else may read.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sip::auth::{Ha1, Secret};

use super::BookError;
use super::file::private;
use crate::address::Name;

const FILE_NAME: &str = "phone.secrets";
const MAX_OCTETS: u64 = 256 * 1024;
const MAX_ACCOUNTS: usize = 64;

/// The file of hashes.
#[derive(Clone, Debug)]
pub struct Secrets {
    path: PathBuf,
}

impl Secrets {
    /// The file in the data directory; it is made when something is remembered.
    pub fn new(dir: &Path) -> Secrets {
        Secrets {
            path: dir.join(FILE_NAME),
        }
    }

    /// Remembers an account. `username` and `realm` are those of the challenge: the hash fits no other realm.
    ///
    /// # Errors
    /// [`BookError`] when the file cannot be written.
    pub fn remember(
        &self,
        account: &Name,
        username: &str,
        realm: &str,
        password: &str,
    ) -> Result<(), BookError> {
        let ha1 = Ha1::new(username, realm, password);
        self.change(|all| {
            if all.len() < MAX_ACCOUNTS || all.contains_key(&account.to_string()) {
                all.insert(account.to_string(), ha1);
            }
        })
    }

    /// Forgets an account.
    ///
    /// # Errors
    /// [`BookError`] when the file cannot be written.
    pub fn forget(&self, account: &Name) -> Result<(), BookError> {
        self.change(|all| {
            all.remove(&account.to_string());
        })
    }

    /// What is remembered of an account.
    ///
    /// # Errors
    /// [`BookError`] when the file is there and cannot be read.
    pub fn of(&self, account: &Name) -> Result<Option<Secret>, BookError> {
        let mut all = self
            .load()
            .map_err(|error| BookError::io(&self.path, &error))?;
        Ok(all.remove(&account.to_string()).map(Secret::Ha1))
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Ha1>)) -> Result<(), BookError> {
        let run = || {
            let mut all = self.load()?;
            change(&mut all);
            self.store(&all)
        };
        run().map_err(|error: io::Error| BookError::io(&self.path, &error))
    }

    fn load(&self) -> io::Result<BTreeMap<String, Ha1>> {
        let mut text = String::new();
        match fs::File::open(&self.path) {
            Ok(file) => file.take(MAX_OCTETS).read_to_string(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(text.lines().filter_map(entry).collect())
    }

    fn store(&self, all: &BTreeMap<String, Ha1>) -> io::Result<()> {
        let part = self
            .path
            .with_extension(format!("part-{}", std::process::id()));
        let hexadecimal =
            |octets: &[u8]| -> String { octets.iter().map(|b| format!("{b:02x}")).collect() };
        let written = private(&part).and_then(|mut file| {
            file.set_len(0)?;
            for (account, ha1) in all {
                let (md5, sha256) = (hexadecimal(&ha1.md5), hexadecimal(&ha1.sha256));
                writeln!(file, "{account}\t{md5}\t{sha256}")?;
            }
            file.sync_all()
        });
        written
            .and_then(|()| fs::rename(&part, &self.path))
            .inspect_err(|_| {
                let _ = fs::remove_file(&part);
            })
    }
}

fn entry(line: &str) -> Option<(String, Ha1)> {
    let mut parts = line.split('\t');
    let account = parts.next()?;
    let md5 = octets(parts.next()?)?.try_into().ok()?;
    let sha256 = octets(parts.next()?)?.try_into().ok()?;
    Some((account.to_owned(), Ha1 { md5, sha256 }))
}

fn octets(text: &str) -> Option<Vec<u8>> {
    crate::provision::hexadecimal(text)
}
