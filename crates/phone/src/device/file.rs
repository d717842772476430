//! Files in the place of devices.

use super::{Capture, Playback};
use crate::sound::{Player, Recorder};

/// A file that is played once in place of a microphone; silence after it, or where it breaks off.
pub(crate) struct FileCapture(pub(crate) Player);

impl Capture for FileCapture {
    fn read(&mut self, rate: u32, frame: &mut [i16]) {
        // What could not be read is silence already.
        let _ = self.0.fill(rate, frame);
    }
}

/// A file that records what a speaker would have played, until it cannot be written any more.
pub(crate) struct FilePlayback(pub(crate) Option<Recorder>);

impl Playback for FilePlayback {
    fn write(&mut self, rate: u32, frame: &[i16]) {
        if let Some(recorder) = &mut self.0
            && recorder.write(frame, rate).is_err()
        {
            self.0 = None;
        }
    }
}
