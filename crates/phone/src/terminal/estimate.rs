//! How good a call probably sounds, by the E-model (ITU-T G.107) with the figures of G.113 for codecs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media::session::Statistics;

use super::scene::Quality;

/// How long a loss is felt: what is shown is about now, not about the whole call.
const WINDOW: Duration = Duration::from_secs(10);
/// Views that are kept; one a second comes.
const VIEWS: usize = 16;

/// The view of one call's sound over the last seconds.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    views: VecDeque<(Instant, u64, u64)>,
}

impl Estimate {
    /// Takes in the numbers so far and says how it sounds now.
    pub fn note(&mut self, now: Instant, codec: &str, statistics: &Statistics) -> Quality {
        let lost = statistics.packets_lost + statistics.played.late;
        let received = statistics.packets_received;
        let old = |(at, _, _): &(Instant, u64, u64)| now.saturating_duration_since(*at) > WINDOW;
        while self.views.len() >= VIEWS || self.views.front().is_some_and(old) {
            self.views.pop_front();
        }
        let (_, lost_before, received_before) = self.views.front().copied().unwrap_or((now, 0, 0));
        self.views.push_back((now, lost, received));
        let lost = lost.saturating_sub(lost_before) as f32;
        let received = received.saturating_sub(received_before) as f32;
        let share = if lost + received > 0.0 {
            lost / (lost + received)
        } else {
            0.0
        };
        let round_trip = statistics.round_trip;
        // Half the way there and back, the jitter buffer, and a packet's own length.
        let delay = round_trip.unwrap_or_default() / 2
            + statistics.playout_delay
            + Duration::from_millis(20);
        Quality {
            loss: share * 100.0,
            jitter: statistics.jitter,
            round_trip,
            mos: (received > 0.0).then(|| mos(codec, share, delay)),
        }
    }
}

/// The mean opinion score for a share of lost packets (0 to 1) and a delay from mouth to ear.
fn mos(codec: &str, loss: f32, delay: Duration) -> f32 {
    // Impairment of the codec and its robustness against random loss (G.113, appendix I; concealment assumed).
    let (impairment, robustness) = match codec {
        "G729" => (11.0, 19.0),
        "G723" => (15.0, 16.1),
        "GSM" => (20.0, 10.0),
        "iLBC" | "speex" => (11.0, 20.0),
        _ => (0.0, 25.1),
    };
    let delay = delay.as_secs_f32() * 1000.0;
    let late = if delay > 177.3 {
        0.11 * (delay - 177.3)
    } else {
        0.0
    };
    let percent = loss * 100.0;
    let lossy = impairment + (95.0 - impairment) * percent / (percent + robustness);
    let rating = (93.2 - 0.024 * delay - late - lossy).clamp(0.0, 100.0);
    let score = 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
    score.clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_fall_with_loss_and_delay() {
        let short = Duration::from_millis(50);
        let clean = mos("PCMU", 0.0, short);
        assert!((4.3..4.5).contains(&clean), "{clean}");
        let lossy = mos("PCMU", 0.05, short);
        assert!((3.3..3.9).contains(&lossy), "{lossy}");
        assert!(mos("PCMU", 0.2, short) < 2.6);
        assert!(mos("PCMU", 0.0, Duration::from_millis(500)) < 3.5);
        assert!(mos("G729", 0.0, short) < clean);
        assert!(mos("PCMU", 1.0, Duration::from_secs(9)) >= 1.0);
    }

    #[test]
    fn old_losses_are_forgotten() {
        let start = Instant::now();
        let mut estimate = Estimate::default();
        let at = |seconds, received, lost| {
            let statistics = Statistics {
                packets_received: received,
                packets_lost: lost,
                ..Statistics::default()
            };
            (start + Duration::from_secs(seconds), statistics)
        };
        let mut last = 0.0;
        for second in 0..30 {
            let lost = if second < 5 { second * 10 } else { 40 };
            let (now, statistics) = at(second, second * 50, lost);
            last = estimate.note(now, "PCMU", &statistics).loss;
            assert!(second == 0 || second > 4 || last > 5.0, "{second}: {last}");
        }
        assert!(last.abs() < 0.01, "{last}");
    }
}
