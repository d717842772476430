//! What a user agent tells its owner.

use core::fmt;
use core::time::Duration;

use crate::flow::Flow;
use crate::header::SubscriptionState;
use crate::message::StatusCode;
use crate::wire::Stored;

macro_rules! ids {
    ($($(#[$attr:meta])* $name:ident,)+) => {$(
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub(super) u64);

        impl $name {
            /// The number behind it, never used twice by one user agent.
            pub const fn as_u64(self) -> u64 {
                self.0
            }
        }
    )+};
}

ids! {
    /// Names an account of a [`super::UserAgent`].
    AccountId,
    /// Names a call of a [`super::UserAgent`].
    CallId,
    /// Names a request whose answer comes as [`Event::Response`] or [`Event::RequestFailed`].
    RequestId,
    /// Names a transfer, asked of a peer or asked of us.
    TransferId,
    /// Names a subscription to an event package.
    SubscriptionId,
    /// Names a publication of event state.
    PublicationId,
}

/// Something that the owner of a user agent wants to know.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "events travel in boxes")]
pub enum Event {
    /// The registrar holds our contact (RFC 3261 §10.2.4). Comes again with each refresh.
    Registered {
        /// Whose.
        account: AccountId,
        /// How many seconds the registrar granted for our contact.
        expires: u32,
        /// Our contact as a URI.
        contact: String,
    },
    /// A REGISTER failed.
    RegistrationFailed {
        /// Whose.
        account: AccountId,
        /// The status of the response, if there was one.
        status: Option<StatusCode>,
        /// What a person may read.
        reason: String,
        /// What happened.
        cause: Cause,
        /// When it is tried again by itself; `None`: not before somebody asks.
        retry_in: Option<Duration>,
    },
    /// The registrar has removed our contact.
    Unregistered {
        /// Whose.
        account: AccountId,
    },
    /// Somebody calls.
    Incoming {
        /// The new call.
        call: CallId,
        /// The account that the owner named when it handed the request over.
        account: Option<AccountId>,
        /// The From header without its parameters: display name and address.
        from: String,
        /// The caller's address.
        from_uri: String,
        /// The address that was called: that of the To header.
        to_uri: String,
        /// The Call-ID.
        call_id: String,
        /// The session description that the caller offers; `None`: we offer when we accept.
        offer: Option<Vec<u8>>,
        /// The call of ours that this one takes the place of (RFC 3891): accepting this one ends that
        /// one. The session description is to be that of a call that goes on.
        replaces: Option<CallId>,
        /// Who calls, as a server says that the account trusts (RFC 3325): see
        /// [`super::Account::trust_asserted`].
        asserted: Option<String>,
        /// Who transferred the caller to us, as the caller says (Referred-By, RFC 3892).
        referred_by: Option<String>,
        /// The flow that the INVITE came on.
        flow: Flow,
        /// The whole INVITE.
        request: Stored,
    },
    /// A provisional response above 100 to our INVITE.
    Progress {
        /// The call.
        call: CallId,
        /// 180, 183 and their like.
        status: StatusCode,
        /// The reason phrase.
        reason: String,
        /// A session description that came along: an answer to our offer, or an offer. What was said
        /// reliably is told once.
        body: Option<Vec<u8>>,
        /// Whether `body` is an offer: it came reliably after an INVITE without one, and
        /// [`super::UserAgent::acknowledge`] answers it in the PRACK (RFC 3262 §5).
        offer: bool,
        /// Which of the early dialogs it belongs to, from 0 in the order in which they were made:
        /// a forking proxy lets several callees ring, each with its own session (RFC 3261 §13.2.2.1).
        fork: usize,
    },
    /// A call that was placed for somebody ([`super::Placing::ring_for`]) has rung long enough; it is being
    /// cancelled, and [`Event::Ended`] follows.
    RangOut {
        /// The call.
        call: CallId,
    },
    /// The call stands: a 2xx came, or ours left.
    Established {
        /// The call.
        call: CallId,
        /// The remote target: the peer's Contact.
        remote_uri: String,
        /// The answer to our offer; or, after an INVITE without one, the peer's offer, which
        /// [`super::UserAgent::acknowledge`] answers. `None` when we are the callee, and when
        /// provisional responses have settled the session already.
        body: Option<Vec<u8>>,
        /// The flow that the peer's message came on.
        flow: Flow,
    },
    /// The ACK to our 2xx came.
    Acknowledged {
        /// The call.
        call: CallId,
        /// The answer, when the offer was in our 2xx.
        body: Option<Vec<u8>>,
    },
    /// The PRACK for our reliable provisional response came (RFC 3262): early media may flow.
    ProgressAcknowledged {
        /// The call.
        call: CallId,
        /// The answer, when the offer was in our response.
        body: Option<Vec<u8>>,
    },
    /// The peer wants to change the session: accept or reject.
    ///
    /// It came by re-INVITE (RFC 3261 §14), by UPDATE (RFC 3311), which may be before the call stands,
    /// or in a PRACK. The latter two want a decision at once: without one they are refused after
    /// some seconds with 504, and [`Event::ReofferWithdrawn`] says so.
    Reoffered {
        /// The call.
        call: CallId,
        /// Its offer; `None`: we offer when we accept.
        offer: Option<Vec<u8>>,
    },
    /// The peer took back what it wanted to change, or waited too long for our decision.
    ReofferWithdrawn {
        /// The call.
        call: CallId,
    },
    /// The peer accepted our change of the session, or described its side anew when the session was
    /// refreshed.
    Reanswered {
        /// The call.
        call: CallId,
        /// Its answer; or its offer, as in [`Event::Established`].
        body: Option<Vec<u8>>,
    },
    /// The peer refused our change; the session goes on as it was.
    ReofferRefused {
        /// The call.
        call: CallId,
        /// Why.
        cause: Cause,
    },
    /// A request inside a call (INFO, MESSAGE); it is answered already.
    Request {
        /// The call.
        call: CallId,
        /// The method's name.
        method: String,
        /// The Info-Package of an INFO (RFC 6086).
        info_package: Option<String>,
        /// What the body is; empty without a body.
        content_type: String,
        /// The body.
        body: Vec<u8>,
    },
    /// A MESSAGE outside any call (RFC 3428); it is answered already.
    Message {
        /// The account that the owner named when it handed the request over.
        account: Option<AccountId>,
        /// The sender's address.
        from: String,
        /// Whom it is for.
        to: String,
        /// What the body is.
        content_type: String,
        /// The body.
        body: Vec<u8>,
    },
    /// The peer pressed a key and told us by INFO (`application/dtmf-relay`, `application/dtmf`).
    Dtmf {
        /// The call.
        call: CallId,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// How long it was held.
        duration: Duration,
    },
    /// Our INVITE was redirected and goes to another address now; hang up to refuse that.
    Redirected {
        /// The call.
        call: CallId,
        /// Where it goes.
        to: String,
        /// The status of the response that sent us there; of the failure that made us go on to the next
        /// address, when there were several.
        status: StatusCode,
    },
    /// The peer takes the transfer up that we asked for (2xx to REFER, RFC 3515).
    TransferAccepted {
        /// Which.
        transfer: TransferId,
        /// The call that was transferred.
        call: Option<CallId>,
    },
    /// What the transferred peer heard from the target.
    TransferProgress {
        /// Which.
        transfer: TransferId,
        /// The call that was transferred.
        call: Option<CallId>,
        /// 100, 180 and their like.
        status: StatusCode,
        /// The reason phrase.
        reason: String,
    },
    /// The peer talks to the target, or told us beforehand that it would not report (RFC 4488). Where
    /// the account wants it so, the call that was transferred is hung up now.
    TransferDone {
        /// Which.
        transfer: TransferId,
        /// The call that was transferred.
        call: Option<CallId>,
    },
    /// The transfer came to nothing; the call goes on.
    TransferFailed {
        /// Which.
        transfer: TransferId,
        /// The call that was to be transferred.
        call: Option<CallId>,
        /// Why: what the peer said to REFER, or what the target said to the peer.
        cause: Cause,
    },
    /// The peer asks us to call somebody else (REFER): [`super::UserAgent::accept_transfer`] or
    /// [`super::UserAgent::refuse_transfer`], within 20 seconds.
    TransferRequested {
        /// Which.
        transfer: TransferId,
        /// The call that it came in; `None` for a REFER outside any call.
        call: Option<CallId>,
        /// The account that the owner named when it handed the request over.
        account: Option<AccountId>,
        /// Whom to call, as a URI.
        target: String,
        /// Whether the new call is to take the place of one that the target is in (attended transfer).
        replaces: bool,
        /// Who asks, as the peer says (Referred-By, RFC 3892); else its address.
        referred_by: String,
    },
    /// A transfer that was asked of us was not decided in time, or its call ended before; it is refused.
    TransferLapsed {
        /// Which.
        transfer: TransferId,
    },
    /// A notifier accepted our SUBSCRIBE (RFC 6665). Comes again with each refresh.
    Subscribed {
        /// Which.
        subscription: SubscriptionId,
        /// The seconds granted.
        expires: u32,
    },
    /// News of what we subscribed to (NOTIFY).
    Notified {
        /// Which; `None` for news that nobody asked for (message-summary only).
        subscription: Option<SubscriptionId>,
        /// The account that it is for.
        account: Option<AccountId>,
        /// The event package: `presence`, `message-summary`, `dialog`.
        package: String,
        /// How the subscription stands.
        state: SubscriptionStatus,
        /// What the body is; empty without a body.
        content_type: String,
        /// The body; the readers are in [`crate::event`].
        body: Vec<u8>,
    },
    /// A subscription failed or ended.
    SubscriptionEnded {
        /// Which.
        subscription: SubscriptionId,
        /// What happened.
        cause: Cause,
        /// When it is tried again by itself; `None`: its id names nothing any more.
        retry_in: Option<Duration>,
    },
    /// A call that rang elsewhere is being picked up: our INVITE is on its way.
    PickingUp {
        /// The subscription that [`super::UserAgent::pick_up`] named.
        subscription: SubscriptionId,
        /// The new call.
        call: CallId,
    },
    /// The server holds what we published (RFC 3903). Comes again with each refresh.
    Published {
        /// Which.
        publication: PublicationId,
        /// The seconds granted.
        expires: u32,
    },
    /// A PUBLISH failed.
    PublicationFailed {
        /// Which.
        publication: PublicationId,
        /// What happened.
        cause: Cause,
        /// When it is tried again by itself; `None`: its id names nothing any more.
        retry_in: Option<Duration>,
    },
    /// What we published is gone from the server, as we asked; its id names nothing any more.
    Unpublished {
        /// Which.
        publication: PublicationId,
    },
    /// The final response to a request of ours.
    Response {
        /// Which request.
        request: RequestId,
        /// The call that it was sent in, if it was.
        call: Option<CallId>,
        /// The status.
        status: StatusCode,
        /// The reason phrase.
        reason: String,
        /// The whole response.
        response: Stored,
    },
    /// A request of ours got no response, or asked for credentials that we do not have.
    RequestFailed {
        /// Which request.
        request: RequestId,
        /// The call that it was sent in, if it was.
        call: Option<CallId>,
        /// Why.
        cause: Cause,
    },
    /// The call is over; its id names nothing any more.
    Ended {
        /// The call.
        call: CallId,
        /// Why.
        cause: Cause,
    },
}

/// How a subscription stands (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionStatus {
    /// It is granted.
    Active,
    /// Somebody has yet to decide about it.
    Pending,
    /// It is over.
    Terminated,
}

impl SubscriptionStatus {
    /// An extension counts as active (RFC 6665 §4.1.3).
    pub(super) fn of(state: &SubscriptionState<'_>) -> SubscriptionStatus {
        if state.is_terminated() {
            SubscriptionStatus::Terminated
        } else if state.state.eq_ignore_ascii_case(b"pending") {
            SubscriptionStatus::Pending
        } else {
            SubscriptionStatus::Active
        }
    }
}

/// Why something ended or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// We hung up or declined.
    ByUs,
    /// The peer hung up.
    ByPeer {
        /// What its Reason header said (RFC 3326).
        reason: Option<String>,
    },
    /// The caller gave up before there was an answer.
    Cancelled,
    /// The caller took the call back because another phone answered it (RFC 3326 §2).
    AnsweredElsewhere,
    /// A final response other than 2xx.
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its reason phrase.
        reason: String,
        /// Where else to try, from a 3xx.
        contacts: Vec<String>,
    },
    /// The peer asked for credentials that we do not have, or did not take ours.
    Unauthorized {
        /// 401 or 407.
        status: StatusCode,
        /// What a person may read.
        reason: String,
    },
    /// No response came in time.
    TimedOut,
    /// The request could not be sent anywhere.
    Unreachable {
        /// What a person may read.
        reason: String,
    },
    /// No ACK came for our 2xx.
    NoAck,
    /// No PRACK came for our reliable provisional response (RFC 3262 §3).
    NoPrack,
    /// Nobody refreshed the session in time (RFC 4028 §10).
    Expired,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::ByUs => f.write_str("ended here"),
            Cause::ByPeer { reason: None } => f.write_str("ended by the other side"),
            Cause::ByPeer { reason: Some(why) } => write!(f, "ended by the other side: {why}"),
            Cause::Cancelled => f.write_str("cancelled before an answer"),
            Cause::AnsweredElsewhere => f.write_str("answered elsewhere"),
            Cause::Refused { status, reason, .. } => write!(f, "{status} {reason}"),
            Cause::Unauthorized { status, reason } => write!(f, "{status}: {reason}"),
            Cause::TimedOut => f.write_str("no response came in time"),
            Cause::Unreachable { reason } => write!(f, "unreachable: {reason}"),
            Cause::NoAck => f.write_str("the other side never acknowledged the answer"),
            Cause::NoPrack => f.write_str("the other side never acknowledged that it rings here"),
            Cause::Expired => f.write_str("the other side no longer keeps the session up"),
        }
    }
}

/// A mistake of the user agent's owner. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// There is no such account.
    NoAccount,
    /// There is no such call (any more).
    NoCall,
    /// There is no such transfer, subscription or publication (any more).
    Gone,
    /// The call is not in a state in which this can be done.
    WrongState,
    /// A text is no SIP address.
    Address,
    /// A header name or value holds octets that may not stand there.
    Header,
    /// An answer is due and none was given, or one was given that nobody waits for.
    OfferAnswer,
    /// The bound on accounts, calls or requests is reached.
    Full,
    /// A status code that does not fit.
    Status,
    /// The method has an operation of its own, or is not a method.
    Method,
    /// The peer does not say that it can do this.
    Unsupported,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Misuse::NoAccount => "no such account",
            Misuse::NoCall => "no such call",
            Misuse::Gone => "no such transfer, subscription or publication",
            Misuse::WrongState => "the call is not in a state for this",
            Misuse::Address => "not a SIP address",
            Misuse::Header => "a header holds characters that may not stand there",
            Misuse::OfferAnswer => "a session description is missing, or nobody waits for one",
            Misuse::Full => "too many accounts, calls or requests",
            Misuse::Status => "the status code does not fit",
            Misuse::Method => "the method cannot be sent this way",
            Misuse::Unsupported => "the other side does not support this",
        })
    }
}

impl std::error::Error for Misuse {}
