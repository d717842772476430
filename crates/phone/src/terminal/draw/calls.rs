//! The pane of calls.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::look::{SIGNS, chosen, faint, strong};
use super::super::model::Model;
use super::super::scene::{Call, Quality, Stage};
use super::super::texts::Text;
use super::super::width::{cut, fit, width};
use super::{clock, meter, nothing};
use crate::terminal::keys::Pane;

/// Columns of a meter.
const METER: usize = 8;
/// Packets lost in percent from which it is heard.
const LOSS: f32 = 3.0;
/// The opinion score below which people complain.
const MOS: f32 = 3.6;

/// Rows that the pane would like to have, with its border.
pub(super) fn height(model: &Model, columns: u16) -> u16 {
    let columns = usize::from(columns.saturating_sub(4));
    let lines: usize = model
        .calls
        .iter()
        .map(|c| lines(model, c, columns).len())
        .sum();
    u16::try_from(lines.max(3))
        .unwrap_or(u16::MAX)
        .saturating_add(2)
}

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    if model.calls.is_empty() {
        nothing(frame, area, model.text(Text::NoCalls));
        return;
    }
    let columns = usize::from(area.width);
    let height = usize::from(area.height);
    // The chosen call is told in full, the others as far as there is room.
    let full: usize = model
        .calls
        .iter()
        .map(|c| lines(model, c, columns).len())
        .sum();
    let brief = full > height;
    let mut all = Vec::new();
    let (mut first, mut last) = (0, 0);
    for call in &model.calls {
        let mut of_call = lines(model, call, columns);
        let is_chosen = Some(call.id) == model.call;
        if brief && !is_chosen {
            of_call.truncate(1);
        }
        if is_chosen {
            first = all.len();
            last = all.len() + of_call.len();
        }
        all.extend(of_call);
    }
    let skip = last.saturating_sub(height).min(first);
    let shown: Vec<Line<'_>> = all.into_iter().skip(skip).take(height).collect();
    frame.render_widget(Paragraph::new(shown), area);
}

/// All that is told of a call.
fn lines(model: &Model, call: &Call, columns: usize) -> Vec<Line<'static>> {
    let mut lines = vec![title(model, call, columns)];
    let signs = SIGNS;
    let between = format!(" {} ", signs.between);
    let mut how: Vec<&str> = Vec::new();
    how.extend(call.codec.as_deref());
    if call.stage == Stage::Established {
        how.push(
            call.security
                .as_deref()
                .unwrap_or(model.text(Text::NotEncrypted)),
        );
    }
    if call.name.as_ref().is_some_and(|n| *n != call.peer) {
        how.push(&call.peer);
    }
    // What matters least is told where there is room.
    let before: usize = how.iter().map(|part| width(part) + width(&between)).sum();
    let transport = call.transport.as_deref();
    how.extend(transport.filter(|t| 4 + before + width(t) <= columns));
    if !how.is_empty() {
        let text = cut(&format!("    {}", how.join(&between)), columns);
        lines.push(Line::styled(text, faint()));
    }
    if let Some(levels) = call.levels {
        let text = format!(
            "    {} {}  {} {}",
            model.text(Text::LevelsHeard),
            meter(levels.heard, METER),
            model.text(Text::LevelsSaid),
            meter(levels.said, METER),
        );
        lines.push(Line::raw(cut(&text, columns)));
    }
    if let Some(quality) = call.quality {
        lines.push(heard(model, quality, columns));
    }
    if !call.keys_heard.is_empty() {
        let text = model.text_with(Text::DtmfHeard, &[&call.keys_heard]);
        lines.push(Line::raw(cut(&format!("    {text}"), columns)));
    }
    if let Some(trouble) = &call.trouble {
        let text = cut(
            &format!("{} {trouble}", signs.wrong),
            columns.saturating_sub(4),
        );
        lines.push(Line::from(vec![
            Span::raw("    "),
            Span::styled(text, model.look.bad()),
        ]));
    }
    lines
}

fn title(model: &Model, call: &Call, columns: usize) -> Line<'static> {
    let signs = SIGNS;
    let is_chosen = Some(call.id) == model.call;
    let (state, tint) = state(model, call);
    let mut words = vec![state];
    for (is, text) in [
        (call.is_held_there, Text::HeldThere),
        (
            call.is_muted && call.stage == Stage::Established,
            Text::Muted,
        ),
        (call.is_recorded, Text::Recording),
        (call.is_joined, Text::Joined),
    ] {
        if is {
            words.push(model.text(text).to_owned());
        }
    }
    let time = clock(model.now.saturating_sub(call.since));
    let mut right = format!("{}  {time}", words.join(&format!(" {} ", signs.between)));
    right = cut(&right, columns.saturating_sub(10));
    let direction = if call.is_incoming {
        signs.left
    } else {
        signs.right
    };
    let mark = if is_chosen { signs.chosen } else { " " };
    let room = columns.saturating_sub(width(&right) + 5);
    let who = fit(call.title(), room);
    let style = if is_chosen && model.pane == Pane::Calls {
        chosen(true)
    } else if is_chosen {
        strong()
    } else {
        Style::new()
    };
    Line::from(vec![
        Span::styled(mark, strong()),
        Span::raw(" "),
        Span::styled(direction, tint),
        Span::raw(" "),
        Span::styled(who, style),
        Span::raw(" "),
        Span::styled(right, strong()),
    ])
}

/// Where the call stands, in words.
pub(super) fn state(model: &Model, call: &Call) -> (String, Style) {
    let look = model.look;
    let (text, style) = match call.stage {
        Stage::Calling => (Text::Calling, look.notable()),
        Stage::Ringing => (Text::RingingThere, look.notable()),
        Stage::Incoming => (Text::RingingHere, look.notable()),
        Stage::Established if call.is_held => (Text::OnHold, look.notable()),
        Stage::Established => (Text::Talking, look.good()),
    };
    (model.text(text).to_owned(), style)
}

fn heard(model: &Model, quality: Quality, columns: usize) -> Line<'static> {
    let bad = quality.loss >= LOSS || quality.mos.is_some_and(|mos| mos < MOS);
    let mut parts = vec![
        model.text_with(Text::Loss, &[&format!("{:.1}", quality.loss)]),
        model.text_with(Text::Jitter, &[&quality.jitter.as_millis().to_string()]),
    ];
    if let Some(time) = quality.round_trip {
        parts.push(model.text_with(Text::RoundTrip, &[&time.as_millis().to_string()]));
    }
    if let Some(mos) = quality.mos {
        parts.push(model.text_with(Text::Mos, &[&format!("{mos:.1}")]));
    }
    let text = cut(&parts.join("  "), columns.saturating_sub(4));
    let style = if bad { model.look.bad() } else { Style::new() };
    Line::from(vec![Span::raw("    "), Span::styled(text, style)])
}
