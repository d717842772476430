//! Whose turn it is to describe the session (RFC 3264 §4, RFC 3261 §13.2.1, §14, RFC 6337).
//!
//! ```text
//! offer in        answer in
//! INVITE          2xx, or a reliable 1xx before it
//! 2xx             ACK
//! reliable 1xx    PRACK
//! PRACK, UPDATE   its 2xx
//! ```

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
    /// The peer sent an INVITE without an offer: we offer in the response.
    Invited,
    /// We sent an INVITE without an offer: the response brings one.
    Inviting,
}

impl OfferAnswer {
    /// What our response to an INVITE makes of it; `None` when it has to carry a body and does not.
    /// When the session is settled already, the response says nothing of it.
    pub(super) const fn accept_sent(self, body: bool) -> Option<OfferAnswer> {
        match (self, body) {
            (OfferAnswer::Asked, true) | (OfferAnswer::Stable, _) => Some(OfferAnswer::Stable),
            (OfferAnswer::Invited, true) | (OfferAnswer::Offered, _) => Some(OfferAnswer::Offered),
            _ => None,
        }
    }

    /// Whether a response of ours to the INVITE may describe the session.
    pub(super) const fn wants_body(self) -> bool {
        matches!(self, OfferAnswer::Asked | OfferAnswer::Invited)
    }

    /// Whether the peer waits for the owner's answer to the offer in its response.
    pub(super) const fn waits_for_owner(self) -> bool {
        matches!(self, OfferAnswer::Asked)
    }
}

/// The exchange of offers and answers in one dialog, and what it has come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchange {
    pub(super) state: OfferAnswer,
    /// The offer that has no answer yet.
    open: Option<Vec<u8>>,
    /// What we said last, offer or answer, of what holds.
    local: Option<Vec<u8>>,
    /// What the peer said last.
    remote: Option<Vec<u8>>,
    /// Whether the last of it was our offer.
    ours: bool,
}

impl Exchange {
    /// After our INVITE.
    pub(super) fn invite_sent(&mut self, offer: Option<&[u8]>) {
        self.state = match offer {
            Some(_) => OfferAnswer::Offered,
            None => OfferAnswer::Inviting,
        };
        self.open = offer.map(<[u8]>::to_vec);
    }

    /// After the peer's INVITE.
    pub(super) fn invite_received(&mut self, offer: Option<&[u8]>) {
        self.state = match offer {
            Some(_) => OfferAnswer::Asked,
            None => OfferAnswer::Invited,
        };
        self.open = offer.map(<[u8]>::to_vec);
    }

    /// Our response to the INVITE leaves; `body` only where [`OfferAnswer::wants_body`].
    pub(super) fn response_sent(&mut self, body: &[u8]) {
        match self.state {
            OfferAnswer::Asked => self.answer_sent(body),
            OfferAnswer::Invited => {
                self.state = OfferAnswer::Offered;
                self.open = Some(body.to_vec());
            }
            _ => {}
        }
    }

    /// The peer's response to our INVITE: a reliable 1xx with a body, or the 2xx. A 2xx without the
    /// answer ends the exchange all the same: nothing more will come.
    pub(super) fn response_received(&mut self, body: Option<&[u8]>) {
        match (self.state, body) {
            (OfferAnswer::Inviting, Some(offer)) => {
                self.state = OfferAnswer::Asked;
                self.open = Some(offer.to_vec());
            }
            (OfferAnswer::Offered, body) => self.answer_received(body),
            (OfferAnswer::Inviting, None) => self.state = OfferAnswer::Stable,
            _ => {}
        }
    }

    /// Our offer left in a request of its own.
    pub(super) fn offer_sent(&mut self, offer: &[u8]) {
        self.state = OfferAnswer::Offered;
        self.open = Some(offer.to_vec());
    }

    /// The peer's offer came in a request of its own.
    pub(super) fn offer_received(&mut self, offer: &[u8]) {
        self.state = OfferAnswer::Asked;
        self.open = Some(offer.to_vec());
    }

    /// Our answer left.
    pub(super) fn answer_sent(&mut self, answer: &[u8]) {
        self.state = OfferAnswer::Stable;
        self.remote = self.open.take();
        self.local = Some(answer.to_vec());
        self.ours = false;
    }

    /// The answer to our offer came, or what should have carried it.
    pub(super) fn answer_received(&mut self, answer: Option<&[u8]>) {
        self.state = OfferAnswer::Stable;
        let offer = self.open.take();
        if let Some(answer) = answer {
            self.local = offer;
            self.remote = Some(answer.to_vec());
            self.ours = true;
        }
    }

    /// The offer came to nothing: what held before holds again (RFC 3261 §14.1, RFC 3311 §5.3).
    pub(super) fn undo(&mut self) {
        self.state = OfferAnswer::Stable;
        self.open = None;
    }

    /// Whether our offer waits for its answer.
    pub(super) fn is_offered(&self) -> bool {
        self.state == OfferAnswer::Offered
    }

    /// What we said last of what holds.
    pub(super) fn local(&self) -> Option<&[u8]> {
        self.local.as_deref()
    }

    /// What the peer said last.
    pub(super) fn remote(&self) -> Option<&[u8]> {
        self.remote.as_deref()
    }

    /// The peer's answer, when the last offer was ours.
    pub(super) fn answer(&self) -> Option<&[u8]> {
        self.remote().filter(|_| self.ours)
    }
}

#[cfg(test)]
mod tests {
    use super::OfferAnswer::{Asked, Invited, Inviting, Offered, Stable};
    use super::*;

    #[test]
    fn the_ways_of_an_invite_that_we_sent() {
        let mut exchange = Exchange::default();
        exchange.invite_sent(Some(b"o1"));
        assert_eq!((exchange.state, exchange.local()), (Offered, None));
        exchange.response_received(Some(b"a1"));
        assert_eq!(exchange.state, Stable);
        assert_eq!(
            (exchange.local(), exchange.remote(), exchange.answer()),
            (Some(&b"o1"[..]), Some(&b"a1"[..]), Some(&b"a1"[..]))
        );
        // What comes after the answer is nothing new.
        exchange.response_received(Some(b"a2"));
        assert_eq!(exchange.remote(), Some(&b"a1"[..]));
        exchange.invite_sent(None);
        assert_eq!(exchange.state, Inviting);
        exchange.response_received(Some(b"o2"));
        assert!(exchange.state.waits_for_owner() && !Stable.waits_for_owner());
        exchange.answer_sent(b"a3");
        assert_eq!(
            (exchange.local(), exchange.remote(), exchange.answer()),
            (Some(&b"a3"[..]), Some(&b"o2"[..]), None)
        );
        exchange.invite_sent(None);
        exchange.response_received(None);
        assert_eq!(exchange.state, Stable);
    }

    #[test]
    fn the_ways_of_an_invite_that_came() {
        let mut exchange = Exchange::default();
        exchange.invite_received(None);
        assert!(exchange.state.wants_body());
        exchange.response_sent(b"o1");
        assert_eq!((exchange.state, exchange.local()), (Offered, None));
        exchange.answer_received(Some(b"a1"));
        assert_eq!(exchange.local(), Some(&b"o1"[..]));
        exchange.invite_received(Some(b"o2"));
        exchange.response_sent(b"a2");
        assert_eq!(exchange.local(), Some(&b"a2"[..]));
        exchange.offer_sent(b"o3");
        exchange.undo();
        assert_eq!(
            (exchange.state, exchange.local(), exchange.remote()),
            (Stable, Some(&b"a2"[..]), Some(&b"o2"[..]))
        );
        exchange.offer_received(b"o4");
        assert_eq!(exchange.state, Asked);
    }

    #[test]
    fn what_a_response_has_to_carry() {
        assert_eq!(Asked.accept_sent(true), Some(Stable));
        assert_eq!(Invited.accept_sent(true), Some(Offered));
        for state in [Asked, Invited, Inviting] {
            assert_eq!(state.accept_sent(false), None);
        }
        assert_eq!(Stable.accept_sent(false), Some(Stable));
        assert_eq!(Offered.accept_sent(false), Some(Offered));
    }
}
