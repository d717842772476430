//! Commands about microphone and speaker.

use super::command::Command;
use super::execute::Attempt;
use super::refusal::Refusal;
use super::{Control, Outcome};
use crate::device::Hook;
use crate::sound::SoundError;

impl Control {
    pub(super) fn execute_devices(
        &mut self,
        command: &Command,
        attempt: &Attempt<'_>,
    ) -> Result<Outcome, Refusal> {
        match command {
            Command::Devices => {
                hook(self, attempt)?;
                return Ok(Outcome::Devices);
            }
            Command::Device { role, choice } => {
                let language = self.language;
                let chosen = hook(self, attempt)?.choose(*role, choice.clone());
                let chosen = chosen.map_err(|why| SoundError::not_ready(&why, language));
                chosen.map_err(|e| attempt.sound(&e))?;
            }
            Command::Volume { role, percent } => {
                let gain = f32::from(*percent) / 100.0;
                hook(self, attempt)?.set_gain(*role, gain);
            }
            Command::CancelEcho(on) => {
                let hook = hook(self, attempt)?;
                hook.set_cleaning(*on, hook.setup().suppresses_noise);
            }
            Command::SuppressNoise(on) => {
                let hook = hook(self, attempt)?;
                hook.set_cleaning(hook.setup().cancels_echo, *on);
            }
            // All others have been carried out.
            _ => {}
        }
        Ok(Outcome::Done)
    }
}

/// The devices of a phone that has any.
fn hook<'a>(control: &'a mut Control, attempt: &Attempt<'_>) -> Result<&'a mut Hook, Refusal> {
    control.hook.as_mut().ok_or_else(|| {
        attempt.refuse(
            "this phone uses no microphone and no speaker",
            "start it with --microphone default, or another that sori phone --devices lists",
        )
    })
}
