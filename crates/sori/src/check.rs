//! `sori phone --devices` and `sori phone --check`: what there is to talk with, and whether it works.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use phone::device::Hook;
use phone::readiness::Language;

use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::headless::lists;
use crate::signals;

/// How often the level is told.
const PACE: Duration = Duration::from_millis(100);
const SLOW_PACE: Duration = Duration::from_millis(250);
/// How long the level is told to programs; a person ends it.
const LONG_ENOUGH: Duration = Duration::from_secs(3);

/// Tells the devices of this machine.
pub fn list(mut hook: Hook, console: &mut Console) {
    let found = hook.look();
    lists::devices(&found, &hook, &mut |object, text| {
        console.tell(object, &text)
    });
    console.flush();
}

/// Opens microphone and speaker, makes sure that they work, plays a tone and shows how loud it is.
///
/// # Errors
/// What does not work.
pub fn check(mut hook: Hook, language: Language, console: &mut Console) -> Result<(), Failure> {
    let not_ready = |why: &_| Failure::not_ready(why, language);
    let (stop, stopped) = sync_channel(1);
    let on_stop = move || {
        // The second signal changes nothing.
        let _ = stop.try_send(());
    };
    signals::on_stop(on_stop).map_err(|error| {
        let message = format!("cannot listen for Ctrl-C: {error}");
        Failure::new(Exit::Internal, message, "")
    })?;
    let lifted = hook.lift().map_err(|why| not_ready(&why))?;
    console.ready(&lifted.report);
    hook.measure(true).map_err(|why| not_ready(&why))?;
    hook.test().map_err(|why| not_ready(&why))?;
    let is_live = console.is_live();
    if is_live {
        let how = match language {
            Language::English => {
                "you hear a tone for a second; speak, and the bar moves; Ctrl-C ends"
            }
            Language::Korean => "1초 동안 소리가 납니다. 말하면 막대가 움직입니다. 끝내려면 Ctrl-C",
        };
        console.result(how);
    }
    let start = Instant::now();
    let pace = if is_live { PACE } else { SLOW_PACE };
    while is_live || start.elapsed() < LONG_ENOUGH {
        match stopped.recv_timeout(pace) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => break,
        }
        console.level(hook.levels().unwrap_or_default());
    }
    console.end();
    Ok(())
}
