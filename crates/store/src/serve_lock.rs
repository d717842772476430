//! One server for each data directory.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::database::open_private;
use crate::error::StoreError;

const FILE_NAME: &str = "serve.lock";

/// For how long the lock is tried: a command that looks whether a server runs holds it for an instant.
const PATIENCE: Duration = Duration::from_millis(300);

/// Marks this process as the server of the data directory for as long as the value lives. The system takes the mark
/// away when the process ends, however it ends.
#[derive(Debug)]
pub struct ServeLock {
    _file: File,
}

impl ServeLock {
    /// Takes the lock and leaves this process's number in the file for people and for the message of the next server.
    pub(crate) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE_NAME);
        let mut file = open_private(&path)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(10))
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::AlreadyServed {
                        dir: dir.to_path_buf(),
                        pid: owner(&mut file),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(StoreError::io(&path, &error)),
            }
        }
        let note = |file: &mut File| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            writeln!(file, "{}", std::process::id())
        };
        note(&mut file).map_err(|error| StoreError::io(&path, &error))?;
        Ok(Self { _file: file })
    }
}

/// Whether a server has the lock on this data directory.
pub(crate) fn is_held(dir: &Path) -> Result<bool, StoreError> {
    let path = dir.join(FILE_NAME);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(StoreError::io(&path, &error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(StoreError::io(&path, &error)),
    }
}

fn owner(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
