//! Which key does what: one table, from which come the keys themselves, the lines of hints, the help and the documentation.

use super::texts::{Language, Text};

/// A key as it is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Press {
    /// A character, as the keyboard and its input method compose it.
    Char(char),
    /// Ctrl and a letter.
    Ctrl(char),
    /// A function key.
    F(u8),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tabulator.
    Tab,
    /// Shift and tabulator.
    BackTab,
    /// Takes the character before the cursor.
    Backspace,
    /// Takes the character behind the cursor.
    Delete,
    /// Arrow.
    Up,
    /// Arrow.
    Down,
    /// Arrow.
    Left,
    /// Arrow.
    Right,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
}

/// What a binding is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chord {
    /// One key.
    One(Press),
    /// Any telephone key: digits, `*`, `#`, and `+`.
    Digits,
    /// Any character.
    Typed,
}

/// Where a binding holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Whatever is shown.
    Always,
    /// In every pane.
    Panes,
    /// While somebody rings, in every pane.
    Ringing,
    /// The pane of calls.
    Calls,
    /// The pane of contacts.
    Contacts,
    /// The pane of past calls.
    History,
    /// The pane of accounts.
    Accounts,
    /// The pane of text messages.
    Messages,
    /// The pane of SIP messages.
    Log,
    /// The pane of settings.
    Settings,
    /// Any line that is typed.
    Line,
    /// The line that asks for an address.
    Dial,
    /// The line that searches.
    Search,
    /// The line of a text message.
    Compose,
    /// The keys that the other side hears.
    Keypad,
    /// A list to choose from.
    Choose,
    /// A question.
    Confirm,
    /// Something to read: help, a message, details.
    Read,
}

/// A part of the screen that has the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pane {
    /// Calls that are going on.
    #[default]
    Calls,
    /// The book.
    Contacts,
    /// Calls that are over.
    History,
    /// Text messages.
    Messages,
    /// SIP messages.
    Log,
    /// Devices and services.
    Settings,
    /// Accounts and their registrations.
    Accounts,
}

impl Pane {
    /// All of them, in the order of Tab.
    pub const ALL: [Pane; 7] = [
        Pane::Calls,
        Pane::Contacts,
        Pane::History,
        Pane::Messages,
        Pane::Log,
        Pane::Settings,
        Pane::Accounts,
    ];

    /// Where its own keys hold.
    pub const fn scope(self) -> Scope {
        match self {
            Pane::Calls => Scope::Calls,
            Pane::Contacts => Scope::Contacts,
            Pane::History => Scope::History,
            Pane::Messages => Scope::Messages,
            Pane::Log => Scope::Log,
            Pane::Settings => Scope::Settings,
            Pane::Accounts => Scope::Accounts,
        }
    }

    /// Its name.
    pub fn title(self) -> Text {
        self.scope().title()
    }
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the texts of the table say what each does")]
pub enum Action {
    Quit,
    Redraw,
    Suspend,
    Help,
    Show(Pane),
    NextPane,
    PreviousPane,
    Zoom,
    Back,
    Digit,
    Dial,
    Search,
    DoNotDisturb,
    Answer,
    Refuse,
    Deflect,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Left,
    Right,
    Open,
    Hold,
    HangUp,
    Mute,
    Record,
    Transfer,
    Attended,
    Conference,
    Keypad,
    Details,
    Text,
    Create,
    Edit,
    Remove,
    Missed,
    Register,
    Unregister,
    Default,
    Follow,
    Clear,
    TestTone,
    Type,
    Backspace,
    Delete,
    DeleteWord,
    ClearLine,
    LineLeft,
    LineRight,
    LineStart,
    LineEnd,
    Complete,
    Yes,
    No,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Where it holds.
    pub scope: Scope,
    /// The keys, the one to show first.
    pub chords: &'static [Chord],
    /// What they do.
    pub action: Action,
    /// What they do, for a person.
    pub text: Text,
    /// A short word for the line of hints; none for what everybody knows.
    pub hint: Option<Text>,
}

const fn c(letter: char) -> Chord {
    Chord::One(Press::Char(letter))
}

const fn k(press: Press) -> Chord {
    Chord::One(press)
}

const fn b(scope: Scope, chords: &'static [Chord], action: Action, text: Text) -> Binding {
    Binding {
        scope,
        chords,
        action,
        text,
        hint: None,
    }
}

const fn h(
    scope: Scope,
    chords: &'static [Chord],
    action: Action,
    text: Text,
    hint: Text,
) -> Binding {
    Binding {
        scope,
        chords,
        action,
        text,
        hint: Some(hint),
    }
}

use Action as A;
use Press as P;
use Scope as S;
use Text as T;

/// Every key there is.
#[rustfmt::skip] // one row a line: it is a table
pub const BINDINGS: &[Binding] = &[
    // Whatever is shown.
    b(S::Always, &[k(P::F(1))], A::Help, T::KeyHelp),
    b(S::Always, &[k(P::F(8))], A::Answer, T::KeyAnswer),
    b(S::Always, &[k(P::F(9))], A::Refuse, T::KeyRefuse),
    b(S::Always, &[k(P::Ctrl('c'))], A::Quit, T::KeyQuit),
    b(S::Always, &[k(P::Ctrl('z'))], A::Suspend, T::KeySuspend),
    b(S::Always, &[k(P::Ctrl('l'))], A::Redraw, T::KeyRedraw),
    // Somebody rings.
    h(S::Ringing, &[c('a')], A::Answer, T::KeyAnswer, T::Answer),
    h(S::Ringing, &[c('n')], A::Refuse, T::KeyRefuse, T::Refuse),
    h(S::Ringing, &[c('v')], A::Deflect, T::KeyDeflect, T::Deflect),
    // Every pane.
    b(S::Panes, &[Chord::Digits], A::Digit, T::KeyDigits),
    h(S::Panes, &[c('d')], A::Dial, T::KeyDial, T::HintDial),
    b(S::Panes, &[c('/')], A::Search, T::KeySearch),
    b(S::Panes, &[k(P::Tab)], A::NextPane, T::KeyNextPane),
    b(S::Panes, &[k(P::BackTab)], A::PreviousPane, T::KeyPreviousPane),
    b(S::Panes, &[k(P::F(2))], A::Show(Pane::Calls), T::Calls),
    b(S::Panes, &[k(P::F(3))], A::Show(Pane::Contacts), T::Contacts),
    b(S::Panes, &[k(P::F(4))], A::Show(Pane::History), T::History),
    b(S::Panes, &[k(P::F(5))], A::Show(Pane::Messages), T::Messages),
    b(S::Panes, &[k(P::F(6))], A::Show(Pane::Log), T::Log),
    b(S::Panes, &[k(P::F(7))], A::Show(Pane::Settings), T::Settings),
    b(S::Panes, &[k(P::F(10)), c('A')], A::Show(Pane::Accounts), T::Accounts),
    b(S::Panes, &[k(P::Up), c('k')], A::Up, T::KeyUp),
    b(S::Panes, &[k(P::Down), c('j')], A::Down, T::KeyDown),
    b(S::Panes, &[k(P::PageUp)], A::PageUp, T::KeyPageUp),
    b(S::Panes, &[k(P::PageDown)], A::PageDown, T::KeyPageDown),
    b(S::Panes, &[k(P::Home), c('g')], A::First, T::KeyFirst),
    b(S::Panes, &[k(P::End), c('G')], A::Last, T::KeyLast),
    b(S::Panes, &[k(P::Left), c('h')], A::Left, T::KeyLeft),
    b(S::Panes, &[k(P::Right), c('l')], A::Right, T::KeyRight),
    b(S::Panes, &[c('z')], A::Zoom, T::KeyZoom),
    b(S::Panes, &[c('D')], A::DoNotDisturb, T::KeyDoNotDisturb),
    h(S::Panes, &[c('?')], A::Help, T::KeyHelp, T::HintHelp),
    b(S::Panes, &[k(P::Esc)], A::Back, T::KeyBack),
    b(S::Panes, &[c('q')], A::Quit, T::KeyQuit),
    // Calls.
    h(S::Calls, &[k(P::Enter)], A::Open, T::KeyTalk, T::HintTalk),
    h(S::Calls, &[c(' ')], A::Hold, T::KeyHold, T::HintHold),
    h(S::Calls, &[c('x'), k(P::Delete)], A::HangUp, T::KeyHangUp, T::HintHangUp),
    h(S::Calls, &[c('m')], A::Mute, T::KeyMute, T::HintMute),
    h(S::Calls, &[c('p')], A::Keypad, T::KeyKeypad, T::HintKeypad),
    h(S::Calls, &[c('t')], A::Transfer, T::KeyTransfer, T::HintTransfer),
    h(S::Calls, &[c('w')], A::Attended, T::KeyAttended, T::HintAttended),
    h(S::Calls, &[c('c')], A::Conference, T::KeyConference, T::HintConference),
    h(S::Calls, &[c('r')], A::Record, T::KeyRecord, T::HintRecord),
    h(S::Calls, &[c('s')], A::Text, T::KeyWriteTo, T::HintMessage),
    h(S::Calls, &[c('i')], A::Details, T::KeyDetails, T::HintDetails),
    // Contacts.
    h(S::Contacts, &[k(P::Enter)], A::Open, T::KeyCall, T::HintCall),
    h(S::Contacts, &[c('s')], A::Text, T::KeyWriteTo, T::HintMessage),
    h(S::Contacts, &[c('c')], A::Create, T::KeyCreate, T::HintCreate),
    h(S::Contacts, &[c('e')], A::Edit, T::KeyEdit, T::HintEdit),
    h(S::Contacts, &[c('x'), k(P::Delete)], A::Remove, T::KeyRemoveContact, T::HintRemove),
    // History.
    h(S::History, &[k(P::Enter)], A::Open, T::KeyCallBack, T::HintCall),
    h(S::History, &[c('s')], A::Text, T::KeyWriteTo, T::HintMessage),
    h(S::History, &[c('f')], A::Missed, T::KeyMissed, T::HintMissed),
    h(S::History, &[c('c')], A::Create, T::KeyKeep, T::HintCreate),
    h(S::History, &[c('x'), k(P::Delete)], A::Remove, T::KeyForget, T::HintRemove),
    // Accounts.
    h(S::Accounts, &[c('r')], A::Register, T::KeyRegister, T::HintRegister),
    h(S::Accounts, &[c('u')], A::Unregister, T::KeyUnregister, T::HintUnregister),
    h(S::Accounts, &[k(P::Enter)], A::Default, T::KeyDefault, T::HintDefault),
    // Messages.
    h(S::Messages, &[k(P::Enter)], A::Open, T::KeyWrite, T::HintWrite),
    h(S::Messages, &[c('s')], A::Text, T::KeyTextTo, T::HintTextTo),
    // Log.
    h(S::Log, &[k(P::Enter)], A::Open, T::KeyOpenMessage, T::HintOpen),
    h(S::Log, &[c('f')], A::Follow, T::KeyFollow, T::HintFollow),
    h(S::Log, &[c('x'), k(P::Delete)], A::Clear, T::KeyClearLog, T::HintClear),
    // Settings.
    h(S::Settings, &[k(P::Enter)], A::Open, T::KeyChange, T::HintChange),
    h(S::Settings, &[c('t')], A::TestTone, T::KeyTestTone, T::HintTestTone),
    // Lines that are typed.
    b(S::Line, &[Chord::Typed], A::Type, T::KeyType),
    b(S::Line, &[k(P::Backspace)], A::Backspace, T::KeyBackspace),
    b(S::Line, &[k(P::Delete)], A::Delete, T::KeyDelete),
    b(S::Line, &[k(P::Ctrl('w'))], A::DeleteWord, T::KeyDeleteWord),
    b(S::Line, &[k(P::Ctrl('u'))], A::ClearLine, T::KeyClearLine),
    b(S::Line, &[k(P::Left)], A::LineLeft, T::KeyLineLeft),
    b(S::Line, &[k(P::Right)], A::LineRight, T::KeyLineRight),
    b(S::Line, &[k(P::Home), k(P::Ctrl('a'))], A::LineStart, T::KeyLineStart),
    b(S::Line, &[k(P::End), k(P::Ctrl('e'))], A::LineEnd, T::KeyLineEnd),
    h(S::Line, &[k(P::Esc)], A::Back, T::KeyBack, T::HintBack),
    h(S::Dial, &[k(P::Enter)], A::Open, T::KeyDialNow, T::HintGo),
    h(S::Dial, &[k(P::Up)], A::Up, T::KeyUp, T::HintChoose),
    b(S::Dial, &[k(P::Down)], A::Down, T::KeyDown),
    h(S::Dial, &[k(P::Tab)], A::Complete, T::KeyComplete, T::HintComplete),
    h(S::Search, &[k(P::Enter)], A::Open, T::KeySearchNow, T::HintGo),
    b(S::Search, &[k(P::Up)], A::Up, T::KeyUp),
    b(S::Search, &[k(P::Down)], A::Down, T::KeyDown),
    h(S::Compose, &[k(P::Enter)], A::Open, T::KeySend, T::HintSend),
    b(S::Compose, &[k(P::Up), k(P::PageUp)], A::PageUp, T::KeyPageUp),
    b(S::Compose, &[k(P::Down), k(P::PageDown)], A::PageDown, T::KeyPageDown),
    // The rest.
    h(S::Keypad, &[Chord::Digits], A::Digit, T::KeyPress, T::HintPress),
    h(S::Keypad, &[k(P::Esc), k(P::Enter)], A::Back, T::KeyBack, T::HintBack),
    h(S::Choose, &[k(P::Enter)], A::Open, T::KeyChoose, T::HintGo),
    b(S::Choose, &[k(P::Up), c('k')], A::Up, T::KeyUp),
    b(S::Choose, &[k(P::Down), c('j')], A::Down, T::KeyDown),
    h(S::Choose, &[k(P::Esc), c('q')], A::Back, T::KeyBack, T::HintBack),
    h(S::Confirm, &[k(P::Enter), c('y')], A::Yes, T::KeyYes, T::Yes),
    h(S::Confirm, &[k(P::Esc), c('n')], A::No, T::KeyNo, T::No),
    h(S::Read, &[k(P::Up), c('k')], A::Up, T::KeyUp, T::HintScroll),
    b(S::Read, &[k(P::Down), c('j')], A::Down, T::KeyDown),
    b(S::Read, &[k(P::PageUp), c('b')], A::PageUp, T::KeyPageUp),
    b(S::Read, &[k(P::PageDown), c(' ')], A::PageDown, T::KeyPageDown),
    b(S::Read, &[k(P::Home), c('g')], A::First, T::KeyFirst),
    b(S::Read, &[k(P::End), c('G')], A::Last, T::KeyLast),
    h(S::Read, &[k(P::Esc), c('q')], A::Back, T::KeyBack, T::HintBack),
];

impl Scope {
    /// What a person calls it.
    pub fn title(self) -> Text {
        match self {
            S::Always => T::ScopeAlways,
            S::Panes => T::ScopePanes,
            S::Ringing => T::ScopeRinging,
            S::Calls => T::Calls,
            S::Contacts => T::Contacts,
            S::History => T::History,
            S::Accounts => T::Accounts,
            S::Messages => T::Messages,
            S::Log => T::Log,
            S::Settings => T::Settings,
            S::Line => T::ScopeLine,
            S::Dial => T::ScopeDial,
            S::Search => T::ScopeSearch,
            S::Compose => T::ScopeCompose,
            S::Keypad => T::ScopeKeypad,
            S::Choose => T::ScopeChoose,
            S::Confirm => T::ScopeConfirm,
            S::Read => T::ScopeRead,
        }
    }

    /// All scopes, in the order of the help.
    pub const ALL: [Scope; 18] = [
        S::Panes,
        S::Ringing,
        S::Calls,
        S::Contacts,
        S::History,
        S::Accounts,
        S::Messages,
        S::Log,
        S::Settings,
        S::Dial,
        S::Search,
        S::Compose,
        S::Keypad,
        S::Choose,
        S::Confirm,
        S::Read,
        S::Line,
        S::Always,
    ];
}

impl Chord {
    /// Whether the key is one of these.
    pub fn fits(self, press: Press) -> bool {
        match self {
            Chord::One(one) => one == press,
            Chord::Digits => matches!(press, Press::Char('0'..='9' | '*' | '#' | '+')),
            Chord::Typed => matches!(press, Press::Char(_)),
        }
    }

    /// What is printed on the key.
    pub fn label(self, language: Language) -> String {
        let press = match self {
            Chord::Digits => return "0-9 * #".to_owned(),
            Chord::Typed => return T::AnyCharacter.in_language(language).to_owned(),
            Chord::One(press) => press,
        };
        match press {
            P::Char(' ') => T::SpaceKey.in_language(language).to_owned(),
            P::Char(c) => c.to_string(),
            P::Ctrl(c) => format!("Ctrl-{}", c.to_ascii_uppercase()),
            P::F(n) => format!("F{n}"),
            P::Up => "↑".to_owned(),
            P::Down => "↓".to_owned(),
            P::Left => "←".to_owned(),
            P::Right => "→".to_owned(),
            P::BackTab => "Shift-Tab".to_owned(),
            P::PageUp => "PgUp".to_owned(),
            P::PageDown => "PgDn".to_owned(),
            P::Delete => "Del".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

impl Binding {
    /// All its keys: `↑ k`.
    pub fn label(&self, language: Language) -> String {
        let labels: Vec<String> = self.chords.iter().map(|c| c.label(language)).collect();
        labels.join(" ")
    }
}

/// What a key does where these scopes hold; the first that knows it decides.
pub fn action(scopes: &[Scope], press: Press) -> Option<Action> {
    let in_scope = |scope: &Scope| {
        BINDINGS
            .iter()
            .find(|b| b.scope == *scope && b.chords.iter().any(|c| c.fits(press)))
    };
    scopes.iter().find_map(in_scope).map(|b| b.action)
}

/// The table as the documentation has it.
pub fn markdown(language: Language) -> String {
    let mut out = String::new();
    for scope in Scope::ALL {
        out.push_str(&format!(
            "\n**{}**\n\n",
            scope.title().in_language(language)
        ));
        out.push_str(&format!(
            "| {} | {} |\n|---|---|\n",
            T::ColumnKey.in_language(language),
            T::ColumnMeaning.in_language(language)
        ));
        for binding in BINDINGS.iter().filter(|b| b.scope == scope) {
            let keys: Vec<String> = binding
                .chords
                .iter()
                .map(|c| format!("`{}`", c.label(language)))
                .collect();
            out.push_str(&format!(
                "| {} | {} |\n",
                keys.join(" "),
                binding.text.in_language(language)
            ));
        }
    }
    out
}
