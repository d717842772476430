//! Calls placed for somebody else: the far side of a back-to-back user agent (RFC 7092 §3.1).

use core::time::Duration;

use super::call::{Call, Phase, check_headers, furnish};
use super::draft::{Draft, is_clean};
use super::event::{AccountId, CallId, Event, Misuse};
use super::outbound::Purpose;
use super::{Alarm, MAX_CALLS, UserAgent, alarm, tell};
use crate::flow::Flow;
use crate::header::NameAddr;
use crate::locate::NextHop;
use crate::message::Method;
use crate::time::Time;
use crate::transaction::Transactions;
use crate::uri::Uri;

/// An INVITE for somebody else.
#[derive(Clone, Debug)]
pub struct Placing {
    /// Whose credentials answer challenges, and whose settings hold. Its name appears nowhere.
    pub account: AccountId,
    /// The value of From, without a tag.
    pub from: String,
    /// The URI of To.
    pub to: String,
    /// The Request-URI.
    pub target: String,
    /// The URIs of the proxies on the way, the nearest first.
    pub routes: Vec<String>,
    /// The only way there: that of a registration. All requests of the call go along it first.
    pub flow: Option<Flow>,
    /// The user part of our Contact, escaped.
    pub user: String,
    /// Max-Forwards: one less than that of the call it is for, so that circles end.
    pub max_forwards: u8,
    /// After this time without a final response the INVITE is cancelled, and [`Event::RangOut`] says so.
    pub ring_for: Option<Duration>,
    /// The offer; `None`: the callee offers.
    pub offer: Option<Vec<u8>>,
    /// More headers.
    pub headers: Vec<(String, String)>,
}

impl Placing {
    fn draft(&self, tx: &mut Transactions) -> Result<Draft, Misuse> {
        check_headers(&self.headers)?;
        let texts = [&self.from, &self.to, &self.target, &self.user];
        if !texts
            .into_iter()
            .chain(&self.routes)
            .all(|t| is_clean(t.as_bytes()))
        {
            return Err(Misuse::Header);
        }
        let parsed = |uri: &str| {
            Uri::parse(uri.as_bytes())
                .map(drop)
                .map_err(|_| Misuse::Address)
        };
        parsed(&self.target)?;
        parsed(&self.to)?;
        self.routes.iter().try_for_each(|route| parsed(route))?;
        NameAddr::parse(self.from.as_bytes()).map_err(|_| Misuse::Address)?;
        let routes: Vec<Vec<u8>> = self
            .routes
            .iter()
            .map(|r| format!("<{r}>").into_bytes())
            .collect();
        let mut draft = Draft::new(Method::Invite, &self.target);
        draft.route(self.target.as_bytes(), &routes);
        draft.to = format!("<{}>", self.to).into_bytes();
        draft.call_id = tx.call_id();
        draft.max_forwards = self.max_forwards;
        draft.headers.clone_from(&self.headers);
        Ok(draft)
    }
}

impl UserAgent {
    /// Places a call for somebody else. Its events are those of any call.
    ///
    /// # Errors
    /// [`Misuse::NoAccount`], [`Misuse::Address`], [`Misuse::Header`], [`Misuse::Full`].
    pub fn place_for(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        placing: Placing,
    ) -> Result<CallId, Misuse> {
        if self.live >= MAX_CALLS {
            return Err(Misuse::Full);
        }
        self.profile(placing.account).ok_or(Misuse::NoAccount)?;
        let mut draft = placing.draft(tx)?;
        let local_tag = tx.random.token();
        draft.from = format!("{};tag={local_tag}", placing.from).into_bytes();
        let account = Some(placing.account);
        let names = (draft.call_id.clone(), local_tag);
        let mut call = Call::new(now, account, placing.user.clone(), names, Phase::Calling);
        call.session.invite_sent(placing.offer.as_deref());
        call.direct = placing.flow.is_some();
        furnish(&mut draft, &call.user, placing.offer);
        self.declare(&mut draft, account);
        self.ask_interval(&mut draft, account, None);
        let id = self.keep_call(tx, call);
        let invite = match self.prepare(tx, Purpose::Invite(id), account, draft, placing.flow) {
            Ok(invite) => invite,
            Err(misuse) => {
                self.live = self.live.saturating_sub(1);
                self.forget(tx, id);
                return Err(misuse);
            }
        };
        if let (Some(flow), Some(outbound)) = (placing.flow, self.outbound.get_mut(invite)) {
            outbound.only_along(NextHop::along(flow));
        }
        if let Some(call) = self.call_mut(id) {
            call.invite = Some(invite);
        }
        if let Some(after) = placing.ring_for {
            alarm(now, tx, after, id.0, Alarm::RingOut);
        }
        self.drive(now, tx, invite);
        Ok(id)
    }

    /// A call that was placed for somebody has rung long enough.
    pub(super) fn on_ring_out(&mut self, now: Time, tx: &mut Transactions, id: CallId) {
        if self.call_of(id).is_some_and(|c| c.phase == Phase::Calling) {
            tell(tx, Event::RangOut { call: id });
            // Of a call that is calling, that cannot fail.
            let _ = self.hang_up(now, tx, id);
        }
    }
}
