//! Ctrl-C and its like.

use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::Exit;

/// From now on the first SIGINT or SIGTERM arrives here, and the second ends the program at once.
///
/// # Errors
/// What the system says when it does not let signals be caught.
pub fn stop_requested() -> io::Result<Receiver<()>> {
    let (stop, stopped) = sync_channel(1);
    on_stop(move || {
        // Whoever listened is gone: the program is about to end anyway.
        let _ = stop.try_send(());
    })?;
    Ok(stopped)
}

/// From now on the first SIGINT or SIGTERM runs `action` on a thread of its own, and the second ends the program at once.
///
/// # Errors
/// What the system says when it does not let signals be caught.
pub fn on_stop(action: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for (n, _) in signals.forever().enumerate() {
                if n > 0 {
                    std::process::exit(i32::from(Exit::Interrupted as u8));
                }
                action();
            }
        })?;
    Ok(())
}
