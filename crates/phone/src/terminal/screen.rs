//! The real terminal: taken over, drawn on, and given back as it was, however the program ends.

use std::io::{self, Stdout, Write as _, stdout};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{
    DisableBracketedPaste, EnableBracketedPaste, Event, KeyCode, KeyEvent, KeyEventKind,
    KeyModifiers,
};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use ratatui::layout::Rect;

use super::keys::Press;
use super::model::{Input, Model};

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// The hook for panics is set once.
static HOOK: Once = Once::new();

/// The terminal while it is ours. Dropping it gives it back.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When standard output or input is no terminal.
    pub fn open() -> io::Result<Screen> {
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                // The message would be lost on the other screen, and the shell left unusable.
                give_back();
                before(info);
            }));
        });
        take()?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout()));
        let terminal = terminal.inspect_err(|_| give_back())?;
        Ok(Screen { terminal })
    }

    /// Whether the terminal is still ours: a panic elsewhere gives it back.
    pub fn is_ours(&self) -> bool {
        TAKEN.load(Ordering::Relaxed)
    }

    /// Its columns and rows.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    /// Paints the model.
    pub fn draw(&mut self, model: &Model) -> io::Result<()> {
        self.terminal.draw(|frame| super::draw(frame, model))?;
        Ok(())
    }

    /// Paints everything anew with the next [`Screen::draw`].
    pub fn redraw(&mut self) -> io::Result<()> {
        // `clear` would ask the terminal for its cursor, and the answer would go to whoever reads the keys.
        let size = self.terminal.size()?;
        self.terminal
            .resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Sounds the bell.
    pub fn bell(&mut self) -> io::Result<()> {
        let mut out = stdout();
        out.write_all(b"\x07")?;
        out.flush()
    }

    /// Gives the terminal back while `stop` runs, and takes it over again.
    pub fn aside(&mut self, stop: impl FnOnce()) -> io::Result<()> {
        give_back();
        stop();
        take()?;
        self.redraw()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::Relaxed);
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste).inspect_err(|_| give_back())
}

/// Gives the terminal back if it is ours; for whoever ends the program at once.
pub fn give_back() {
    if TAKEN.swap(false, Ordering::Relaxed) {
        // Nothing can be done about a terminal that is gone.
        let _ = execute!(
            stdout(),
            DisableBracketedPaste,
            LeaveAlternateScreen,
            cursor::Show
        );
        let _ = disable_raw_mode();
    }
}

/// What the terminal tells, as the model understands it.
pub(super) fn inputs(event: Event) -> impl Iterator<Item = Input> {
    let [first, second] = match event {
        Event::Key(key) => presses(key).map(|press| press.map(Input::Press)),
        Event::Paste(text) => [Some(Input::Paste(text)), None],
        Event::Resize(columns, rows) => [Some(Input::Size { columns, rows }), None],
        _ => [None, None],
    };
    first.into_iter().chain(second)
}

/// Escape and a key that arrive together (fast fingers, a slow line) look like that key with Alt, which means
/// nothing here.
fn presses(key: KeyEvent) -> [Option<Press>; 2] {
    match press(key) {
        Some(press) if key.modifiers.contains(KeyModifiers::ALT) => [Some(Press::Esc), Some(press)],
        press => [press, None],
    }
}

fn press(key: KeyEvent) -> Option<Press> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char(c) if control => Press::Ctrl(c.to_ascii_lowercase()),
        KeyCode::Char(c) => Press::Char(c),
        KeyCode::F(n) => Press::F(n),
        KeyCode::Enter => Press::Enter,
        KeyCode::Esc => Press::Esc,
        KeyCode::Tab => Press::Tab,
        KeyCode::BackTab => Press::BackTab,
        KeyCode::Backspace => Press::Backspace,
        KeyCode::Delete => Press::Delete,
        KeyCode::Up => Press::Up,
        KeyCode::Down => Press::Down,
        KeyCode::Left => Press::Left,
        KeyCode::Right => Press::Right,
        KeyCode::Home => Press::Home,
        KeyCode::End => Press::End,
        KeyCode::PageUp => Press::PageUp,
        KeyCode::PageDown => Press::PageDown,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_terminals_send_them() {
        let press = |code, modifiers| press(KeyEvent::new(code, modifiers));
        let none = KeyModifiers::NONE;
        assert_eq!(press(KeyCode::Char('한'), none), Some(Press::Char('한')));
        assert_eq!(
            press(KeyCode::Char('C'), KeyModifiers::CONTROL),
            Some(Press::Ctrl('c'))
        );
        assert_eq!(
            press(KeyCode::Char('D'), KeyModifiers::SHIFT),
            Some(Press::Char('D'))
        );
        let together = KeyEvent::new(KeyCode::Char('x'), KeyModifiers::ALT);
        assert_eq!(
            presses(together),
            [Some(Press::Esc), Some(Press::Char('x'))]
        );
        let resized = inputs(Event::Resize(60, 16)).next();
        assert!(matches!(
            resized,
            Some(Input::Size {
                columns: 60,
                rows: 16
            })
        ));
    }
}
