//! Good documents, kept on disk for their owner alone, because passwords stand in them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::document::MAX_OCTETS;
use super::http::Validators;
use super::url::Url;

/// First line of a kept document.
const MARK: &str = "sori settings 1";
/// More documents than a machine has users of this kind; the oldest goes.
const MAX_KEPT: usize = 64;
/// Octets before the document.
const MAX_HEAD: usize = 2048;

/// A directory of documents, one file for each URL.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
}

/// A document that was good.
pub(super) struct Kept {
    pub(super) octets: Vec<u8>,
    pub(super) validators: Validators,
    /// When the server last had it.
    pub(super) date: SystemTime,
}

impl Cache {
    /// A cache in this directory, which is made when something is stored.
    pub fn new(dir: impl Into<PathBuf>) -> Cache {
        Cache { dir: dir.into() }
    }

    /// Forgets what is kept for a URL.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn forget(&self, url: &Url) -> io::Result<()> {
        match fs::remove_file(self.path(url)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, url: &Url) -> PathBuf {
        self.dir.join(format!("{}.settings", url.digest()))
    }

    /// What is kept for a URL; a file that is damaged is as good as none.
    pub(super) fn load(&self, url: &Url) -> Option<Kept> {
        let mut octets = Vec::new();
        let file = File::open(self.path(url)).ok()?;
        let most = (MAX_HEAD + MAX_OCTETS) as u64;
        file.take(most).read_to_end(&mut octets).ok()?;
        let end = octets.windows(2).position(|pair| pair == b"\n\n")?;
        let head = std::str::from_utf8(octets.get(..end)?).ok()?;
        let mut lines = head.lines();
        if lines.next() != Some(MARK) {
            return None;
        }
        let (mut validators, mut date) = (Validators::default(), None);
        for line in lines {
            match line.split_once(' ')? {
                ("date", seconds) => date = seconds.parse().ok().map(Duration::from_secs),
                ("entity-tag", tag) => validators.entity_tag = Some(tag.to_owned()),
                ("last-modified", date) => validators.last_modified = Some(date.to_owned()),
                _ => return None,
            }
        }
        Some(Kept {
            octets: octets.get(end + 2..)?.to_vec(),
            validators,
            date: UNIX_EPOCH.checked_add(date?)?,
        })
    }

    /// Keeps a document in the place of an older one; says for a person why it cannot.
    pub(super) fn store(&self, url: &Url, kept: &Kept) -> Result<(), String> {
        self.write(url, kept).map_err(|error| {
            format!(
                "the settings cannot be kept for the day when the server is down: {}: {error}",
                self.dir.display()
            )
        })
    }

    fn write(&self, url: &Url, kept: &Kept) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.dir)?;
        let date = kept.date.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut head = format!("{MARK}\ndate {}\n", date.as_secs());
        for (name, value) in [
            ("entity-tag", &kept.validators.entity_tag),
            ("last-modified", &kept.validators.last_modified),
        ] {
            if let Some(value) = value {
                head.push_str(&format!("{name} {value}\n"));
            }
        }
        head.push('\n');
        let path = self.path(url);
        // A file that is whole or not there, whatever happens meanwhile and whoever else does the same.
        let part = path.with_extension(format!("part-{}", std::process::id()));
        let written = private(&part).and_then(|mut file| {
            file.write_all(head.as_bytes())?;
            file.write_all(&kept.octets)?;
            file.sync_all()
        });
        if let Err(error) = written.and_then(|()| fs::rename(&part, &path)) {
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        self.prune();
        Ok(())
    }

    /// Keeps the number of documents bounded; the one that was not confirmed for longest goes first.
    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        let mut kept: Vec<(SystemTime, PathBuf)> = entries
            .flatten()
            .filter(|entry| is_kept(&entry.path()))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        kept.sort();
        let surplus = kept.len().saturating_sub(MAX_KEPT);
        for (_, path) in kept.into_iter().take(surplus) {
            let _ = fs::remove_file(path);
        }
    }
}

fn is_kept(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "settings")
}

/// A new, empty file that nobody else may read.
fn private(path: &Path) -> io::Result<File> {
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(name: &str) -> Cache {
        let name = format!("sori-settings-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&dir);
        Cache::new(dir)
    }

    fn kept(octets: &[u8]) -> Kept {
        Kept {
            octets: octets.to_vec(),
            validators: Validators {
                entity_tag: Some("W/\"a b\"".to_owned()),
                last_modified: None,
            },
            date: UNIX_EPOCH + Duration::from_secs(1_795_246_269),
        }
    }

    #[test]
    fn what_was_stored_comes_back_whole() {
        let cache = cache("whole");
        let (one, other): (Url, Url) = (
            "http://h/a?t=1".parse().unwrap(),
            "http://h/a?t=2".parse().unwrap(),
        );
        assert!(cache.load(&one).is_none());
        cache.store(&one, &kept(b"<a>\n\n</a>\n")).unwrap();
        cache.store(&one, &kept(b"<b>\n\n</b>\n")).unwrap();
        let back = cache.load(&one).unwrap();
        assert_eq!(back.octets, b"<b>\n\n</b>\n");
        assert_eq!(back.validators, kept(b"").validators);
        assert_eq!(back.date, kept(b"").date);
        assert!(
            cache.load(&other).is_none(),
            "another token, another document"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&cache.path(&one)), 0o600);
            assert_eq!(mode(&cache.dir), 0o700);
        }
        cache.forget(&one).unwrap();
        cache.forget(&one).unwrap();
        assert!(cache.load(&one).is_none());
        assert_eq!(fs::read_dir(&cache.dir).unwrap().count(), 0, "no rests");
        fs::remove_dir_all(&cache.dir).unwrap();
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let cache = cache("damaged");
        let url: Url = "http://h/".parse().unwrap();
        cache.store(&url, &kept(b"<a/>")).unwrap();
        for damage in [
            "",
            "<a/>",
            "sori settings 2\ndate 1\n\n<a/>",
            "sori settings 1\ndate x\n\n<a/>",
            "sori settings 1\n\n<a/>",
            "sori settings 1\ndate 99999999999999999999\n\n<a/>",
            "sori settings 1\ndate 1\nx\n\n<a/>",
        ] {
            fs::write(cache.path(&url), damage).unwrap();
            assert!(cache.load(&url).is_none(), "{damage:?}");
        }
        fs::remove_dir_all(&cache.dir).unwrap();
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let cache = cache("many");
        for number in 0..MAX_KEPT + 3 {
            let url: Url = format!("http://h/{number}").parse().unwrap();
            cache.store(&url, &kept(b"<a/>")).unwrap();
        }
        assert_eq!(fs::read_dir(&cache.dir).unwrap().count(), MAX_KEPT);
        let last: Url = format!("http://h/{}", MAX_KEPT + 2).parse().unwrap();
        assert!(cache.load(&last).is_some());
        fs::remove_dir_all(&cache.dir).unwrap();
    }
}
