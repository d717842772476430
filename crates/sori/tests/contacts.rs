//! The address book from the command line.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::PathBuf;

use support::sori;

struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Desk {
        let dir = std::env::temp_dir().join(format!("sori-contacts-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Desk(dir)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Exit code, standard output and standard error of `sori contacts ARGS`.
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = sori(&["contacts"]);
        let output = command
            .args(args)
            .env("SORI_DATA", self.0.join("data"))
            .output()
            .unwrap();
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    fn shown(&self, args: &[&str]) -> String {
        let (code, out, errors) = self.run(args);
        assert_eq!(code, 0, "{args:?}: {errors}");
        out
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const CARDS: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:김철수\r\nTEL:+82-10-1234-5678\r\nCATEGORIES:sales\r\nEND:VCARD\r\n\
                     BEGIN:VCARD\r\nVERSION:2.1\r\nN:Old;Phone\r\nEND:VCARD\r\n";

#[test]
fn people_come_from_a_file_and_are_found() {
    let desk = Desk::new("found");
    assert_eq!(desk.shown(&["list"]), "");
    let cards = desk.file("people.vcf", CARDS);
    let (code, _, errors) = desk.run(&["import", &cards]);
    assert_eq!(code, 0, "{errors}");
    assert!(
        errors.contains("people.vcf: line 7: this vCard is of version 2.1"),
        "{errors}"
    );
    assert!(
        errors.contains("1 new, 0 changed, 1 not understood"),
        "{errors}"
    );
    assert!(desk.run(&["import", &cards]).2.contains("0 new, 1 changed"));
    desk.shown(&[
        "add",
        "Front desk",
        "4711",
        "sip:desk@example.org",
        "--favourite",
    ]);
    let kim = "김철수  +82-10-1234-5678  (sales)\n";
    assert_eq!(
        desk.shown(&["list"]),
        format!("* Front desk  4711, sip:desk@example.org\n{kim}")
    );
    for text in ["ㄱㅊ", "010-1234", "김"] {
        assert_eq!(desk.shown(&["search", text]), kim, "{text}");
    }
    assert_eq!(desk.shown(&["list", "--group", "sales"]), kim);
    let json: serde_json::Value =
        serde_json::from_str(&desk.shown(&["search", "front", "--json"])).unwrap();
    assert_eq!(json["addresses"][1], "sip:desk@example.org");
    assert_eq!(json["favourite"], true);
    desk.shown(&["remove", "01012345678"]);
    assert_eq!(desk.shown(&["search", "김"]), "");
}

#[test]
fn what_is_exported_is_imported_elsewhere() {
    let (here, there) = (Desk::new("here"), Desk::new("there"));
    here.shown(&[
        "add",
        "Bob, \"the\" builder",
        "sip:bob@example.org",
        "--group",
        "일",
    ]);
    let list = here.shown(&["list", "--json"]);
    for name in ["all.csv", "all.vcf"] {
        let path = here.0.join(name).display().to_string();
        here.shown(&["export", &path]);
        there.shown(&["import", &path]);
        assert_eq!(there.shown(&["list", "--json"]), list, "{name}");
    }
    let out = here.shown(&["export", "-", "--format", "vcard3"]);
    assert!(
        out.contains("VERSION:3.0\r\n") && out.contains("IMPP:sip:bob@example.org\r\n"),
        "{out}"
    );
}

#[test]
fn mistakes_end_with_2() {
    let desk = Desk::new("mistakes");
    let empty = desk.file("empty.vcf", "");
    let broken = desk.file("broken.csv", "name,address\nx,\"y");
    let nameless = desk.file("people", CARDS);
    desk.shown(&["add", "Twin", "1"]);
    desk.shown(&["add", "Twin", "2"]);
    for (args, says) in [
        (&["import", &empty][..], "there are no contacts"),
        (&["import", &broken], "broken.csv: line 2: a quotation mark"),
        (&["import", &nameless], "--format"),
        (
            &["import", "/nonexistent.vcf"],
            "cannot read /nonexistent.vcf",
        ),
        (&["export", "/nonexistent/x.vcf"], "cannot write"),
        (&["add", "X", "mailto:x"], "only sip:"),
        (&["add", "X"], "ADDRESS"),
        (&["remove", "Nobody"], "nobody here"),
        (&["remove", "Twin"], "2 contacts fit"),
    ] {
        let (code, out, errors) = desk.run(args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {errors}");
        assert!(errors.contains(says), "{args:?}: {errors}");
    }
    desk.shown(&["remove", "2"]);
    assert_eq!(desk.shown(&["list"]), "Twin  1\n");
}
