//! What happens to datagrams on their way.

use core::time::Duration;

use sip::random::Random;

/// One direction between two nodes. Streams feel only the latency: they are reliable and ordered.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// How long everything takes.
    pub latency: Duration,
    /// Up to how much longer a datagram may take; more than the pace of sending reorders.
    pub jitter: Duration,
    /// How many of a thousand datagrams are lost.
    pub loss: u32,
    /// How many of a thousand arrive twice.
    pub duplication: u32,
    /// How many of a thousand are held back by `hold`, so that later ones overtake them.
    pub reordering: u32,
    /// How long those are held back.
    pub hold: Duration,
}

impl Link {
    /// Nothing is lost and nothing takes any time.
    pub const PERFECT: Link = Link {
        latency: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: 0,
        duplication: 0,
        reordering: 0,
        hold: Duration::ZERO,
    };

    /// The delays after which the copies of one datagram arrive.
    pub(super) fn copies(&self, random: &mut Random) -> Vec<Duration> {
        let mut hit = |per_mille: u32| per_mille > 0 && random.below(1000) < u64::from(per_mille);
        if hit(self.loss) {
            return Vec::new();
        }
        let count = 1 + usize::from(hit(self.duplication));
        let held = hit(self.reordering);
        (0..count)
            .map(|_| {
                let span = self.jitter.as_micros() as u64;
                let jitter = Duration::from_micros(random.below(span + u64::from(span > 0)));
                self.latency + jitter + if held { self.hold } else { Duration::ZERO }
            })
            .collect()
    }
}
