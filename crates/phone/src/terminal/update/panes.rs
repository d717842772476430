//! Keys in the panes.

use super::super::keys::{Action, Pane, Press};
use super::super::model::{
    Choice, Divert, Effect, Model, Order, Overlay, Purpose, Question, Setting,
};
use super::super::texts::{Language, Text};
use super::{Field, Notice, ask, calls, inform, push, read, tell};

/// Rows that a page has, more or less.
const PAGE: usize = 10;
/// Percent that one key press changes a volume by.
const VOLUME_STEP: u8 = 5;
/// The loudest, in percent.
const LOUDEST: u8 = 150;

/// A key while no overlay has it.
pub(super) fn act(model: &mut Model, action: Action, press: Press, effects: &mut Vec<Effect>) {
    match action {
        Action::Digit => {
            if let Press::Char(digit) = press {
                ask(model, Purpose::Call, &digit.to_string());
            }
        }
        Action::Dial => ask(model, Purpose::Call, ""),
        Action::Search => search(model),
        Action::Show(pane) => show(model, pane, effects),
        Action::NextPane => step_pane(model, 1, effects),
        Action::PreviousPane => step_pane(model, Pane::ALL.len() - 1, effects),
        Action::Zoom => model.zoomed = !model.zoomed,
        Action::Back => back(model),
        Action::DoNotDisturb => do_not_disturb(model, effects),
        Action::Up | Action::Down | Action::PageUp | Action::PageDown => rows(model, action),
        Action::First | Action::Last => rows(model, action),
        Action::Left | Action::Right => sideways(model, action, effects),
        _ => match model.pane {
            Pane::Calls => calls::act(model, action, effects),
            Pane::Contacts => contacts(model, action, effects),
            Pane::History => history(model, action, effects),
            Pane::Accounts => accounts(model, action, effects),
            Pane::Messages => messages(model, action, effects),
            Pane::Log => log(model, action),
            Pane::Settings => settings(model, action, effects),
        },
    }
}

fn search(model: &mut Model) {
    if !matches!(model.pane, Pane::Contacts | Pane::History | Pane::Log) {
        model.pane = Pane::Contacts;
    }
    push(model, Overlay::Search);
}

pub(super) fn show(model: &mut Model, pane: Pane, effects: &mut Vec<Effect>) {
    let was = model.pane;
    model.pane = pane;
    if was == Pane::History && pane != was && model.missed() > 0 {
        // They stay marked while one looks at them.
        effects.push(Effect::Order(Order::SawHistory));
    }
    if model.devices.are_used && (was == Pane::Settings) != (pane == Pane::Settings) {
        effects.push(Effect::Order(Order::Measure(pane == Pane::Settings)));
    }
}

fn step_pane(model: &mut Model, by: usize, effects: &mut Vec<Effect>) {
    let all = Pane::ALL;
    let at = all.iter().position(|p| *p == model.pane).unwrap_or(0);
    if let Some(pane) = all.get((at + by) % all.len()) {
        show(model, *pane, effects);
    }
}

/// One step back: what was told, then the search, then the large pane.
fn back(model: &mut Model) {
    let filter = match model.pane {
        Pane::Contacts => Some(&mut model.contact_filter),
        Pane::History => Some(&mut model.history_filter),
        Pane::Log => Some(&mut model.log_filter),
        _ => None,
    };
    if model.notice.is_some() {
        model.notice = None;
    } else if let Some(filter) = filter.filter(|f| !f.is_empty()) {
        filter.clear();
    } else if model.only_missed && model.pane == Pane::History {
        model.only_missed = false;
    } else if model.zoomed {
        model.zoomed = false;
    }
}

fn do_not_disturb(model: &mut Model, effects: &mut Vec<Effect>) {
    let on = !model.services.do_not_disturb;
    effects.push(Effect::Order(Order::DoNotDisturb(on)));
    let text = if on { Text::DndOn } else { Text::DndOff };
    inform(model, model.text(text).to_owned());
}

fn rows(model: &mut Model, action: Action) {
    if model.pane == Pane::Calls {
        let at = model.calls.iter().position(|c| Some(c.id) == model.call);
        let to = moved(at.unwrap_or(0), model.calls.len(), action);
        model.call = model.calls.get(to).map(|c| c.id);
        return;
    }
    let (contacts, past) = (model.shown_contacts().len(), model.shown_history().len());
    let (logged, settings) = (model.shown_log().len(), model.settings().len());
    let (accounts, conversations) = (model.accounts.len(), model.conversations.len());
    let at = &mut model.at;
    let (place, count) = match model.pane {
        Pane::Contacts => (&mut at.contact, contacts),
        Pane::History => (&mut at.past, past),
        Pane::Accounts => (&mut at.account, accounts),
        Pane::Messages => (&mut at.conversation, conversations),
        Pane::Settings | Pane::Calls => (&mut at.setting, settings),
        Pane::Log => {
            // The newest is the last row; places are counted from it.
            let row = logged.saturating_sub(1 + at.logged);
            at.logged = logged.saturating_sub(1 + moved(row, logged, action));
            return;
        }
    };
    *place = moved(*place, count, action);
}

/// The row that a key leads to.
pub(super) fn moved(at: usize, rows: usize, action: Action) -> usize {
    let last = rows.saturating_sub(1);
    let to = match action {
        Action::Up => at.saturating_sub(1),
        Action::Down => at + 1,
        Action::PageUp => at.saturating_sub(PAGE),
        Action::PageDown => at + PAGE,
        Action::First => 0,
        Action::Last => last,
        _ => at,
    };
    to.min(last)
}

fn sideways(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    let pane = match (model.pane, action) {
        (Pane::Settings, _) => return turn(model, action == Action::Right, effects),
        (Pane::Accounts, Action::Right) => model.lower,
        (Pane::Contacts, Action::Right) => Pane::Calls,
        (Pane::Calls, Action::Left) => Pane::Contacts,
        (Pane::History | Pane::Messages | Pane::Log, Action::Left) => Pane::Contacts,
        _ => return,
    };
    show(model, pane, effects);
}

fn contacts(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    if action == Action::Create {
        ask(model, Purpose::ContactAddress, "");
        return;
    }
    let Some(contact) = model
        .shown_contacts()
        .get(model.at.contact)
        .copied()
        .cloned()
    else {
        return;
    };
    match action {
        Action::Open => dial(model, &contact.address, effects),
        Action::Text => write_to(model, &contact.address, effects),
        Action::Edit => {
            let address = contact.address;
            ask(model, Purpose::ContactName { address }, &contact.name);
        }
        Action::Remove => push(
            model,
            Overlay::Confirm(Question::RemoveContact {
                address: contact.address,
                name: contact.name,
            }),
        ),
        _ => {}
    }
}

fn history(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    if action == Action::Missed {
        model.only_missed = !model.only_missed;
        return;
    }
    let Some(past) = model.shown_history().get(model.at.past).copied().cloned() else {
        return;
    };
    match action {
        Action::Open => dial(model, &past.peer, effects),
        Action::Text => write_to(model, &past.peer, effects),
        Action::Create => {
            let known = model.name_of(&past.peer).map(str::to_owned);
            let name = known.or(past.name).unwrap_or_default();
            let address = past.peer;
            ask(model, Purpose::ContactName { address }, &name);
        }
        Action::Remove => effects.push(Effect::Order(Order::Forget(past.id))),
        _ => {}
    }
}

/// Calls from the account that calls go out from.
pub(super) fn dial(model: &mut Model, target: &str, effects: &mut Vec<Effect>) {
    let target = target.trim().to_owned();
    let account = model.outgoing().map(|a| a.id.clone());
    effects.push(Effect::Order(Order::Dial { target, account }));
    show(model, Pane::Calls, effects);
}

/// Opens the conversation with somebody.
pub(super) fn write_to(model: &mut Model, peer: &str, effects: &mut Vec<Effect>) {
    let found = model
        .conversations
        .iter()
        .position(|c| model.is_same(&c.peer, peer));
    model.at.conversation = found.unwrap_or(model.at.conversation);
    show(model, Pane::Messages, effects);
    push(
        model,
        Overlay::Compose {
            peer: peer.to_owned(),
            field: Field::default(),
            scroll: 0,
        },
    );
    read(model, effects);
}

fn accounts(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    let Some(account) = model.accounts.get(model.at.account) else {
        return;
    };
    let id = account.id.clone();
    effects.push(Effect::Order(match action {
        Action::Register => Order::Register(id),
        Action::Unregister => Order::Unregister(id),
        Action::Default => Order::UseAccount(id),
        _ => return,
    }));
}

fn messages(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::Text => ask(model, Purpose::TextTo, ""),
        Action::Open => {
            if let Some(conversation) = model.conversations.get(model.at.conversation) {
                let peer = conversation.peer.clone();
                write_to(model, &peer, effects);
            }
        }
        _ => {}
    }
}

fn log(model: &mut Model, action: Action) {
    match action {
        Action::Follow => {
            model.paused = !model.paused;
            if !model.paused {
                model.at.logged = 0;
            }
        }
        Action::Clear => {
            model.log.clear();
            model.at.logged = 0;
        }
        Action::Open => {
            let shown = model.shown_log();
            let row = shown.len().checked_sub(1 + model.at.logged);
            if let Some(message) = row.and_then(|row| shown.get(row)) {
                let message = (*message).clone();
                push(model, Overlay::Message { message, scroll: 0 });
            }
        }
        _ => {}
    }
}

fn settings(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    if action == Action::TestTone {
        if !model.devices.are_used {
            return;
        }
        effects.push(Effect::Order(Order::TestTone));
        return;
    }
    let Some(setting) = model.settings().get(model.at.setting).copied() else {
        return;
    };
    match setting {
        Setting::Microphone => choose(model, Choice::Microphone),
        Setting::Speaker => choose(model, Choice::Speaker),
        Setting::Divert(when) => {
            let services = &model.services;
            let present = match when {
                Divert::Always => &services.divert_always,
                Divert::Busy => &services.divert_busy,
                Divert::NoAnswer => &services.divert_no_answer,
            };
            let present = present.clone().unwrap_or_default();
            ask(model, Purpose::Divert(when), &present);
        }
        _ => turn(model, true, effects),
    }
}

fn choose(model: &mut Model, choice: Choice) {
    let devices = &model.devices;
    let (all, used) = match choice {
        Choice::Microphone => (&devices.microphones, &devices.microphone),
        _ => (&devices.speakers, &devices.speaker),
    };
    if all.is_empty() {
        let trouble = match choice {
            Choice::Microphone => &devices.microphone_trouble,
            _ => &devices.speaker_trouble,
        };
        let text = trouble.clone();
        let text = text.unwrap_or_else(|| model.text(Text::NoDevice).to_owned());
        let notice = Notice {
            text,
            is_error: true,
        };
        tell(model, notice);
        return;
    }
    let at = all.iter().position(|d| Some(&d.id) == used.as_ref());
    let at = at.unwrap_or(0);
    push(model, Overlay::Choose { choice, at });
}

/// Less or more of a setting, the one before or the next.
fn turn(model: &mut Model, up: bool, effects: &mut Vec<Effect>) {
    let louder = |volume: u8| {
        if up {
            volume.saturating_add(VOLUME_STEP).min(LOUDEST)
        } else {
            volume.saturating_sub(VOLUME_STEP)
        }
    };
    match model.settings().get(model.at.setting) {
        Some(Setting::MicrophoneVolume) => {
            let volume = louder(model.devices.microphone_volume);
            effects.push(Effect::Order(Order::MicrophoneVolume(volume)));
        }
        Some(Setting::SpeakerVolume) => {
            let volume = louder(model.devices.speaker_volume);
            effects.push(Effect::Order(Order::SpeakerVolume(volume)));
        }
        Some(Setting::DoNotDisturb) => do_not_disturb(model, effects),
        Some(Setting::Language) => {
            model.language = match model.language {
                Language::English => Language::Korean,
                Language::Korean => Language::English,
            };
            effects.push(Effect::Order(Order::Speak(model.language)));
        }
        Some(Setting::Microphone) => choose(model, Choice::Microphone),
        Some(Setting::Speaker) => choose(model, Choice::Speaker),
        Some(Setting::Level) => effects.push(Effect::Order(Order::Measure(true))),
        Some(Setting::Divert(_)) | None => {}
    }
}
