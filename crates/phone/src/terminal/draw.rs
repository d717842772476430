//! The picture of a model. Drawing changes nothing and asks nobody.

mod bars;
mod calls;
mod lists;
mod reading;
mod settings;

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph};

use super::keys::Pane;
use super::look::{SIGNS, border, chosen, faint, in_ascii, strong};
use super::model::{Model, Overlay};
use super::texts::Text;
use super::width::cut;

pub(super) use reading::farthest_scroll;

/// The smallest terminal that anything can be done in.
const SMALLEST: (u16, u16) = (40, 10);
/// From this size on several panes are shown.
const TILED: (u16, u16) = (72, 20);
/// Columns of contacts and accounts beside the rest.
const SIDE: u16 = 28;

/// Draws the model onto the frame.
pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    paint(frame, model);
    if model.look.ascii {
        for cell in &mut frame.buffer_mut().content {
            if !cell.symbol().is_ascii() {
                cell.set_symbol(in_ascii(cell.symbol()));
            }
        }
    }
}

fn paint(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let (columns, rows) = (SMALLEST.0.to_string(), SMALLEST.1.to_string());
        let text = model.text_with(Text::TooSmall, &[&columns, &rows]);
        let lines = super::width::wrapped(&text, usize::from(area.width.max(2)));
        let lines: Vec<Line<'_>> = lines.into_iter().map(Line::from).collect();
        frame.render_widget(Paragraph::new(lines), area);
        return;
    }
    let [top, body, line, hints, status] = sections(model, area);
    bars::banner(frame, model, top);
    match model.overlays.last() {
        Some(Overlay::Help { .. } | Overlay::Message { .. } | Overlay::Details { .. }) => {
            reading::draw(frame, model, body);
        }
        _ => panes(frame, model, body),
    }
    bars::line(frame, model, line);
    bars::hints(frame, model, hints);
    bars::status(frame, model, status);
    if matches!(
        model.overlays.last(),
        Some(Overlay::Prompt(_) | Overlay::Choose { .. })
    ) {
        bars::suggestions(frame, model, body);
    }
}

/// Banner, body, line, hints, status.
fn sections(model: &Model, area: Rect) -> [Rect; 5] {
    let banner = u16::from(model.asking().is_some());
    let line = bars::line_height(model, area.width);
    Layout::vertical([
        Constraint::Length(banner),
        Constraint::Min(3),
        Constraint::Length(line),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area)
}

/// Whether one pane has the whole body.
fn is_alone(model: &Model, columns: u16, rows: u16) -> bool {
    model.zoomed || columns < TILED.0 || rows + 3 < TILED.1
}

fn panes(frame: &mut Frame<'_>, model: &Model, body: Rect) {
    if is_alone(model, body.width, body.height) {
        pane(frame, model, model.pane, body);
        return;
    }
    let [side, main] =
        Layout::horizontal([Constraint::Length(SIDE), Constraint::Min(20)]).areas(body);
    let accounts = u16::try_from(model.accounts.len()).unwrap_or(u16::MAX);
    let accounts = if model.pane == Pane::Accounts {
        body.height / 2
    } else {
        (accounts.saturating_mul(2)).clamp(1, 6) + 2
    };
    let [contacts, accounts] =
        Layout::vertical([Constraint::Min(5), Constraint::Length(accounts)]).areas(side);
    let calls = calls::height(model, main.width).clamp(5, (body.height / 2).max(5));
    let [calls, lower] =
        Layout::vertical([Constraint::Length(calls), Constraint::Min(4)]).areas(main);
    pane(frame, model, Pane::Contacts, contacts);
    pane(frame, model, Pane::Accounts, accounts);
    pane(frame, model, Pane::Calls, calls);
    pane(frame, model, model.lower, lower);
}

fn pane(frame: &mut Frame<'_>, model: &Model, pane: Pane, area: Rect) {
    let focused = model.pane == pane;
    let title = title(model, pane, focused);
    let style = if focused { strong() } else { faint() };
    let block = Block::new()
        .borders(Borders::ALL)
        .border_set(border(focused))
        .border_style(style)
        .title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    // One column of air on each side.
    let inner = Rect {
        x: inner.x + u16::from(inner.width > 2),
        width: inner.width.saturating_sub(2),
        ..inner
    };
    match pane {
        Pane::Calls => calls::draw(frame, model, inner),
        Pane::Contacts => lists::contacts(frame, model, inner),
        Pane::History => lists::history(frame, model, inner),
        Pane::Accounts => lists::accounts(frame, model, inner),
        Pane::Messages => lists::messages(frame, model, inner),
        Pane::Log => lists::log(frame, model, inner),
        Pane::Settings => settings::draw(frame, model, inner),
    }
}

/// The name of a pane, and of those that share its place.
fn title(model: &Model, pane: Pane, focused: bool) -> Line<'static> {
    let lower = [Pane::History, Pane::Messages, Pane::Log, Pane::Settings];
    let name = |p: Pane| {
        let mut name = model.text(p.title()).to_owned();
        let count = match p {
            Pane::Calls => model.calls.len(),
            Pane::History => model.missed(),
            Pane::Messages => model.unread(),
            _ => 0,
        };
        if count > 0 {
            name.push_str(&format!(" {count}"));
        }
        name
    };
    if !lower.contains(&pane) {
        let mut text = name(pane);
        if let Some(filter) = filter(model, pane) {
            text.push_str(&format!(" {} {filter}", SIGNS.between));
        }
        return Line::from(Span::styled(format!(" {text} "), chosen_title(focused)));
    }
    let mut spans = Vec::new();
    for p in lower {
        let style = if p == pane {
            chosen_title(focused)
        } else {
            faint()
        };
        spans.push(Span::styled(format!(" {} ", name(p)), style));
    }
    if let Some(filter) = filter(model, pane) {
        spans.push(Span::raw(format!("{} {filter} ", SIGNS.between)));
    }
    Line::from(spans)
}

fn chosen_title(focused: bool) -> Style {
    if focused {
        chosen(true).patch(strong())
    } else {
        strong()
    }
}

/// What narrows the list of a pane.
fn filter(model: &Model, pane: Pane) -> Option<String> {
    let typed = match pane {
        Pane::Contacts => model.contact_filter.text(),
        Pane::History => model.history_filter.text(),
        Pane::Log => model.log_filter.text(),
        _ => "",
    };
    let mut parts = Vec::new();
    if !typed.is_empty() {
        parts.push(model.text_with(Text::Filter, &[&cut(typed, 16)]));
    }
    if pane == Pane::History && model.only_missed {
        parts.push(model.text(Text::MissedOnly).to_owned());
    }
    if pane == Pane::Log && model.paused {
        parts.push(model.text(Text::Paused).to_owned());
    }
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// Shows the part of `rows` that has the chosen one, each row one line.
fn rows(frame: &mut Frame<'_>, area: Rect, rows: Vec<Line<'static>>, at: usize) {
    let height = usize::from(area.height);
    let first = at.saturating_sub(height / 2);
    let first = first.min(rows.len().saturating_sub(height));
    let shown: Vec<Line<'_>> = rows.into_iter().skip(first).take(height).collect();
    frame.render_widget(Paragraph::new(shown), area);
}

/// Says that a list is empty, and what to do about it.
fn nothing(frame: &mut Frame<'_>, area: Rect, text: &str) {
    let lines = super::width::wrapped(text, usize::from(area.width));
    let lines = lines.into_iter().map(|l| Line::styled(l, faint()));
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}

/// A box over the body, above its lower edge.
fn popup(frame: &mut Frame<'_>, body: Rect, title: &str, rows: Vec<Line<'static>>) {
    let height = u16::try_from(rows.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2);
    let height = height.min(body.height);
    let area = Rect {
        y: body.y + body.height - height,
        height,
        ..body
    };
    frame.render_widget(Clear, area);
    let block = Block::new()
        .borders(Borders::ALL)
        .border_set(border(true))
        .border_style(strong())
        .title(Span::styled(
            format!(
                " {} ",
                cut(title, usize::from(area.width.saturating_sub(4)))
            ),
            strong(),
        ));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(rows), inner);
}

/// `1:02:03`, or `02:03` below an hour.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

/// The local time of day and the day, counted from 1970.
fn local(model: &Model, at: Duration) -> (u64, u64) {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    let seconds = seconds.saturating_add(i64::from(model.offset)).max(0);
    let seconds = u64::try_from(seconds).unwrap_or_default();
    (seconds % 86_400, seconds / 86_400)
}

/// `14:03` today, `11-25` on another day.
fn when(model: &Model, at: Duration) -> String {
    let (second, day) = local(model, at);
    if day == local(model, model.now).1 {
        return format!("{:02}:{:02}", second / 3600, second / 60 % 60);
    }
    let (_, month, date) = civil(day);
    format!("{month:02}-{date:02}")
}

/// Year, month and day of a day counted from 1970.
fn civil(day: u64) -> (u64, u64, u64) {
    // Years that begin in March make the leap day the last of the year; 719,468 days lie between 0000-03-01 and 1970.
    let day = day + 719_468;
    let era = day / 146_097;
    let day_of_era = day % 146_097;
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let date = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (year + era * 400 + carry, month, date)
}

/// A level from -60 dB to 0 dB as a bar of so many columns.
fn meter(level: f32, columns: usize) -> String {
    let share = ((level + 60.0) / 60.0).clamp(0.0, 1.0);
    let full = (share * columns as f32).round() as usize;
    let signs = SIGNS;
    let full = full.min(columns);
    signs.bar.repeat(full) + &signs.no_bar.repeat(columns - full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(20_783), (2026, 11, 26));
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
        assert_eq!(clock(Duration::from_secs(59)), "00:59");
    }

    #[test]
    fn meters_stay_in_their_columns() {
        assert_eq!(meter(-60.0, 4), "░░░░");
        assert_eq!(meter(0.0, 4), "████");
        for level in [f32::NAN, f32::NEG_INFINITY, 99.0, -30.0] {
            assert_eq!(meter(level, 6).chars().count(), 6);
        }
    }
}
