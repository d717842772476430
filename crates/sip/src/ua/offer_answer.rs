//! Whose turn it is to describe the session (RFC 3264 §4, RFC 3261 §13.2.1, §14).

/// Where the exchange of offer and answer stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OfferAnswer {
    /// Nothing is open.
    #[default]
    Stable,
    /// Our offer waits for the peer's answer.
    Offered,
    /// The peer's offer waits for our answer.
    Asked,
    /// The peer sent an INVITE without an offer: we offer in the 2xx.
    Invited,
    /// We sent an INVITE without an offer: the 2xx brings one.
    Inviting,
}

impl OfferAnswer {
    /// After our INVITE.
    pub(super) const fn invite_sent(offer: bool) -> OfferAnswer {
        if offer {
            OfferAnswer::Offered
        } else {
            OfferAnswer::Inviting
        }
    }

    /// After the peer's INVITE.
    pub(super) const fn invite_received(offer: bool) -> OfferAnswer {
        if offer {
            OfferAnswer::Asked
        } else {
            OfferAnswer::Invited
        }
    }

    /// What our 2xx makes of it; `None` when it has to carry a body and does not.
    pub(super) const fn accept_sent(self, body: bool) -> Option<OfferAnswer> {
        match (self, body) {
            (OfferAnswer::Asked, true) => Some(OfferAnswer::Stable),
            (OfferAnswer::Invited, true) => Some(OfferAnswer::Offered),
            _ => None,
        }
    }

    /// What the peer's 2xx makes of it. A 2xx without the answer ends the exchange all the same:
    /// nothing more will come.
    pub(super) const fn accept_received(self, body: bool) -> OfferAnswer {
        match (self, body) {
            (OfferAnswer::Inviting, true) => OfferAnswer::Asked,
            _ => OfferAnswer::Stable,
        }
    }

    /// Whether the ACK has to wait for the owner's answer.
    pub(super) const fn waits_for_owner(self) -> bool {
        matches!(self, OfferAnswer::Asked)
    }
}

#[cfg(test)]
mod tests {
    use super::OfferAnswer::{Asked, Invited, Inviting, Offered, Stable};
    use super::*;

    #[test]
    fn the_four_ways_of_an_invite() {
        assert_eq!(OfferAnswer::invite_sent(true).accept_received(true), Stable);
        assert_eq!(OfferAnswer::invite_sent(true), Offered);
        assert_eq!(OfferAnswer::invite_sent(false), Inviting);
        assert_eq!(Inviting.accept_received(true), Asked);
        assert!(Asked.waits_for_owner() && !Stable.waits_for_owner());
        assert_eq!(Inviting.accept_received(false), Stable);
        assert_eq!(
            OfferAnswer::invite_received(true).accept_sent(true),
            Some(Stable)
        );
        assert_eq!(
            OfferAnswer::invite_received(false).accept_sent(true),
            Some(Offered)
        );
        for state in [Asked, Invited, Stable, Offered, Inviting] {
            assert_eq!(state.accept_sent(false), None);
        }
    }
}
