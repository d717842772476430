use crate::Time;

/// What the transmission interval depends on (RFC 3550 §6.2, §6.3.1).
#[derive(Debug, Clone, Copy)]
pub struct Membership {
    /// Participants, ourselves included.
    pub members: u32,
    /// Those of them that sent media lately.
    pub senders: u32,
    /// Whether we are one of the senders.
    pub we_sent: bool,
    /// Bandwidth for RTCP in octets per second (5 % of the session's).
    pub bandwidth: f64,
    /// Average size of a compound packet in octets, lower-layer headers included.
    pub average_size: f64,
    /// Nothing has been sent yet.
    pub initial: bool,
}

/// Time until the next report (RFC 3550 A.7). `random` is uniform in `0.0 .. 1.0` and spreads it over half to one and a
/// half times the computed interval.
pub fn interval(membership: &Membership, random: f64) -> Time {
    const MINIMUM: f64 = 5.0;
    /// e − 1.5, which makes up for timer reconsideration.
    const COMPENSATION: f64 = core::f64::consts::E - 1.5;
    const SENDERS_SHARE: f64 = 0.25;

    let minimum = if membership.initial {
        MINIMUM / 2.0
    } else {
        MINIMUM
    };
    let mut bandwidth = membership.bandwidth.max(1.0);
    let mut count = f64::from(membership.members.max(1));
    let senders = f64::from(membership.senders);
    if senders <= count * SENDERS_SHARE {
        if membership.we_sent {
            bandwidth *= SENDERS_SHARE;
            count = senders;
        } else {
            bandwidth *= 1.0 - SENDERS_SHARE;
            count -= senders;
        }
    }
    let computed = (membership.average_size * count / bandwidth).clamp(minimum, 3600.0);
    Time::from_secs_f64(computed * (random.clamp(0.0, 1.0) + 0.5) / COMPENSATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Membership {
        Membership {
            members: 2,
            senders: 2,
            we_sent: true,
            bandwidth: 500.0,
            average_size: 128.0,
            initial: false,
        }
    }

    #[test]
    fn a_call_reports_every_two_to_six_seconds() {
        assert_eq!(interval(&two(), 0.0).as_millis(), 2052);
        assert_eq!(interval(&two(), 1.0).as_millis(), 6156);
        let first = Membership {
            initial: true,
            ..two()
        };
        assert_eq!(interval(&first, 0.0).as_millis(), 1026);
    }

    #[test]
    fn a_crowd_shares_the_bandwidth() {
        let crowd = Membership {
            members: 1000,
            senders: 10,
            we_sent: false,
            ..two()
        };
        let seconds = interval(&crowd, 0.5).as_secs_f64();
        assert!(
            (seconds - 128.0 * 990.0 / 375.0 / 1.218_28).abs() < 0.1,
            "{seconds}"
        );
        let sender = Membership {
            we_sent: true,
            ..crowd
        };
        assert!(interval(&sender, 0.5) < interval(&crowd, 0.5));
    }
}
