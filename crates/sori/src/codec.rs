//! The names of codecs on the command line.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process;

use phone::CodecKind;

/// Reads one name; `help` prints the list and ends the program, as `--help` does.
pub fn parse(name: &str) -> Result<CodecKind, String> {
    if name.eq_ignore_ascii_case("help") {
        // Whoever reads it may have heard enough.
        let _ = std::io::stdout().write_all(list().as_bytes());
        process::exit(0);
    }
    find(name)
}

/// The codec of that name, if this machine can run it.
fn find(name: &str) -> Result<CodecKind, String> {
    let Some(kind) = CodecKind::of_name(name) else {
        let names = CodecKind::ALL.map(CodecKind::name);
        return Err(format!("codecs are {}", names.join(", ")));
    };
    kind.available().map(|()| kind)
}

/// Every codec with what it is, and why it cannot be used where it cannot.
fn list() -> String {
    let mut text = "Codecs, best choice first:\n".to_owned();
    for kind in CodecKind::ALL {
        let rate = kind.sample_rate() / 1000;
        let state = match kind.available() {
            Ok(()) => String::new(),
            Err(reason) => format!("; not available: {reason}"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {:<8} {rate:>2} kHz, {}{state}",
            kind.name(),
            about(kind)
        );
    }
    text
}

fn about(kind: CodecKind) -> &'static str {
    match kind {
        CodecKind::Opus => "about 36 kbit/s, repeats what is lost",
        CodecKind::G722 => "64 kbit/s",
        CodecKind::Pcmu => "64 kbit/s, G.711 \u{b5}-law, everybody has it",
        CodecKind::Pcma => "64 kbit/s, G.711 A-law, everybody has it",
        CodecKind::SpeexWide => "28 kbit/s, Speex",
        CodecKind::Speex => "15 kbit/s",
        CodecKind::G729 => "8 kbit/s, G.729 with Annexes A and B",
        CodecKind::G723 => "6.3 kbit/s, G.723.1",
        CodecKind::Gsm => "13 kbit/s, full rate",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_reasons() {
        assert_eq!(find("PCMA"), Ok(CodecKind::Pcma));
        let wrong = find("mp3").unwrap_err();
        assert_eq!(
            wrong,
            "codecs are opus, g722, pcmu, pcma, speex16, speex, g729, g723, gsm"
        );
        let list = list();
        for kind in CodecKind::ALL {
            assert!(list.contains(&format!("  {:<8} ", kind.name())), "{list}");
            assert!(!about(kind).is_empty());
            if let Err(reason) = kind.available() {
                assert!(list.contains(&reason), "{list}");
                assert_eq!(find(kind.name()), Err(reason));
            }
        }
    }
}
