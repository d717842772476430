//! The lines above and below the panes: who calls, what is typed or told, hints, status.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::field::Field;
use super::super::keys::{Action, BINDINGS, Binding, Pane, Scope};
use super::super::look::{self, SIGNS, chosen, faint, strong};
use super::super::model::{Choice, Divert, Model, Overlay, Purpose, Question};
use super::super::scene::{Account, Registration, Stage};
use super::super::texts::Text;
use super::super::update::other_calls;
use super::super::width::{cut, fit, fit_right, sides, width, wrapped};
use super::{local, popup};

/// Lines that a notice may take.
const NOTICE_LINES: usize = 3;

/// Who calls, and the keys for it.
pub(super) fn banner(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let Some(call) = model.asking() else {
        return;
    };
    let columns = usize::from(area.width);
    let rings = call.stage == Stage::Incoming;
    let keys = banner_keys(model, rings);
    let room = columns.saturating_sub(width(&keys) + 5);
    let text = |who: &str| match &call.asks_for {
        Some(target) if !rings => model.text_with(Text::AsksTransfer, &[who, target]),
        _ => model.text_with(Text::CallsYou, &[who]),
    };
    let mut text = match &call.name {
        Some(name) if *name != call.peer => {
            let long = text(&format!("{name} <{}>", call.peer));
            if width(&long) <= room {
                long
            } else {
                text(name)
            }
        }
        _ => text(&call.peer),
    };
    let waiting = model.calls.iter().filter(|c| c.stage == Stage::Incoming);
    let more = waiting.count().saturating_sub(1);
    if more > 0 {
        let more = model.text_with(Text::MoreCallers, &[&more.to_string()]);
        text = format!("{text} {more}");
    }
    // The sign moves with the seconds: it rings.
    let signs = SIGNS;
    let sign = if (model.now.as_millis() / 500).is_multiple_of(2) {
        signs.full
    } else {
        signs.empty
    };
    let line = sides(&format!(" {sign} {text}"), &format!("{keys} "), columns);
    frame.render_widget(Paragraph::new(Line::styled(line, model.look.alarm())), area);
}

/// The keys that answer now: letters are text while a line is typed.
fn banner_keys(model: &Model, rings: bool) -> String {
    let label = |action: Action, scope: Scope, text: Text| {
        let binding = BINDINGS
            .iter()
            .find(|b| b.scope == scope && b.action == action);
        binding.map_or(String::new(), |b| {
            let key = b.chords.first().map(|c| c.label(model.language));
            format!("{} {}", key.unwrap_or_default(), model.text(text))
        })
    };
    let scope = if model.scopes().contains(&Scope::Ringing) {
        Scope::Ringing
    } else {
        Scope::Always
    };
    let mut keys = vec![
        label(
            Action::Answer,
            scope,
            if rings { Text::Answer } else { Text::Yes },
        ),
        label(
            Action::Refuse,
            scope,
            if rings { Text::Refuse } else { Text::No },
        ),
    ];
    if rings && scope == Scope::Ringing {
        keys.push(label(Action::Deflect, scope, Text::Deflect));
    }
    keys.join("  ")
}

/// How many rows the line needs: a notice may be long.
pub(super) fn line_height(model: &Model, columns: u16) -> u16 {
    match (&model.notice, model.overlays.last()) {
        (Some((notice, _)), None) => {
            let lines = wrapped(&notice.text, usize::from(columns.saturating_sub(3)));
            u16::try_from(lines.len().clamp(1, NOTICE_LINES)).unwrap_or(1)
        }
        _ => 1,
    }
}

/// What is typed, asked or told.
pub(super) fn line(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    match model.overlays.last() {
        Some(Overlay::Prompt(prompt)) => {
            let label = label(model, &prompt.purpose);
            typed(frame, area, &label, &prompt.field);
        }
        Some(Overlay::Search) => {
            let field = match model.pane {
                Pane::History => &model.history_filter,
                Pane::Log => &model.log_filter,
                _ => &model.contact_filter,
            };
            typed(frame, area, model.text(Text::SearchPrompt), field);
        }
        Some(Overlay::Compose { field, .. }) => {
            typed(frame, area, model.text(Text::WritePrompt), field);
        }
        Some(Overlay::Keypad { sent, .. }) => {
            let title = model.text_with(Text::KeypadTitle, &[sent]);
            let text = sides(
                &format!(" {title}"),
                &format!("{} ", model.text(Text::KeypadHow)),
                usize::from(area.width),
            );
            frame.render_widget(Paragraph::new(Line::styled(text, strong())), area);
        }
        Some(Overlay::Confirm(question)) => {
            let text = match question {
                Question::Quit => model.text(Text::QuitQuestion).to_owned(),
                Question::Link(target) => model.text_with(Text::CallLinkQuestion, &[target]),
                Question::RemoveContact { name, .. } => {
                    model.text_with(Text::RemoveContactQuestion, &[name])
                }
            };
            let text = fit(&format!(" {text}"), usize::from(area.width));
            frame.render_widget(Paragraph::new(Line::styled(text, model.look.alarm())), area);
        }
        _ => told(frame, model, area),
    }
}

fn label(model: &Model, purpose: &Purpose) -> String {
    let text = match purpose {
        Purpose::Call => Text::DialPrompt,
        Purpose::Transfer(_) => Text::TransferPrompt,
        Purpose::Deflect(_) => Text::DeflectPrompt,
        Purpose::TextTo => Text::RecipientPrompt,
        Purpose::Divert(Divert::Always | Divert::Busy | Divert::NoAnswer) => Text::DivertPrompt,
        Purpose::ContactAddress => Text::ContactAddressPrompt,
        Purpose::ContactName { address } => {
            return format!("{} ({address})", model.text(Text::ContactNamePrompt));
        }
    };
    model.text(text).to_owned()
}

/// A line that is typed, with the cursor of the terminal in it: that is where an input method composes.
fn typed(frame: &mut Frame<'_>, area: Rect, label: &str, field: &Field) {
    let columns = usize::from(area.width);
    let label = cut(&format!(" {label}: "), columns / 2);
    let taken = width(&label);
    let (shown, cursor) = field.window(columns - taken);
    let line = Line::from(vec![Span::styled(label, strong()), Span::raw(shown)]);
    frame.render_widget(Paragraph::new(line), area);
    let column = u16::try_from(taken + cursor).unwrap_or(u16::MAX);
    frame.set_cursor_position(Position::new(
        area.x + column.min(area.width.saturating_sub(1)),
        area.y,
    ));
}

/// What was told last; else what can be done without looking for it.
fn told(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let columns = usize::from(area.width);
    let Some((notice, _)) = &model.notice else {
        let text = cut(&format!(" {}", model.text(Text::IdlePrompt)), columns);
        frame.render_widget(Paragraph::new(Line::styled(text, faint())), area);
        return;
    };
    let signs = SIGNS;
    let (sign, tint) = if notice.is_error {
        (signs.wrong, model.look.bad())
    } else {
        (signs.full, model.look.good())
    };
    let style = if notice.is_error {
        strong()
    } else {
        Style::new()
    };
    let mut lines = Vec::new();
    let all = wrapped(&notice.text, columns.saturating_sub(3));
    for (n, text) in all.into_iter().take(NOTICE_LINES).enumerate() {
        let sign = if n == 0 { sign } else { " " };
        lines.push(Line::from(vec![
            Span::styled(format!(" {sign} "), tint),
            Span::styled(text, style),
        ]));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// The keys that do something now, as many as fit; the way to the others always.
pub(super) fn hints(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let scopes = model.scopes();
    let mut all: Vec<(String, &'static str)> = Vec::new();
    let mut last: Vec<(String, &'static str)> = Vec::new();
    for scope in scopes.iter().filter(|s| **s != Scope::Ringing) {
        for binding in BINDINGS.iter().filter(|b| b.scope == *scope) {
            if let Some(text) = hint(model, binding)
                && model.applies(binding.action)
            {
                let key = binding.chords.first().map(|c| c.label(model.language));
                let hint = (key.unwrap_or_default(), model.text(text));
                if matches!(binding.action, Action::Help | Action::Back) {
                    last.push(hint);
                } else {
                    all.push(hint);
                }
            }
        }
    }
    let size = |(key, text): &(String, &str)| width(key) + width(text) + 3;
    let reserved: usize = last.iter().map(size).sum();
    let mut room = usize::from(area.width).saturating_sub(reserved + 1);
    let mut spans = vec![Span::raw(" ")];
    let fitting: Vec<_> = all
        .into_iter()
        .take_while(|hint| {
            let fits = size(hint) <= room;
            room = room.saturating_sub(size(hint));
            fits
        })
        .collect();
    for (key, text) in fitting.into_iter().chain(last) {
        spans.push(Span::styled(key, strong()));
        spans.push(Span::raw(format!(" {text}  ")));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

/// The word for what a key does now.
fn hint(model: &Model, binding: &Binding) -> Option<Text> {
    let text = binding.hint?;
    if binding.scope == Scope::History && binding.action == Action::Missed && model.only_missed {
        return Some(Text::HintAll);
    }
    let call = match binding.scope {
        Scope::Calls => model.chosen_call(),
        _ => None,
    };
    let Some(call) = call else {
        return Some(text);
    };
    Some(match binding.action {
        Action::Open if call.stage == Stage::Incoming => Text::Answer,
        Action::HangUp if call.stage == Stage::Incoming => Text::Refuse,
        Action::Hold if call.is_held => Text::HintResume,
        Action::Mute if call.is_muted => Text::HintUnmute,
        Action::Record if call.is_recorded => Text::HintStop,
        Action::Conference if call.is_joined => Text::HintApart,
        _ => text,
    })
}

/// Registration, devices, what waits, and the time.
pub(super) fn status(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let mut parts = Vec::new();
    let device = |text: Text, used: bool, trouble: &Option<String>| {
        let sign = if trouble.is_some() || !used {
            SIGNS.wrong
        } else {
            SIGNS.full
        };
        format!("{sign} {}", model.text(text))
    };
    let devices = &model.devices;
    if devices.are_used {
        let (microphone, speaker) = (&devices.microphone, &devices.speaker);
        parts.push(device(
            Text::MicOk,
            microphone.is_some(),
            &devices.microphone_trouble,
        ));
        parts.push(device(
            Text::SpeakerOk,
            speaker.is_some(),
            &devices.speaker_trouble,
        ));
    }
    let voicemail: u32 = model.accounts.iter().filter_map(|a| a.voicemail).sum();
    for (count, text) in [
        (model.missed(), Text::MissedCount),
        (model.unread(), Text::UnreadCount),
        (
            usize::try_from(voicemail).unwrap_or(0),
            Text::VoicemailCount,
        ),
    ] {
        if count > 0 {
            parts.push(model.text_with(text, &[&count.to_string()]));
        }
    }
    if model.services.do_not_disturb {
        parts.push(model.text(Text::DoNotDisturbShort).to_owned());
    }
    if model.services.divert_always.is_some() {
        parts.push(model.text(Text::Diverted).to_owned());
    }
    let (second, _) = local(model, model.now);
    let time = format!("{:02}:{:02} ", second / 3600, second / 60 % 60);
    let columns = usize::from(area.width);
    let others = parts.join("  ");
    let room = columns.saturating_sub(width(&others) + width(&time) + 4);
    let text = format!(" {}  {others}", standing(model, room));
    let line = sides(&text, &time, columns);
    frame.render_widget(Paragraph::new(Line::styled(line, look::status())), area);
}

/// How the registration stands, in as many words as there is room for: the one that fails, else that of the calls we make.
fn standing(model: &Model, columns: usize) -> String {
    let failed = |a: &&Account| matches!(a.registration, Registration::Failed { .. });
    let shown = model.accounts.iter().find(failed).or(model.outgoing());
    let Some(account) = shown else {
        return format!("{} {}", SIGNS.empty, model.text(Text::NoAccount));
    };
    let (sign, state) = registration(model, account);
    let short = match account.registration {
        Registration::Failed { .. } => model.text(Text::NotRegistered),
        _ => &state,
    };
    let user = account.address.split('@').next().unwrap_or_default();
    let choices = [
        format!("{sign} {} {state}", account.address),
        format!("{sign} {} {short}", account.address),
        format!("{sign} {user} {short}"),
        format!("{sign} {short}"),
    ];
    let fitting = choices.iter().find(|c| width(c) <= columns);
    fitting
        .cloned()
        .unwrap_or_else(|| cut(&format!("{sign} {short}"), columns.max(8)))
}

/// A sign and words for how a registration stands.
pub(super) fn registration(model: &Model, account: &Account) -> (&'static str, String) {
    let signs = SIGNS;
    match &account.registration {
        Registration::Off => (signs.empty, model.text(Text::RegistrationOff).to_owned()),
        Registration::Trying => (signs.half, model.text(Text::Registering).to_owned()),
        Registration::Registered { .. } => (signs.full, model.text(Text::Registered).to_owned()),
        Registration::Failed {
            reason, retry_at, ..
        } => {
            let mut text = format!("{}: {reason}", model.text(Text::NotRegistered));
            if let Some(at) = retry_at {
                let seconds = at.saturating_sub(model.now).as_secs().to_string();
                let again = model.text_with(Text::TriedAgainIn, &[&seconds]);
                text.push_str(&format!(", {again}"));
            }
            (signs.wrong, text)
        }
    }
}

/// Who may be meant, or what there is to choose from.
pub(super) fn suggestions(frame: &mut Frame<'_>, model: &Model, body: Rect) {
    let columns = usize::from(body.width.saturating_sub(2));
    match model.overlays.last() {
        Some(Overlay::Prompt(prompt)) => {
            let found = model.suggestions(prompt);
            if found.is_empty() {
                return;
            }
            let rows = found.iter().enumerate().map(|(n, s)| {
                let note = match s.call {
                    Some(_) => model.text(Text::InCall),
                    None => s.address.as_str(),
                };
                let is_chosen = prompt.chosen == Some(n);
                row(&s.name, note, is_chosen, columns)
            });
            popup(frame, body, &label(model, &prompt.purpose), rows.collect());
        }
        Some(Overlay::Choose { choice, at }) => {
            let (title, names): (String, Vec<(String, String)>) = match choice {
                Choice::Microphone => (
                    model.text(Text::ChooseMicrophone).to_owned(),
                    names(&model.devices.microphones),
                ),
                Choice::Speaker => (
                    model.text(Text::ChooseSpeaker).to_owned(),
                    names(&model.devices.speakers),
                ),
                Choice::Other(id) => {
                    let who = model.call_named(*id).map_or("", |c| c.title());
                    let others = other_calls(model, *id);
                    let others = others
                        .iter()
                        .map(|c| (c.title().to_owned(), c.peer.clone()));
                    (
                        model.text_with(Text::AttendedTitle, &[who]),
                        others.collect(),
                    )
                }
            };
            let height = usize::from(body.height.saturating_sub(2)).max(1);
            let first = (at + 1).saturating_sub(height);
            let rows = names.iter().enumerate().skip(first).take(height);
            let rows = rows.map(|(n, (name, note))| row(name, note, n == *at, columns));
            popup(frame, body, &title, rows.collect());
        }
        _ => {}
    }
}

fn names(devices: &[super::super::scene::Device]) -> Vec<(String, String)> {
    let name = |d: &super::super::scene::Device| (d.name.clone(), String::new());
    devices.iter().map(name).collect()
}

fn row(name: &str, note: &str, is_chosen: bool, columns: usize) -> Line<'static> {
    let sign = if is_chosen { SIGNS.chosen } else { " " };
    let note_columns = (columns / 2).min(width(note));
    let name = fit(
        &format!("{sign} {name}"),
        columns.saturating_sub(note_columns + 1),
    );
    let text = format!("{name}{} ", fit_right(note, note_columns));
    let text = fit(&text, columns);
    if is_chosen {
        Line::styled(text, chosen(true))
    } else {
        Line::raw(text)
    }
}
