//! What `calls`, `accounts` and `status` tell.

use phone::CallNumber;
use phone::control::{CallPhase, CallState, Control, Registration};
use phone::device::{Device, Hook, Role};
use phone::readiness::NotReady;

use crate::json::Object;
use crate::report;

/// Takes an object for programs and a text for persons.
pub type Teller<'a> = dyn FnMut(Object, String) + 'a;

/// Tells all calls.
pub fn calls(control: &Control, tell: &mut Teller<'_>) {
    let state = control.state();
    for call in state.calls.values() {
        tell(object(call), text(call));
    }
    let count = state.calls.len();
    let object = report::named("calls").number("count", count as u64);
    tell(object, format!("{count} calls"));
}

/// Tells all accounts.
pub fn accounts(control: &Control, tell: &mut Teller<'_>) {
    for account in &control.state().accounts {
        let name = account.name.to_string();
        let (state, reason) = match &account.registration {
            Registration::None => ("unregistered", None),
            Registration::Registered { .. } => ("registered", None),
            Registration::Failed { reason, .. } => ("failed", Some(reason.as_str())),
        };
        let object = report::named("account")
            .number("number", u64::from(account.number.as_u32()))
            .text("account", &name)
            .text("registration", state)
            .text_if("reason", reason);
        let text = match reason {
            Some(reason) => format!("{} {name}: {state}: {reason}", account.number),
            None => format!("{} {name}: {state}", account.number),
        };
        tell(object, text);
    }
}

/// Tells the microphones and speakers of this machine, and which of them a phone uses.
pub fn devices(found: &[Device], hook: &Hook, tell: &mut Teller<'_>) {
    for role in [Role::Microphone, Role::Speaker] {
        let used = hook.used(role, found);
        let of_role = found.iter().filter(|device| device.role == role);
        for (n, device) in of_role.clone().enumerate() {
            let number = n as u64 + 1;
            let is_used = used == Some(device);
            let object = report::named(role.name())
                .number("number", number)
                .text("name", &device.name)
                .text("id", &device.id)
                .flag("default", device.is_default)
                .flag("used", is_used);
            let default = if device.is_default { ", default" } else { "" };
            let mark = if is_used { '*' } else { ' ' };
            tell(
                object,
                format!(
                    "{mark} {role} {number}: {} [{}{default}]",
                    device.name, device.id
                ),
            );
        }
        if of_role.count() == 0 {
            let why = NotReady::missing(role);
            let object = report::named("missing")
                .text("role", role.name())
                .text("message", &why.to_string());
            tell(object, format!("  {why}"));
        }
    }
}

/// Tells accounts, calls and rules.
pub fn status(control: &Control, tell: &mut Teller<'_>) {
    accounts(control, tell);
    calls(control, tell);
    let rules = control.rules();
    let no_answer = rules.no_answer.as_ref();
    let object = report::named("status")
        .flag("muted", control.state().muted)
        .flag("dnd", rules.do_not_disturb)
        .flag("waiting", rules.call_waiting)
        .flag("autoanswer", rules.auto_answer.is_some())
        .text_if("divert_always", rules.always.as_deref())
        .text_if("divert_busy", rules.busy.as_deref())
        .text_if(
            "divert_no_answer",
            no_answer.map(|(target, _)| target.as_str()),
        );
    let on = |on: bool| if on { "on" } else { "off" };
    let text = format!(
        "do not disturb {}, call waiting {}, automatic answer {}",
        on(rules.do_not_disturb),
        on(rules.call_waiting),
        on(rules.auto_answer.is_some()),
    );
    tell(object, text);
}

fn object(call: &CallState) -> Object {
    let object = report::named("call")
        .number("call", call.number.as_u64())
        .text("direction", if call.outgoing { "out" } else { "in" })
        .text("peer", &call.peer)
        .text("state", phase(call.phase))
        .flag("held_by_us", call.held_by_us)
        .flag("held_by_peer", call.held_by_peer)
        .flag("in_conference", call.in_conference);
    let object = match &call.agreed {
        Some(agreed) => object.text("codec", agreed.codec),
        None => object,
    };
    match call.since {
        Some(since) => object.decimal("talked_s", since.elapsed().as_secs_f64()),
        None => object,
    }
}

fn text(call: &CallState) -> String {
    let direction = if call.outgoing { "to" } else { "from" };
    let mut text = format!("{} {direction} {}: ", number(call.number), call.peer);
    text.push_str(phase(call.phase));
    for (is, what) in [
        (call.held_by_us, ", on hold"),
        (call.held_by_peer, ", held by the other side"),
        (call.in_conference, ", in the conference"),
    ] {
        if is {
            text.push_str(what);
        }
    }
    text
}

fn number(call: CallNumber) -> String {
    format!("#{call}")
}

const fn phase(phase: CallPhase) -> &'static str {
    match phase {
        CallPhase::Calling => "calling",
        CallPhase::Alerting => "alerting",
        CallPhase::Ringing => "ringing",
        CallPhase::Established => "established",
    }
}
