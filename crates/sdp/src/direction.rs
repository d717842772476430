//! Who may send on a stream (RFC 8866 §6.7, RFC 3264 §5.1).

use std::fmt;

/// Direction of a stream, seen from the side whose description carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Both sides send; what a description without any direction means.
    #[default]
    SendRecv,
    /// This side sends only.
    SendOnly,
    /// This side receives only.
    RecvOnly,
    /// Nobody sends media; RTCP still flows.
    Inactive,
}

impl Direction {
    /// Direction that sends and receives as told.
    pub const fn of(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Whether this side sends media.
    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether this side receives media.
    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same stream seen from the other side.
    pub const fn reversed(self) -> Direction {
        Direction::of(self.receives(), self.sends())
    }

    /// What is left when both `self` and `other` must agree to each way.
    pub const fn and(self, other: Direction) -> Direction {
        Direction::of(
            self.sends() && other.sends(),
            self.receives() && other.receives(),
        )
    }

    /// Whether RFC 3264 §6.1 lets an offer of `self` be answered with `answer`.
    pub const fn may_be_answered(self, answer: Direction) -> bool {
        let most = self.reversed();
        (most.sends() || !answer.sends()) && (most.receives() || !answer.receives())
    }

    /// The direction that puts the other side on hold (RFC 3264 §8.4): we stop receiving and go on sending if we did.
    pub const fn held(self) -> Direction {
        Direction::of(self.sends(), false)
    }

    /// Name of the attribute.
    pub const fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// Direction of that attribute name; names are case sensitive (RFC 8866 §5.13).
    pub fn from_name(name: &str) -> Option<Direction> {
        [
            Direction::SendRecv,
            Direction::SendOnly,
            Direction::RecvOnly,
            Direction::Inactive,
        ]
        .into_iter()
        .find(|d| d.name() == name)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Direction::{self, *};

    const ALL: [Direction; 4] = [SendRecv, SendOnly, RecvOnly, Inactive];

    #[test]
    fn legal_answers_of_rfc_3264() {
        let legal: Vec<(Direction, Direction)> = ALL
            .into_iter()
            .flat_map(|o| ALL.into_iter().map(move |a| (o, a)))
            .filter(|(o, a)| o.may_be_answered(*a))
            .collect();
        let expected = [
            (SendRecv, SendRecv),
            (SendRecv, SendOnly),
            (SendRecv, RecvOnly),
            (SendRecv, Inactive),
            (SendOnly, RecvOnly),
            (SendOnly, Inactive),
            (RecvOnly, SendOnly),
            (RecvOnly, Inactive),
            (Inactive, Inactive),
        ];
        assert_eq!(legal, expected);
    }

    #[test]
    fn reversing_twice_and_names() {
        for d in ALL {
            assert_eq!(d.reversed().reversed(), d);
            assert_eq!(Direction::from_name(d.name()), Some(d));
        }
        assert_eq!(Direction::from_name("SendRecv"), None);
        assert_eq!(SendRecv.held(), SendOnly);
        assert_eq!(RecvOnly.held(), Inactive);
    }
}
