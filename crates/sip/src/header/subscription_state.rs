//! Subscription-State (RFC 6665 §8.2.3).

use super::cursor::{Cursor, decimal32};
use super::list::only;
use super::{Params, ParseError};

/// How a subscription stands, as a NOTIFY tells.
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionState<'a> {
    /// `active`, `pending`, `terminated` or an extension.
    pub state: &'a [u8],
    /// Why it ended.
    pub reason: Option<&'a [u8]>,
    /// The seconds that are left.
    pub expires: Option<u32>,
    /// The seconds after which to subscribe again.
    pub retry_after: Option<u32>,
    /// All parameters.
    pub params: Params<'a>,
}

impl<'a> SubscriptionState<'a> {
    /// Reads the value.
    pub fn parse(value: &'a [u8]) -> Result<SubscriptionState<'a>, ParseError> {
        only(value, take)
    }

    /// Whether the subscription is over.
    pub fn is_terminated(&self) -> bool {
        self.state.eq_ignore_ascii_case(b"terminated")
    }
}

fn take<'a>(cursor: &mut Cursor<'a>) -> Result<SubscriptionState<'a>, ParseError> {
    let state = cursor.token("Subscription-State without a state")?;
    let params = Params::take(cursor, |_| {})?;
    let value = |name: &[u8]| params.value(name).flatten();
    Ok(SubscriptionState {
        state,
        reason: value(b"reason"),
        expires: value(b"expires").and_then(decimal32),
        retry_after: value(b"retry-after").and_then(decimal32),
        params,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_and_parameters() {
        let active = SubscriptionState::parse(b"active; expires = 3599").unwrap();
        assert_eq!(
            (active.expires, active.is_terminated()),
            (Some(3599), false)
        );
        let over = SubscriptionState::parse(b"Terminated;reason=probation;retry-after=5").unwrap();
        assert!(over.is_terminated());
        assert_eq!(
            (over.reason, over.retry_after),
            (Some(&b"probation"[..]), Some(5))
        );
        assert!(SubscriptionState::parse(b"").is_err());
    }
}
