//! The devices of a machine without sound.

use super::{Capture, Playback};

/// A microphone that hears nothing, and a speaker that nobody hears.
pub(crate) struct Null;

impl Capture for Null {
    fn read(&mut self, _: u32, frame: &mut [i16]) {
        frame.fill(0);
    }
}

impl Playback for Null {
    fn write(&mut self, _: u32, _: &[i16]) {}
}
