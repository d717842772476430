//! Calls with settings from a server: the document is fetched, the gateway rung, and the program closes by itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{PASSWORD, Running, World, sori};

const TOKEN: &str = "t0ken-5521";

/// An HTTP server on this machine with a document, or several in turn.
struct Pages {
    address: std::net::SocketAddr,
    requests: Receiver<String>,
}

impl Pages {
    fn start(status: &str, body: &str) -> Pages {
        Pages::answering(vec![answer(status, body)])
    }

    /// These answers in turn, the last again and again.
    fn answering(answers: Vec<String>) -> Pages {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, requests) = channel();
        std::thread::spawn(move || {
            let again = answers
                .iter()
                .chain(std::iter::repeat(answers.last().unwrap()));
            for (stream, answer) in listener.incoming().zip(again) {
                let mut stream = stream.unwrap();
                let mut head = String::new();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                while lines.read_line(&mut head).is_ok_and(|n| n > 2) {}
                let _ = tell.send(head);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Pages { address, requests }
    }

    fn url(&self) -> String {
        format!("http://{}/phone.xml?token={TOKEN}", self.address)
    }
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The document of a user of the world.
fn document(world: &World, more: &str) -> String {
    format!(
        "<sori version=\"1\">\n<account><user>alice</user><domain>sori.test</domain>\
         <password>{PASSWORD}</password><proxy>udp:{}</proxy></account>\n{more}\n</sori>\n",
        world.address
    )
}

/// `sori call` with a data directory of its own.
fn call(dir: &Path, url: &str, args: &[&str]) -> Command {
    let mut command = sori(&["call", "--json", "--provision", url]);
    command.args(args).env("SORI_DATA", dir);
    command
}

fn names(lines: &[String]) -> Vec<String> {
    let name = |line: &String| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["event"].as_str().unwrap().to_owned()
    };
    lines.iter().map(name).collect()
}

#[test]
fn a_click_registers_rings_the_gateway_and_closes_by_itself() {
    let world = World::new("click");
    let pages = Pages::start("200 OK", &document(&world, "<gateway>echo</gateway>"));
    let dir = world.path("visitor");
    let mut click = Running::start(call(&dir, &pages.url(), &["--duration", "1"]));
    let provisioned = click.wait_event("provisioned");
    assert_eq!(provisioned["origin"], "server");
    assert_eq!(provisioned["warnings"], Value::Array(Vec::new()));
    assert_eq!(click.wait_event("registered")["account"], "alice@sori.test");
    assert_eq!(click.wait_event("calling")["target"], "sip:echo@sori.test");
    click.wait_event("established");
    click.wait_event("ended");
    let end = Instant::now();
    assert_eq!(click.wait_event("closing")["after_s"].as_f64(), Some(3.0));
    let (code, lines, errors) = click.end();
    let stayed = end.elapsed();
    assert_eq!(code, 0, "{errors}");
    assert!(
        stayed >= Duration::from_millis(2900) && stayed < Duration::from_secs(6),
        "{stayed:?}"
    );
    assert_eq!(
        names(&lines).last().map(String::as_str),
        Some("unregistered")
    );
    // Neither password nor token is told to anybody.
    let all = lines.join("\n") + &errors;
    assert!(!all.contains(PASSWORD) && !all.contains(TOKEN), "{all}");
    assert!(pages.requests.recv().unwrap().contains(TOKEN));
}

#[test]
fn the_command_line_goes_before_the_document() {
    let world = World::new("before");
    let text = document(
        &world,
        "<gateway>nobody</gateway><auto-close>0</auto-close><codecs>pcmu</codecs>",
    );
    let text = text.replace("</proxy>", "</proxy><register>no</register>");
    let pages = Pages::start("200 OK", &text);
    let dir = world.path("visitor");
    let args = [
        "echo",
        "--duration",
        "0.5",
        "--codec",
        "pcma",
        "--auto-close",
        "0.2",
    ];
    let mut click = Running::start(call(&dir, &pages.url(), &args));
    assert_eq!(click.wait_event("established")["codec"], "PCMA");
    assert_eq!(click.wait_event("closing")["after_s"].as_f64(), Some(0.2));
    let (code, lines, errors) = click.end();
    assert_eq!(code, 0, "{errors}");
    let names = names(&lines);
    assert!(!names.iter().any(|n| n == "registered"), "{names:?}");
    // What the document says otherwise: nobody is there, and nothing is waited for.
    let (code, lines, errors) = Running::start(call(&dir, &pages.url(), &[])).end();
    assert_eq!(code, 3, "{errors}");
    assert!(errors.contains("sip:nobody@sori.test"), "{errors}");
    assert!(
        !lines.iter().any(|line| line.contains("\"closing\"")),
        "{lines:?}"
    );
    // Another account than the document's has no password there.
    let (code, _, errors) =
        Running::start(call(&dir, &pages.url(), &["--account", "bob@sori.test"])).end();
    assert_eq!(
        code, 4,
        "the domain sori.test has no server but the document's: {errors}"
    );
}

#[test]
fn keys_travel_as_the_document_or_the_command_line_says() {
    let world = World::new("keys");
    let mut bob = Running::start(world.phone("bob", "udp", &["answer"]));
    bob.wait_event("registered");
    let text = document(&world, "<dtmf>info</dtmf><auto-close>0</auto-close>");
    let pages = Pages::start("200 OK", &text);
    let dir = world.path("visitor");
    for (args, by) in [(&[][..], "info"), (&["--dtmf-by", "rfc4733"], "rfc4733")] {
        let mut call = call(&dir, &pages.url(), &["bob", "--dtmf", "4#"]);
        call.args(["--duration", "2"]).args(args);
        let mut click = Running::start(call);
        let warnings = &click.wait_event("provisioned")["warnings"];
        assert_eq!(*warnings, Value::Array(Vec::new()));
        for digit in ["4", "#"] {
            let heard = bob.wait_event("dtmf");
            assert_eq!((&heard["digit"], &heard["by"]), (&digit.into(), &by.into()));
        }
        let (code, _, errors) = click.end();
        assert_eq!(code, 0, "{errors}");
    }
}

#[test]
fn a_server_that_is_down_leaves_the_settings_of_yesterday() {
    let world = World::new("yesterday");
    let text = document(&world, "<gateway>echo</gateway><auto-close>0</auto-close>");
    let pages = Pages::answering(vec![answer("200 OK", &text), answer("503 Later", "")]);
    let dir = world.path("visitor");
    let short = ["--duration", "0.2"];
    assert_eq!(Running::start(call(&dir, &pages.url(), &short)).end().0, 0);
    let mut click = Running::start(call(&dir, &pages.url(), &short));
    let provisioned = click.wait_event("provisioned");
    assert_eq!(provisioned["origin"], "cache");
    let reason = provisioned["reason"].as_str().unwrap();
    assert!(
        reason.contains("503") && !reason.contains(TOKEN),
        "{reason}"
    );
    assert_eq!(click.end().0, 0);
    // A person is told the day.
    let mut command = sori(&["call", "--provision", &pages.url(), "--duration", "0.2"]);
    let output = command.env("SORI_DATA", &dir).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let day = provisioned["date"]
        .as_str()
        .unwrap()
        .split('T')
        .next()
        .unwrap();
    assert!(
        errors.contains(&format!("using settings of {day}")),
        "{errors}"
    );
    // Another machine has nothing kept.
    let (code, _, errors) = Running::start(call(&world.path("other"), &pages.url(), &short)).end();
    assert_eq!(code, 8, "{errors}");
    assert!(
        errors.contains("503") && !errors.contains(TOKEN),
        "{errors}"
    );
}

#[test]
fn documents_that_are_wrong_end_with_8_and_say_where() {
    let dir = std::env::temp_dir().join(format!("sori-provisioned-{}", std::process::id()));
    let account =
        "<account><user>a</user><domain>127.0.0.1</domain><password>s3cret</password></account>";
    for (status, body, args, code, says) in [
        (
            "200 OK",
            "<sori version='1'>\n<ice>cold</ice>\n<dtmf>loud</dtmf></sori>",
            &[][..],
            8,
            "the document is wrong in 2 places\n  line 2: <ice>cold</ice>: it has to be yes or no\n  line 3: ",
        ),
        (
            "404 Not Found",
            "",
            &[],
            8,
            "the server answered 404 (not found)",
        ),
        ("200 OK", "<sori version='1'/>", &[], 8, "names no account"),
        (
            "200 OK",
            &format!("<sori version='1'>{account}</sori>"),
            &[],
            8,
            "names no gateway",
        ),
        (
            "200 OK",
            "<sori version='1'/>",
            &["mailto:x", "--account", "a@b"],
            2,
            "TARGET",
        ),
    ] {
        let pages = Pages::start(status, body);
        let (found, lines, errors) = Running::start(call(&dir, &pages.url(), args)).end();
        assert_eq!(found, code, "{body}: {errors}");
        assert!(errors.contains(says), "{body}: {errors}");
        assert!(
            !errors.contains(TOKEN) && !errors.contains("s3cret"),
            "{errors}"
        );
        let error: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        assert_eq!(error["exit_code"], code);
    }
    for bad in ["phone.xml", "ftp://h/x", "https://me:s3cret@h/x"] {
        let (code, _, errors) = Running::start(call(&dir, bad, &[])).end();
        assert_eq!(code, 2, "{errors}");
        assert!(
            errors.contains("--provision") && !errors.contains("s3cret"),
            "{errors}"
        );
    }
    let _ = std::fs::remove_dir_all(&dir);
}
