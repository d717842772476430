//! Dialogs (RFC 3261 §12): what both sides keep in mind between requests.

use super::draft::{Draft, unfold};
use crate::header::{CSeq, ContactList, HeaderName, NameAddr};
use crate::message::Method;
use crate::wire::Packet;

/// One dialog, early or confirmed.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    pub(super) call_id: String,
    /// Our name-addr with our tag.
    pub(super) local: Vec<u8>,
    /// The peer's name-addr with its tag.
    pub(super) remote: Vec<u8>,
    pub(super) remote_tag: Vec<u8>,
    /// The peer's Contact.
    pub(super) target: Vec<u8>,
    /// The route set, in the order in which our requests travel.
    pub(super) routes: Vec<Vec<u8>>,
    pub(super) local_cseq: u32,
    pub(super) remote_cseq: Option<u32>,
    /// The number of the peer's newest NOTIFY.
    last_report: Option<u32>,
}

impl Dialog {
    /// The caller's side, from a response to `invite` (§12.1.2). `None` when To cannot be read.
    ///
    /// A response without a tag is one of RFC 2543. A response without a Contact leaves the Request-URI as the target: it breaks §12.1.1, but the
    /// call need not fail for that.
    pub(super) fn from_response(invite: &Draft, response: &Packet<'_>) -> Option<Dialog> {
        let to = response.value(HeaderName::To)?;
        let remote_tag = NameAddr::parse(to).ok()?.tag().unwrap_or_default().to_vec();
        let mut routes = record_route(response);
        routes.reverse();
        Some(Dialog {
            call_id: invite.call_id.clone(),
            local: invite.from.clone(),
            remote: unfold(to),
            remote_tag,
            target: contact(response).unwrap_or_else(|| invite.uri.clone()),
            routes,
            local_cseq: invite.cseq,
            remote_cseq: None,
            last_report: None,
        })
    }

    /// The callee's side, from an INVITE that our response gives `local_tag` (§12.1.1).
    /// `None` when it has no Contact or no readable From.
    pub(super) fn from_request(invite: &Packet<'_>, local_tag: &str) -> Option<Dialog> {
        let from = invite.value(HeaderName::From)?;
        let to = invite.value(HeaderName::To)?;
        let cseq = CSeq::parse(invite.value(HeaderName::CSeq)?).ok()?;
        let mut local = unfold(to);
        local.extend_from_slice(b";tag=");
        local.extend_from_slice(local_tag.as_bytes());
        Some(Dialog {
            call_id: core::str::from_utf8(invite.call_id()).ok()?.to_owned(),
            local,
            remote: unfold(from),
            // RFC 2543 peers send none (§12.1.1).
            remote_tag: NameAddr::parse(from)
                .ok()?
                .tag()
                .unwrap_or_default()
                .to_vec(),
            target: contact(invite)?,
            routes: record_route(invite),
            local_cseq: 0,
            remote_cseq: Some(cseq.number),
            last_report: None,
        })
    }

    /// The subscriber's side, from a NOTIFY (RFC 6665 §4.4.1); `local_cseq` is the number of the request
    /// that asked for it. `None` when it has no Contact or no readable From.
    pub(super) fn from_notify(notify: &Packet<'_>, local_cseq: u32) -> Option<Dialog> {
        let mut dialog = Dialog::from_request(notify, "")?;
        // It knows our tag already.
        dialog.local = unfold(notify.value(HeaderName::To)?);
        dialog.local_cseq = local_cseq;
        Some(dialog)
    }

    /// Whether a request or response of the peer with this tag belongs here.
    pub(super) fn is_with(&self, tag: Option<&[u8]>) -> bool {
        self.remote_tag == tag.unwrap_or_default()
    }

    /// A new request inside the dialog (§12.2.1.1).
    pub(super) fn request(&mut self, method: Method) -> Draft {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.draft(method, self.local_cseq)
    }

    /// The ACK to a 2xx for the INVITE with this number (§13.2.2.4).
    pub(super) fn ack(&self, cseq: u32) -> Draft {
        self.draft(Method::Ack, cseq)
    }

    fn draft(&self, method: Method, cseq: u32) -> Draft {
        let mut draft = Draft::new(method, "");
        draft.route(&self.target, &self.routes);
        draft.from.clone_from(&self.local);
        draft.to.clone_from(&self.remote);
        draft.call_id.clone_from(&self.call_id);
        draft.cseq = cseq;
        draft
    }

    /// Takes the number of a request of the peer; `false` when it is out of order (§12.2.2).
    pub(super) fn accepts(&mut self, cseq: u32) -> bool {
        if self.remote_cseq.is_some_and(|last| cseq <= last) {
            return false;
        }
        self.remote_cseq = Some(cseq);
        true
    }

    /// The same for a NOTIFY. Only a newer NOTIFY makes it obsolete: a BYE that was sent after it and overtook it, as it
    /// may over UDP, does not.
    pub(super) fn accepts_report(&mut self, cseq: u32) -> bool {
        if self.last_report.is_some_and(|last| cseq <= last) {
            return false;
        }
        self.last_report = Some(cseq);
        self.remote_cseq = self.remote_cseq.max(Some(cseq));
        true
    }

    /// A target refresh (§12.2.1.2, §12.2.2): the Contact of a re-INVITE or of its 2xx.
    pub(super) fn refresh_target(&mut self, message: &Packet<'_>) {
        if let Some(target) = contact(message) {
            self.target = target;
        }
    }

    /// The 2xx decides (§13.2.2.4): target and route set are those that it names.
    pub(super) fn confirm(&mut self, response: &Packet<'_>) {
        self.refresh_target(response);
        self.routes = record_route(response);
        self.routes.reverse();
    }
}

/// The first Contact's URI; nothing that could not stand in a request line.
fn contact(message: &Packet<'_>) -> Option<Vec<u8>> {
    let value = message.value(HeaderName::Contact)?;
    let first = ContactList::parse(value).addresses().next()?.ok()?;
    let uri = first.uri.as_bytes();
    let fits = !uri.iter().any(|b| *b <= b' ' || matches!(b, b'<' | b'>'));
    fits.then(|| uri.to_vec())
}

fn record_route(message: &Packet<'_>) -> Vec<Vec<u8>> {
    let mut routes = Vec::new();
    for header in message.all(HeaderName::RecordRoute) {
        for route in NameAddr::parse_list(header.value()).flatten() {
            let value = header.value().get(route.range()).unwrap_or_default();
            routes.push(unfold(value));
        }
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Stored;

    fn stored(text: &str) -> Stored {
        let text = text.replace('\n', "\r\n");
        Stored::scan(bytes::Bytes::from(text.into_bytes())).unwrap()
    }

    const INVITE: &str = "INVITE sip:bob@b SIP/2.0\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\n\
        Record-Route: <sip:p2;lr>, <sip:p1;lr>\nFrom: \"A\"\n <sip:alice@a>;tag=at\nTo: <sip:bob@b>\n\
        Call-ID: x\nCSeq: 7 INVITE\nContact: <sip:alice@1.2.3.4>\nContent-Length: 0\n\n";

    #[test]
    fn the_callee_keeps_the_order_of_record_route() {
        let invite = stored(INVITE);
        let mut dialog = Dialog::from_request(&invite.packet(), "bt").unwrap();
        assert_eq!(
            dialog.routes,
            [b"<sip:p2;lr>".to_vec(), b"<sip:p1;lr>".to_vec()]
        );
        assert!(
            dialog.is_with(Some(b"at")) && !dialog.is_with(Some(b"zz")) && !dialog.is_with(None)
        );
        assert!(
            !dialog.accepts(7) && !dialog.accepts(6) && dialog.accepts(9) && !dialog.accepts(8)
        );
        let bye = dialog.request(Method::Bye);
        assert_eq!((bye.cseq, dialog.request(Method::Bye).cseq), (1, 2));
        assert_eq!(bye.uri, b"sip:alice@1.2.3.4");
        assert_eq!(bye.next_uri(), b"sip:p2;lr");
        assert_eq!(bye.from, b"<sip:bob@b>;tag=bt");
        assert_eq!(bye.to, b"\"A\"  <sip:alice@a>;tag=at");
    }

    #[test]
    fn the_caller_reverses_it_and_the_2xx_decides() {
        let mut invite = Draft::new(Method::Invite, "sip:bob@b");
        invite.from = b"<sip:alice@a>;tag=at".to_vec();
        invite.cseq = 3;
        let early = stored(
            "SIP/2.0 180 Ringing\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\nRecord-Route: <sip:p2;lr>\n\
             Record-Route: <sip:p1;lr>\nFrom: <sip:alice@a>;tag=at\nTo: <sip:bob@b>;tag=bt\n\
             Call-ID: x\nCSeq: 3 INVITE\nContact: <sip:bob@9>, <sip:z@z>\nContent-Length: 0\n\n",
        );
        let mut dialog = Dialog::from_response(&invite, &early.packet()).unwrap();
        assert_eq!(
            dialog.routes,
            [b"<sip:p1;lr>".to_vec(), b"<sip:p2;lr>".to_vec()]
        );
        let ok = stored(
            "SIP/2.0 200 OK\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\nRecord-Route: <sip:p3;lr>\n\
             From: <sip:alice@a>;tag=at\nTo: <sip:bob@b>;tag=bt\nCall-ID: x\nCSeq: 3 INVITE\n\
             Contact: <sip:bob@10>\nContent-Length: 0\n\n",
        );
        dialog.confirm(&ok.packet());
        let ack = dialog.ack(3);
        assert_eq!((ack.uri.as_slice(), ack.cseq), (&b"sip:bob@10"[..], 3));
        assert_eq!(ack.routes, [b"<sip:p3;lr>".to_vec()]);
        assert_eq!(dialog.request(Method::Bye).cseq, 4);
    }

    #[test]
    fn no_dialog_without_a_usable_contact() {
        for bad in ["Contact: *", "X: y", "Contact: <sip:a b@c>"] {
            let text = INVITE.replace("Contact: <sip:alice@1.2.3.4>", bad);
            assert!(
                Dialog::from_request(&stored(&text).packet(), "t").is_none(),
                "{bad}"
            );
        }
    }
}
