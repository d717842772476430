//! Lengthening and shortening the sound that is ready, where it is not heard.

use super::{ALIKE, Playout, SILENCE, root_mean_square};
use crate::plc::best_lag;

impl Playout {
    /// Takes out one pitch period, or in silence as much as there is to take.
    pub(super) fn shorten(&mut self, want: usize) {
        let fade = self.ms(5);
        let room = self
            .ready
            .len()
            .saturating_sub(want.max(fade))
            .min(self.ms(15));
        let Some((lag, silent)) = self.joint(fade, room.min(self.excess as usize)) else {
            return;
        };
        let lag = if silent {
            room.min(self.excess as usize)
        } else {
            lag
        };
        for n in 0..fade {
            let weight = (n as f32 + 0.5) / fade as f32;
            self.ready[n] = blend(self.ready[n], self.ready[n + lag], weight);
        }
        self.ready.drain(fade..fade + lag);
        self.excess -= lag as f64;
        self.played.shortened += lag as u64;
    }

    /// Plays one pitch period twice.
    pub(super) fn stretch(&mut self) {
        let fade = self.ms(5);
        let room = self.ready.len().saturating_sub(fade).min(self.ms(15));
        let Some((lag, _)) = self.joint(fade, room) else {
            return;
        };
        let mut longer = Vec::with_capacity(self.ready.len() + lag);
        longer.extend_from_slice(&self.ready[..lag]);
        for n in 0..fade {
            let weight = (n as f32 + 0.5) / fade as f32;
            longer.push(blend(self.ready[n + lag], self.ready[n], weight));
        }
        longer.extend_from_slice(&self.ready[fade..]);
        self.ready = longer;
        self.excess += lag as f64;
        self.played.stretched += lag as u64;
    }

    /// The best place, up to `longest` samples on, that sounds like the beginning of what is ready; and whether it is all
    /// silence. Both stretches compared are `fade` samples long and lie within what is ready.
    fn joint(&self, fade: usize, longest: usize) -> Option<(usize, bool)> {
        let shortest = self.ms(5) / 2;
        let longest = longest.min(self.ready.len().checked_sub(fade)?);
        if longest < shortest {
            return None;
        }
        let part = self.ready.get(..longest + fade)?;
        if root_mean_square(part) < SILENCE {
            return Some((longest, true));
        }
        // The search looks backwards from the end, so the stretch is turned round.
        let turned: Vec<f32> = part.iter().rev().map(|sample| f32::from(*sample)).collect();
        let (lag, likeness) = best_lag(&turned, fade, shortest, longest);
        (likeness > ALIKE).then_some((lag, false))
    }
}

fn blend(from: i16, to: i16, weight: f32) -> i16 {
    (f32::from(from) * (1.0 - weight) + f32::from(to) * weight).round() as i16
}
