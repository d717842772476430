//! The command line itself: help at every level, mistakes, exit codes that need no network.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use support::{PASSWORD, run, sori};

const COMMANDS: [&str; 9] = [
    "serve", "user", "admin", "phone", "call", "answer", "register", "options", "contacts",
];

/// The help of the telephone's commands as it was last looked at; SORI_BLESS=1 writes it anew.
#[test]
fn help_reads_as_it_was_written() {
    for command in ["phone", "call", "answer", "register", "options"] {
        let (code, text, errors) = run(&[command, "--help"]);
        assert_eq!((code, errors.as_str()), (0, ""), "{command}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/help/{command}.txt"));
        if std::env::var_os("SORI_BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let wanted = std::fs::read_to_string(&path).unwrap();
        assert!(
            text == wanted,
            "{command} --help differs from {}:\n{text}",
            path.display()
        );
    }
}

#[test]
fn help_is_there_at_every_level_and_fits_the_screen() {
    let mut pages: Vec<Vec<&str>> = vec![vec!["--help"], vec!["help"]];
    pages.extend(COMMANDS.map(|c| vec![c, "--help"]));
    pages.extend(COMMANDS.map(|c| vec![c, "-h"]));
    pages.extend(["add", "list", "remove", "passwd"].map(|c| vec!["user", c, "--help"]));
    pages.extend(["list", "passwd"].map(|c| vec!["admin", c, "--help"]));
    for page in pages {
        let (code, text, errors) = run(&page);
        assert_eq!((code, errors.as_str()), (0, ""), "{page:?}");
        assert!(text.contains("Usage: sori"), "{page:?}:\n{text}");
        let wide = text.lines().find(|line| line.chars().count() > 100);
        assert_eq!(wide, None, "{page:?}");
    }
    for command in COMMANDS {
        let (_, text, _) = run(&[command, "--help"]);
        assert!(text.contains("Examples:\n  "), "{command}");
    }
    let (code, text, _) = run(&["--version"]);
    assert_eq!(
        (code, text),
        (0, format!("sori {}\n", env!("CARGO_PKG_VERSION")))
    );
    assert!(run(&["--help"]).1.contains("Exit codes:"));
}

#[test]
fn mistakes_end_with_2_and_say_what_is_wrong() {
    let account = ["--account", "a@b"];
    let cases: [(&[&str], &str); 16] = [
        (&[], "Usage"),
        (&["nonsense"], "nonsense"),
        (&["call"], "TARGET"),
        (&["call", "bob"], "--account"),
        (&["call", "bob", "--account", "alice"], "alice@example.org"),
        (&["call", "sip:", account[0], account[1]], "sip:"),
        (
            &["call", "mailto:bob@b", account[0], account[1]],
            "only sip:",
        ),
        (
            &["call", "bob", account[0], account[1], "--proxy", "10.0.0.1"],
            "udp:HOST:PORT",
        ),
        (
            &["call", "bob", account[0], account[1], "--codec", "mp3"],
            "pcmu, pcma",
        ),
        (
            &["call", "bob", account[0], account[1], "--duration=-1"],
            "seconds",
        ),
        (
            &["call", "bob", account[0], account[1], "--dtmf", "12x"],
            "'X' is no telephone key",
        ),
        (
            &["call", "bob", account[0], account[1], "--dtmf-by", "tones"],
            "rfc4733 or info",
        ),
        (
            &[
                "call",
                "bob",
                account[0],
                account[1],
                "--dtmf",
                "1,2",
                "--dtmf-by",
                "info",
            ],
            "leave the commas out",
        ),
        (
            &[
                "answer", account[0], account[1], "--echo", "--play", "x.wav",
            ],
            "cannot be used with",
        ),
        (
            &["register", account[0], account[1], "--expires", "0"],
            "--expires",
        ),
        (&["options", "sip:"], "sip:"),
    ];
    for (args, says) in cases {
        let (code, out, errors) = run(args);
        assert_eq!(code, 2, "{args:?}: {errors}");
        assert!(errors.contains(says), "{args:?}: {errors}");
        assert_eq!(out, "", "{args:?}");
    }
}

#[test]
fn a_password_cannot_be_given_on_the_command_line() {
    for command in ["call", "answer", "register"] {
        let (_, text, _) = run(&[command, "--help"]);
        assert!(
            !text.contains("--password <") && !text.contains("--password="),
            "{text}"
        );
    }
    let (code, _, errors) = run(&[
        "register",
        "--account",
        "a@b",
        "--password-file",
        "/nonexistent/file",
    ]);
    assert_eq!(code, 2);
    assert!(errors.contains("/nonexistent/file"), "{errors}");
}

#[test]
fn files_that_cannot_be_used_end_with_6_before_anything_is_sent() {
    let missing = [
        "call",
        "bob",
        "--account",
        "a@sori.invalid",
        "--play",
        "/nonexistent/x.wav",
    ];
    let (code, _, errors) = run(&missing);
    assert_eq!(code, 6, "{errors}");
    assert!(
        errors.contains("/nonexistent/x.wav") && errors.contains("No such file"),
        "{errors}"
    );
    let (code, _, errors) = run(&[
        "call",
        "bob",
        "--account",
        "a@sori.invalid",
        "--record",
        "/nonexistent/y.wav",
    ]);
    assert_eq!(code, 6, "{errors}");
    let (code, _, errors) = run(&[
        "answer",
        "--account",
        "a@sori.invalid",
        "--play",
        "/nonexistent/x.wav",
    ]);
    assert_eq!(code, 6, "{errors}");
}

#[test]
fn a_file_that_is_played_is_not_overwritten() {
    let path = std::env::temp_dir().join(format!("sori-usage-{}.wav", std::process::id()));
    std::fs::write(&path, "precious").unwrap();
    let name = path.display().to_string();
    let (code, _, errors) = run(&[
        "call",
        "bob",
        "--account",
        "a@sori.invalid",
        "--play",
        &name,
        "--record",
        &name,
    ]);
    let kept = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((code, kept.as_str()), (2, "precious"), "{errors}");
}

#[test]
fn without_a_microphone_nobody_is_called() {
    let proxy = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let address = format!("udp:{}", proxy.local_addr().unwrap());
    let nowhere = "file:/nonexistent/x.wav";
    for (command, language, says) in [
        (
            &["call", "bob"][..],
            "C.UTF-8",
            "the microphone cannot be opened",
        ),
        (&["call", "bob"], "ko_KR.UTF-8", "마이크를 열 수 없습니다"),
        (&["answer"], "C.UTF-8", "the microphone cannot be opened"),
        (
            &["phone", "--check"],
            "C.UTF-8",
            "the microphone cannot be opened",
        ),
    ] {
        let mut process = sori(command);
        if command[0] != "phone" {
            process.args(["--account", "alice@sori.test", "--proxy", &address]);
        }
        process
            .args(["--json", "--microphone", nowhere])
            .env("LC_ALL", language)
            .env("SORI_PASSWORD", PASSWORD);
        let output = process.output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(7), "{command:?}: {errors}");
        assert!(
            errors.contains(says) && errors.contains("/nonexistent/x.wav"),
            "{errors}"
        );
        assert!(
            errors.contains("sori phone --devices"),
            "what to do: {errors}"
        );
        assert!(out.contains("\"code\":\"microphone_failed\""), "{out}");
    }
    assert!(proxy.recv_from(&mut [0; 2000]).is_err(), "nothing was sent");
}

#[test]
fn nobody_there_ends_with_4() {
    let port = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for transport in ["udp", "tcp"] {
        let proxy = format!("{transport}:127.0.0.1:{port}");
        for command in [&["call", "bob"][..], &["answer"], &["register"]] {
            let mut process = sori(command);
            process
                .args(["--json", "--account", "alice@sori.test", "--proxy", &proxy])
                .env("SORI_PASSWORD", PASSWORD);
            let output = process.output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert_eq!(
                output.status.code(),
                Some(4),
                "{command:?} {transport}: {text}"
            );
            assert!(text.contains(&proxy), "{text}");
            assert!(text.contains("check that the server runs"), "{text}");
        }
        let target = format!("sip:127.0.0.1:{port};transport={transport}");
        assert_eq!(run(&["options", &target]).0, 4, "{target}");
    }
}

#[test]
fn the_desktop_is_told_which_phone_a_link_starts() {
    let home = std::env::temp_dir().join(format!("sori-links-{}", std::process::id()));
    let tell = |arguments: &[&str]| {
        let mut process = sori(&["phone", "--json"]);
        process
            .args(arguments)
            .env("XDG_DATA_HOME", &home)
            .env("XDG_CONFIG_HOME", &home)
            .env("HOME", &home)
            // Nothing of this machine's desktop is asked.
            .env("PATH", "");
        let output = process.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let told = tell(&["--install-handler", "--account", "alice@example.org"]);
    assert!(told.contains("xdg-mime is not there"), "{told}");
    let file = home.join("applications/sori.desktop");
    let text = std::fs::read_to_string(&file).unwrap();
    let program = env!("CARGO_BIN_EXE_sori");
    let exec =
        format!("\nExec=\"{program}\" phone \"--json\" \"--account\" \"alice@example.org\" %u\n");
    assert!(text.contains(&exec), "{text}");
    tell(&["--remove-handler"]);
    assert!(!file.exists());
    std::fs::remove_dir_all(&home).unwrap();
    // A link has to know whose phone it is.
    assert_eq!(run(&["phone", "--install-handler"]).0, 2);
}

/// docs/phone.md has every command and every event that the help names.
#[test]
fn the_page_of_the_phone_names_every_command_and_event() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/phone.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, help, _) = run(&["phone", "--help"]);
    let (commands, events) = help.split_once("Exit codes:").unwrap();
    let (_, commands) = commands.split_once("Commands, one a line").unwrap();
    let (_, events) = events.split_once("Events of --json").unwrap();
    // A command's name stands at the beginning of a line, or after spaces in the middle of it.
    let commands = commands
        .lines()
        .skip(1)
        .flat_map(|line| line.trim().split("   "));
    let commands = commands.filter_map(|text| text.split_whitespace().next());
    let events = events
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()) && line.contains("   "))
        .flat_map(|line| line.split("   ").next().unwrap_or_default().split(", "));
    let names: Vec<&str> = commands.chain(events).collect();
    assert!(names.len() > 80, "{names:?}");
    for name in names {
        assert!(
            page.contains(&format!("`{name}`")) || page.contains(&format!("`{name} ")),
            "docs/phone.md does not name {name}"
        );
    }
}

/// docs/phone.md has every option, every field of an event and every cause that the help names.
#[test]
fn the_page_of_the_phone_names_every_option() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/phone.md");
    let page = std::fs::read_to_string(page).unwrap();
    for command in ["phone", "call", "answer", "register", "options"] {
        let (_, help, _) = run(&[command, "--help"]);
        let (_, options) = help.split_once("\nOptions:\n").unwrap();
        let (options, more) = options.split_once("\nExamples:\n").unwrap();
        let options = options.lines().map(str::trim_start);
        let options = options.filter(|line| line.starts_with('-'));
        let options = options.flat_map(|line| line.split([' ', ',']));
        let options: Vec<&str> = options.filter(|word| word.starts_with("--")).collect();
        assert!(options.len() >= 4, "{command}: {options:?}");
        for option in options.iter().filter(|option| **option != "--help") {
            assert!(
                page.contains(option),
                "docs/phone.md does not name {command} {option}"
            );
        }
        let (_, events) = more.split_once("Events of --json").unwrap();
        for word in events.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let is_name = word.contains('_') && word.starts_with(|c: char| c.is_ascii_lowercase());
            assert!(
                !is_name
                    || page.contains(&format!("`{word}`"))
                    || page.contains(&format!("`{word}?`")),
                "docs/phone.md does not name {word}"
            );
        }
    }
}

/// docs/phone.md has every event that the program can print.
#[test]
fn the_page_of_the_phone_names_every_event_of_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../../docs/phone.md")).unwrap();
    let (_, page) = page.split_once("\n## Events\n").unwrap();
    let text = sources(&root.join("src"));
    let names = ["named(\"", "of(\""]
        .iter()
        .flat_map(|made| text.split(made).skip(1));
    let names: BTreeSet<&str> = names.filter_map(|rest| rest.split('"').next()).collect();
    assert!(names.len() > 45 && names.contains("handler"), "{names:?}");
    // Threads have names too, with a hyphen.
    let is_event = |name: &str| name != "unknown" && !name.contains('-');
    for name in names.iter().filter(|name| is_event(name)) {
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/phone.md does not have the event {name}"
        );
    }
}

/// The text of every file of a folder.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &sources(&path);
        } else {
            text += &std::fs::read_to_string(&path).unwrap();
        }
    }
    text
}
