//! The control socket: commands from other programs of the same user.

use std::path::Path;
use std::sync::mpsc::SyncSender;

use super::Happening;
use crate::exit::{Exit, Failure};

/// Takes the socket away when the phone ends.
pub struct Socket(std::path::PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        // Somebody else may have taken it away already.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Listens on a Unix socket that only its owner may open; every connection is a script.
///
/// # Errors
/// The socket cannot be made.
#[cfg(unix)]
pub fn listen(path: &Path, tell: SyncSender<Happening>) -> Result<Socket, Failure> {
    use std::io::ErrorKind;
    use std::os::unix::net::UnixListener;
    use std::thread;

    let cannot = |error: std::io::Error| {
        let message = format!("cannot listen on {}: {error}", path.display());
        let advice = match error.kind() {
            ErrorKind::AddrInUse => "another phone listens there; choose another path",
            _ => "choose a path in a folder that exists and that you may write to",
        };
        Failure::new(Exit::Usage, message, advice)
    };
    let listener = match private(|| UnixListener::bind(path)) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && unix::is_stale(path) => {
            std::fs::remove_file(path).map_err(cannot)?;
            private(|| UnixListener::bind(path)).map_err(cannot)?
        }
        bound => bound.map_err(cannot)?,
    };
    thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || unix::accept(&listener, &tell))
        .map_err(cannot)?;
    Ok(Socket(path.to_owned()))
}

/// Makes files that only their owner may use.
#[cfg(unix)]
fn private<T>(make: impl FnOnce() -> T) -> T {
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let made = make();
    rustix::process::umask(before);
    made
}

/// Where there are no such sockets.
///
/// # Errors
/// Always.
#[cfg(not(unix))]
pub fn listen(_: &Path, _: SyncSender<Happening>) -> Result<Socket, Failure> {
    Err(Failure::new(
        Exit::Usage,
        "--control needs a Unix socket, which this system does not have",
        "write commands to standard input",
    ))
}

#[cfg(unix)]
mod unix {
    use std::io::{BufReader, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::Path;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::thread;
    use std::time::Duration;

    use super::super::script::Script;
    use super::super::{Happening, LINES, read_lines};

    /// Answers and events that may wait for one connection; one that reads slower is closed.
    const ANSWERS: usize = 4096;
    /// How long a connection may take to take what is written.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// Connections at once.
    const CONNECTIONS: usize = 64;

    /// Whether nobody listens on a socket that is there.
    pub(super) fn is_stale(path: &Path) -> bool {
        use std::os::unix::fs::FileTypeExt as _;
        let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
        is_socket && UnixStream::connect(path).is_err()
    }

    pub(super) fn accept(listener: &UnixListener, tell: &SyncSender<Happening>) {
        let open = std::sync::Arc::new(());
        for (id, stream) in (1u64..).zip(listener.incoming()) {
            let Ok(stream) = stream else {
                // No descriptor is left: others have to end before.
                thread::sleep(Duration::from_millis(100));
                continue;
            };
            if std::sync::Arc::strong_count(&open) > CONNECTIONS {
                continue;
            }
            if serve(id, stream, tell.clone(), open.clone()).is_none() {
                return;
            }
        }
    }

    /// One connection: a thread that reads lines and one that writes what happens.
    fn serve(
        id: u64,
        stream: UnixStream,
        tell: SyncSender<Happening>,
        open: std::sync::Arc<()>,
    ) -> Option<()> {
        let Ok(reader) = stream.try_clone() else {
            return Some(());
        };
        let (lines, waiting) = sync_channel(LINES);
        let (answers, written) = sync_channel::<String>(ANSWERS);
        let script = Script::new(id, waiting, Some(answers));
        tell.send(Happening::Begin(Box::new(script))).ok()?;
        let named = |what: &str| thread::Builder::new().name(what.to_owned());
        let _ = named("control-in").spawn(move || {
            read_lines(BufReader::new(reader), id, lines, &tell);
            drop(open);
        });
        let _ = named("control-out").spawn(move || write(stream, &written));
        Some(())
    }

    fn write(mut stream: UnixStream, written: &Receiver<String>) {
        let _ = stream.set_write_timeout(Some(PATIENCE));
        while let Ok(line) = written.recv() {
            if stream.write_all(line.as_bytes()).is_err() {
                break;
            }
        }
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
}
