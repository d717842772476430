//! The phone's own file: what is kept comes back, for its owner alone, whoever else has it open.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use phone::book::{
    Book, BookError, CallQuery, CallRecord, Contact, Direction, Forward, Limits, MessageRecord,
    MessageState, Outcome, Preferences, Quality,
};

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let name = format!("sori-book-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        Directory(path)
    }

    fn open(&self) -> Book {
        Book::open(&self.0).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn missed(peer: &str) -> CallRecord {
    CallRecord::new(
        "alice@example.org",
        peer,
        Direction::Incoming,
        Outcome::Missed,
    )
}

#[test]
fn calls_come_back_as_they_were_the_newest_first() {
    let directory = Directory::new("calls");
    let whole = CallRecord {
        peer_name: Some("김철수".to_owned()),
        began: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_246_269_123),
        status: Some(200),
        reason: Some("OK".to_owned()),
        duration: Some(Duration::from_millis(61_500)),
        codec: Some("opus".to_owned()),
        quality: Some(Quality {
            packets_sent: 3000,
            packets_received: 2990,
            packets_lost: 10,
            jitter: Duration::from_micros(1250),
            round_trip: Some(Duration::from_micros(40_100)),
            mos: Some(4.25),
        }),
        ..CallRecord::new(
            "alice@example.org",
            "sip:cs@example.org",
            Direction::Outgoing,
            Outcome::Answered,
        )
    };
    let book = directory.open();
    let first = book.add_call(&whole).unwrap();
    let second = book.add_call(&missed("sip:+82-10-1234-5678@gw")).unwrap();
    let third = book.add_call(&missed("sip:bob@example.org")).unwrap();
    drop(book);
    let book = directory.open();
    let ids = |query: &CallQuery| -> Vec<_> {
        book.calls(query)
            .unwrap()
            .into_iter()
            .map(|(id, _)| id)
            .collect()
    };
    let all = CallQuery::default();
    assert_eq!(ids(&all), [third, second, first]);
    assert_eq!(book.calls(&all).unwrap()[2].1, whole);
    assert_eq!(
        ids(&CallQuery {
            missed: true,
            ..all.clone()
        }),
        [third, second]
    );
    assert_eq!(
        ids(&CallQuery {
            limit: 1,
            ..all.clone()
        }),
        [third]
    );
    assert_eq!(
        ids(&CallQuery {
            before: Some(third),
            limit: 1,
            ..all.clone()
        }),
        [second]
    );
    let peer = Some("010-1234-5678".to_owned());
    assert_eq!(
        ids(&CallQuery {
            peer,
            ..all.clone()
        }),
        [second]
    );
    assert_eq!(book.unseen_calls().unwrap(), 2);
    book.mark_calls_seen(second).unwrap();
    assert_eq!(book.unseen_calls().unwrap(), 1);
    book.remove_call(third).unwrap();
    assert_eq!(
        (ids(&all), book.unseen_calls().unwrap()),
        (vec![second, first], 0)
    );
    let long = book.add_call(&missed(&"x".repeat(5000))).unwrap_err();
    assert!(matches!(long, BookError::TooLong { .. }), "{long}");
}

#[test]
fn what_is_too_old_or_too_much_goes() {
    let directory = Directory::new("clean");
    let limits = Limits {
        calls: 3,
        messages: 2,
        age: Duration::from_secs(3600),
    };
    let book = Book::open_limited(&directory.0, limits).unwrap();
    let old = CallRecord {
        began: SystemTime::now() - Duration::from_secs(7200),
        ..missed("sip:old@h")
    };
    for number in 0..5 {
        book.add_call(&missed(&format!("sip:{number}@h"))).unwrap();
        book.add_message(&MessageRecord::received(
            "a@h",
            "sip:b@h",
            &number.to_string(),
        ))
        .unwrap();
    }
    book.add_call(&old).unwrap();
    book.clean(SystemTime::now()).unwrap();
    let peers: Vec<String> = book
        .calls(&CallQuery::default())
        .unwrap()
        .into_iter()
        .map(|(_, c)| c.peer)
        .collect();
    assert_eq!(peers, ["sip:4@h", "sip:3@h", "sip:2@h"]);
    let texts: Vec<String> = book
        .conversation("b@h", None, 10)
        .unwrap()
        .into_iter()
        .map(|(_, m)| m.text)
        .collect();
    assert_eq!(texts, ["3", "4"]);
    // By itself too, now and then.
    for number in 0..600 {
        book.add_call(&missed(&format!("sip:{number}@h"))).unwrap();
    }
    assert!(book.calls(&CallQuery::default()).unwrap().len() < 300);
}

#[test]
fn messages_are_conversations() {
    let directory = Directory::new("messages");
    let book = directory.open();
    let one = book
        .add_message(&MessageRecord::received("a@h", "sip:bob@h", "안녕하세요"))
        .unwrap();
    let two = book
        .add_message(&MessageRecord::sending("a@h", "bob@H", "👋 <b>"))
        .unwrap();
    book.add_message(&MessageRecord::received("a@h", "sip:carol@h", "hi"))
        .unwrap();
    book.set_message_state(two, MessageState::Delivered)
        .unwrap();
    let with_bob = book.conversation("<sip:bob@h>", None, 10).unwrap();
    let texts: Vec<(&str, MessageState, bool)> = with_bob
        .iter()
        .map(|(_, m)| (m.text.as_str(), m.state, m.seen))
        .collect();
    assert_eq!(
        texts,
        [
            ("안녕하세요", MessageState::Received, false),
            ("👋 <b>", MessageState::Delivered, true)
        ]
    );
    assert_eq!(book.conversation("bob@h", Some(two), 10).unwrap()[0].0, one);
    let last: Vec<String> = book
        .conversations(10)
        .unwrap()
        .into_iter()
        .map(|(_, m)| m.text)
        .collect();
    assert_eq!(last, ["hi", "👋 <b>"]);
    assert_eq!(book.unseen_messages(None).unwrap(), 2);
    assert_eq!(book.unseen_messages(Some("bob@h")).unwrap(), 1);
    book.mark_conversation_seen("sip:bob@h").unwrap();
    assert_eq!(book.unseen_messages(None).unwrap(), 1);
    let huge = MessageRecord::received("a@h", "b@h", &"x".repeat(65 * 1024));
    assert!(
        book.add_message(&huge)
            .unwrap_err()
            .to_string()
            .contains("65536")
    );
}

#[test]
fn contacts_are_found_by_what_is_typed_and_by_who_calls() {
    let directory = Directory::new("contacts");
    let mut book = directory.open();
    let mut kim = Contact {
        addresses: vec![
            "sip:cs@example.org".to_owned(),
            "+82-10-1234-5678".to_owned(),
        ],
        groups: vec!["영업".to_owned(), "친구".to_owned()],
        favourite: true,
        note: "x".to_owned(),
        ..Contact::new("김철수", "")
    };
    kim.id = Some(book.add_contact(&kim).unwrap());
    book.add_contact(&Contact::new("김영희", "sip:yh@example.org"))
        .unwrap();
    book.add_contact(&Contact::new("Alice Kim", "sip:alice@example.org"))
        .unwrap();
    let names =
        |found: Vec<Contact>| -> Vec<String> { found.into_iter().map(|c| c.name).collect() };
    assert_eq!(
        names(book.search("ㄱ", 10).unwrap()),
        ["김철수", "김영희"],
        "favourites first"
    );
    assert_eq!(names(book.search("ㅇㅎ", 10).unwrap()), ["김영희"]);
    assert_eq!(names(book.search("kim", 10).unwrap()), ["Alice Kim"]);
    assert_eq!(names(book.search("010 1234", 10).unwrap()), ["김철수"]);
    assert_eq!(names(book.search("ㄱ", 1).unwrap()), ["김철수"]);
    assert_eq!(
        names(book.search("%_'\"", 10).unwrap()),
        Vec::<String>::new()
    );
    assert_eq!(
        names(book.contacts(None, 10).unwrap()),
        ["김철수", "Alice Kim", "김영희"]
    );
    assert_eq!(names(book.contacts(Some("친구"), 10).unwrap()), ["김철수"]);
    assert_eq!(book.groups().unwrap(), ["영업", "친구"]);
    let caller = book
        .find_contact("\"CS\" <sip:01012345678@gw;user=phone>")
        .unwrap()
        .unwrap();
    assert_eq!(caller.name, "김철수");
    assert_eq!(book.find_contact("sip:nobody@h").unwrap(), None);
    kim.uid.clone_from(&caller.uid);
    assert_eq!(caller, kim);
    kim.name = "김철수 부장".to_owned();
    kim.addresses.truncate(1);
    book.update_contact(&kim).unwrap();
    assert_eq!(book.contact(kim.id.unwrap()).unwrap().as_ref(), Some(&kim));
    assert_eq!(book.find_contact("01012345678").unwrap(), None);
    book.remove_contact(kim.id.unwrap()).unwrap();
    assert_eq!(book.contact(kim.id.unwrap()).unwrap(), None);
    assert_eq!(book.find_contact("sip:cs@example.org").unwrap(), None);
}

#[test]
fn importing_twice_makes_nobody_twice() {
    let directory = Directory::new("import");
    let mut book = directory.open();
    let mut with_uid = Contact::new("A", "1");
    with_uid.uid = "u-1".to_owned();
    let people = [with_uid.clone(), Contact::new("B", "sip:b@h")];
    assert_eq!(book.import_contacts(&people).unwrap(), (2, 0));
    with_uid.name = "A2".to_owned();
    let again = [
        with_uid,
        Contact::new("B", "b@H"),
        Contact::new("B", "other@h"),
    ];
    assert_eq!(book.import_contacts(&again).unwrap(), (1, 2));
    assert_eq!(book.contacts(None, 10).unwrap().len(), 3);
    // All or nothing.
    let bad = [Contact::new("C", "c"), Contact::new(&"x".repeat(5000), "d")];
    assert!(book.import_contacts(&bad).is_err());
    assert_eq!(book.contacts(None, 10).unwrap().len(), 3);
    let many = vec![Contact::new("D", "d"); 20_000];
    assert!(matches!(
        book.import_contacts(&many),
        Err(BookError::TooMany { .. })
    ));
}

#[test]
fn choices_come_back() {
    let directory = Directory::new("choices");
    let mut book = directory.open();
    assert_eq!(book.preferences().unwrap(), Preferences::default());
    let chosen = Preferences {
        microphone: Some("USB 헤드셋".to_owned()),
        ringer_volume: 30,
        do_not_disturb: true,
        forward: Forward {
            always: None,
            busy: Some("sip:desk@h".to_owned()),
            no_answer: Some(("4711".to_owned(), Duration::from_secs(15))),
        },
        language: Some("ko".to_owned()),
        ..Preferences::default()
    };
    book.set_preferences(&chosen).unwrap();
    assert_eq!(directory.open().preferences().unwrap(), chosen);
    book.set_preferences(&Preferences::default()).unwrap();
    assert_eq!(book.preferences().unwrap(), Preferences::default());
}

#[test]
fn nobody_else_may_read() {
    let directory = Directory::new("private");
    let book = directory.open();
    book.add_call(&missed("sip:b@h")).unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(&directory.0).unwrap() {
        let path = entry.unwrap().path();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
        files += 1;
    }
    assert!(files >= 1);
}

#[test]
fn what_is_no_book_is_told_and_left_alone() {
    let directory = Directory::new("foreign");
    std::fs::create_dir_all(&directory.0).unwrap();
    let path = directory.0.join("phone.db");
    std::fs::write(
        &path,
        "this is a letter to my aunt, and no database at all".repeat(100),
    )
    .unwrap();
    let error = Book::open(&directory.0).unwrap_err();
    assert!(matches!(error, BookError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("phone.db"), "{error}");
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .starts_with("this is a letter")
    );
    let error = Book::open(&path).unwrap_err();
    assert!(matches!(error, BookError::Disk { .. }), "{error}");
}

/// Set in the processes that the next test starts: where the file is.
const DIRECTORY: &str = "SORI_TEST_BOOK";
const EACH: usize = 100;

/// Not a test of its own: what each process of the next test does.
#[test]
fn one_of_several_processes() {
    let Some(dir) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let mut book = Book::open(Path::new(&dir)).unwrap();
    for number in 0..EACH {
        book.add_call(&missed(&format!("sip:{number}@{}", std::process::id())))
            .unwrap();
        if number % 10 == 0 {
            book.add_contact(&Contact::new("x", &number.to_string()))
                .unwrap();
        }
        book.calls(&CallQuery {
            limit: 5,
            ..CallQuery::default()
        })
        .unwrap();
    }
}

#[test]
fn several_phones_write_at_once_from_the_very_first_moment() {
    let directory = Directory::new("several");
    let program = std::env::current_exe().unwrap();
    let processes: Vec<_> = (0..4)
        .map(|_| {
            Command::new(&program)
                .args(["--exact", "one_of_several_processes"])
                .env(DIRECTORY, &directory.0)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let book = directory.open();
    let all = book.calls(&CallQuery::default()).unwrap();
    assert_eq!(all.len(), 4 * EACH);
    assert_eq!(book.contacts(None, 1000).unwrap().len(), 4 * EACH / 10);
}

#[test]
fn a_search_among_many_is_quick_and_bounded() {
    let directory = Directory::new("many");
    let mut book = directory.open();
    let people: Vec<Contact> = (0..20_000)
        .map(|n| Contact::new(&format!("사람{n}"), &format!("sip:{n}@example.org")))
        .collect();
    assert_eq!(book.import_contacts(&people).unwrap(), (20_000, 0));
    assert!(matches!(
        book.add_contact(&people[0]),
        Err(BookError::TooMany { .. })
    ));
    let begin = std::time::Instant::now();
    assert_eq!(book.search("ㅅㄹ1999", 100).unwrap().len(), 11);
    println!("searching 20,000 contacts took {:?}", begin.elapsed());
    assert_eq!(book.search("ㅅ", 50).unwrap().len(), 50);
    assert_eq!(book.contacts(None, usize::MAX).unwrap().len(), 20_000);
}
