//! Keys about calls.

use super::super::keys::Action;
use super::super::model::{Choice, Effect, Model, Order, Overlay, Purpose};
use super::super::scene::{Call, CallId, Stage};
use super::super::texts::Text;
use super::{ask, push, refuse};

/// The banner's keys.
pub(super) fn answer_or_not(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    let Some(call) = model.asking() else {
        refuse(model, Text::NobodyRings);
        return;
    };
    let (id, rings) = (call.id, call.stage == Stage::Incoming);
    match action {
        Action::Answer if rings => answer(model, id, effects),
        Action::Answer => effects.push(Effect::Order(Order::AcceptTransfer(id))),
        Action::Refuse if rings => effects.push(Effect::Order(Order::Reject(id))),
        Action::Refuse => effects.push(Effect::Order(Order::RefuseTransfer(id))),
        _ if rings => ask(model, Purpose::Deflect(id), ""),
        _ => refuse(model, Text::NobodyRings),
    }
}

fn answer(model: &mut Model, id: CallId, effects: &mut Vec<Effect>) {
    model.call = Some(id);
    effects.push(Effect::Order(Order::Answer(id)));
}

/// A key of the pane of calls.
pub(super) fn act(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    let Some(call) = model.chosen_call().cloned() else {
        refuse(model, Text::NoCallHere);
        return;
    };
    let id = call.id;
    match action {
        Action::HangUp if call.stage == Stage::Incoming => {
            effects.push(Effect::Order(Order::Reject(id)));
        }
        Action::HangUp => effects.push(Effect::Order(Order::HangUp(id))),
        Action::Open if call.stage == Stage::Incoming => answer(model, id, effects),
        Action::Text => super::panes::write_to(model, &call.peer, effects),
        Action::Details => push(
            model,
            Overlay::Details {
                call: id,
                scroll: 0,
            },
        ),
        _ if call.stage != Stage::Established => refuse(model, Text::NotTalking),
        _ => established(model, action, &call, effects),
    }
}

fn established(model: &mut Model, action: Action, call: &Call, effects: &mut Vec<Effect>) {
    let id = call.id;
    match action {
        // The phone holds the others: one call is talked in at a time.
        Action::Open => effects.push(Effect::Order(Order::Resume(id))),
        Action::Hold if call.is_held => effects.push(Effect::Order(Order::Resume(id))),
        Action::Hold => effects.push(Effect::Order(Order::Hold(id))),
        Action::Mute => effects.push(Effect::Order(Order::Mute(!call.is_muted))),
        Action::Record => effects.push(Effect::Order(Order::Record(id, !call.is_recorded))),
        Action::Keypad => push(
            model,
            Overlay::Keypad {
                call: id,
                sent: String::new(),
            },
        ),
        Action::Transfer => ask(model, Purpose::Transfer(id), ""),
        Action::Attended => attended(model, id, effects),
        Action::Conference => conference(model, call, effects),
        _ => {}
    }
}

/// Connects the call with another one: the only one there is, or the one that is chosen.
fn attended(model: &mut Model, id: CallId, effects: &mut Vec<Effect>) {
    let others: Vec<CallId> = other_calls(model, id).iter().map(|c| c.id).collect();
    match others.as_slice() {
        [] => refuse(model, Text::NoOtherCall),
        [other] => effects.push(Effect::Order(Order::TransferTo(id, *other))),
        _ => push(
            model,
            Overlay::Choose {
                choice: Choice::Other(id),
                at: 0,
            },
        ),
    }
}

/// Answered calls other than this one.
pub(in super::super) fn other_calls(model: &Model, id: CallId) -> Vec<&Call> {
    let other = |c: &&Call| c.id != id && c.stage == Stage::Established;
    model.calls.iter().filter(other).collect()
}

fn conference(model: &mut Model, call: &Call, effects: &mut Vec<Effect>) {
    if call.is_joined {
        effects.push(Effect::Order(Order::Part(call.id)));
        return;
    }
    let mut all: Vec<CallId> = other_calls(model, call.id).iter().map(|c| c.id).collect();
    if all.is_empty() {
        refuse(model, Text::TwoCallsNeeded);
        return;
    }
    all.insert(0, call.id);
    effects.push(Effect::Order(Order::Conference(all)));
}
