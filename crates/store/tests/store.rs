//! The store as its callers see it, in one process.

#![allow(
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

mod directory;

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use directory::Directory;
use store::{
    Account, Algorithm, Binding, BindingChange, Credential, Culprit, ServedOutcome, Store,
    StoreError,
};

/// After which a change that nobody hears of counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

fn account(user: &str, domain: &str) -> Account {
    let credential = |algorithm, length| Credential {
        algorithm,
        realm: domain.to_owned(),
        ha1: (0..length).map(|byte| byte ^ 0xa5).collect(),
    };
    Account {
        user: user.to_owned(),
        domain: domain.to_owned(),
        credentials: vec![
            credential(Algorithm::Md5, 16),
            credential(Algorithm::Sha256, 32),
        ],
        display_name: Some(format!("{user} 소리")),
        enabled: true,
        created: 1_700_000_000_123,
        changed: 1_700_000_000_456,
    }
}

fn binding(aor: &str, contact: &str, expires_at: u64) -> Binding {
    Binding {
        aor: aor.to_owned(),
        contact: format!("<sip:{contact}>"),
        contact_key: contact.to_owned(),
        call_id: "843817637684230@998sdasdh09".to_owned(),
        cseq: u32::MAX,
        q: 700,
        expires_at,
        path: vec![
            "<sip:p1.example.org;lr>".to_owned(),
            "<sip:p2.example.org;lr>;x=\"a\\b\"".to_owned(),
        ],
        received: "udp:192.0.2.1:5060/198.51.100.7:49152".to_owned(),
        instance: Some("<urn:uuid:00000000-0000-1000-8000-000A95A0E128>".to_owned()),
        reg_id: Some(1),
        user_agent: Some("Vendor \0 \u{fffd} 1.0".to_owned()),
        registered_at: 1_700_000_000_000,
        params: "methods=\"INVITE,BYE\"".to_owned(),
    }
}

fn apply(store: &Store, changes: Vec<BindingChange>) {
    let (done, told) = mpsc::channel();
    store
        .apply(changes, move |result| done.send(result).unwrap())
        .unwrap();
    told.recv().unwrap().unwrap();
}

fn contacts(store: &Store, now: u64) -> Vec<(String, String)> {
    store
        .load_bindings(now)
        .unwrap()
        .into_iter()
        .map(|binding| (binding.aor, binding.contact_key))
        .collect()
}

#[test]
fn accounts_are_kept_as_given_and_domains_in_lower_case() {
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    let alice = account("alice", "example.org");
    assert!(
        store
            .add_account(Account {
                domain: "Example.ORG".into(),
                ..alice.clone()
            })
            .unwrap()
    );
    assert!(store.add_account(account("Alice", "example.org")).unwrap());
    assert!(store.add_account(account("bob", "example.net")).unwrap());
    let bare = Account {
        credentials: Vec::new(),
        display_name: None,
        enabled: false,
        ..account("x", "example.net")
    };
    store.put_account(bare.clone()).unwrap();

    assert!(
        !store
            .add_account(Account {
                enabled: false,
                ..alice.clone()
            })
            .unwrap()
    );
    assert_eq!(
        store.account("alice", "EXAMPLE.org").unwrap().as_ref(),
        Some(&alice)
    );
    assert_eq!(store.account("ALICE", "example.org").unwrap(), None);
    assert_eq!(
        store.accounts(Some("Example.net")).unwrap(),
        [account("bob", "example.net"), bare]
    );
    let names: Vec<String> = store
        .accounts(None)
        .unwrap()
        .into_iter()
        .map(|account| account.user)
        .collect();
    assert_eq!(names, ["bob", "x", "Alice", "alice"]);

    let mut changed = Account {
        enabled: false,
        changed: 9,
        ..alice
    };
    changed.credentials.remove(0);
    store.put_account(changed.clone()).unwrap();
    store.close();
    let store = Store::open(&dir).unwrap();
    assert_eq!(
        store.account("alice", "example.org").unwrap(),
        Some(changed)
    );
    assert!(store.remove_account("alice", "EXAMPLE.ORG").unwrap());
    assert!(!store.remove_account("alice", "example.org").unwrap());
    assert_eq!(store.account("alice", "example.org").unwrap(), None);
    // The credentials went with it: the same name starts afresh.
    assert!(
        store
            .add_account(Account {
                credentials: Vec::new(),
                ..account("alice", "example.org")
            })
            .unwrap()
    );
    assert!(
        store
            .account("alice", "example.org")
            .unwrap()
            .unwrap()
            .credentials
            .is_empty()
    );
}

#[test]
fn accounts_change_without_waiting_too() {
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    let (done, told) = mpsc::channel();
    store
        .put_account_then(account("a", "b"), move |result| done.send(result).unwrap())
        .unwrap();
    assert_eq!(told.recv().unwrap(), Ok(()));
    for existed in [true, false] {
        let (done, told) = mpsc::channel();
        store
            .remove_account_then("a", "B", move |result| done.send(result).unwrap())
            .unwrap();
        assert_eq!(told.recv().unwrap(), Ok(existed));
    }
}

#[test]
fn accounts_that_make_no_sense_are_refused() {
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    let whole = account("a", "b");
    let mut short = whole.clone();
    short.credentials[1].ha1.pop();
    let mut doubled = whole.clone();
    doubled.credentials.push(whole.credentials[0].clone());
    let cases = [
        (
            Account {
                user: String::new(),
                ..whole.clone()
            },
            "needs a user",
        ),
        (
            Account {
                domain: String::new(),
                ..whole.clone()
            },
            "needs a user and a domain",
        ),
        (short, "SHA-256 has 32 bytes, this one has 31"),
        (doubled, "one credential for each"),
    ];
    for (case, says) in cases {
        let error = store.put_account(case.clone()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.culprit(), Culprit::Misuse);
        assert!(
            store
                .put_account_then(case, |_| panic!("not taken, so never completed"))
                .is_err()
        );
    }
    assert!(store.accounts(None).unwrap().is_empty());
}

#[test]
fn no_text_shows_a_hash() {
    let text = format!("{:?}", account("a", "b"));
    assert!(
        text.contains("Sha256") && !text.contains("ha1") && !text.contains("165"),
        "{text}"
    );
}

#[test]
fn settings_outlive_the_process() {
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    assert_eq!(store.default_domain().unwrap(), None);
    store.set_default_domain("Example.org").unwrap();
    store.set_setting("x", "1").unwrap();
    store.set_setting("x", "2").unwrap();
    drop(store);
    let store = Store::open(&dir).unwrap();
    assert_eq!(
        store.default_domain().unwrap().as_deref(),
        Some("example.org")
    );
    assert_eq!(store.setting("x").unwrap().as_deref(), Some("2"));
    assert_eq!(store.setting("y").unwrap(), None);
}

#[test]
fn bindings_come_back_as_they_were() {
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    let full = binding("sip:alice@example.org", "alice@192.0.2.7:5062", 5_000);
    let bare = Binding {
        aor: "sip:bob@example.org".into(),
        expires_at: u64::MAX,
        ..Binding::default()
    };
    apply(
        &store,
        vec![
            BindingChange::Put(full.clone()),
            BindingChange::Put(bare.clone()),
        ],
    );
    drop(store);
    let store = Store::open(&dir).unwrap();
    let kept_to_the_end_of_time = Binding {
        expires_at: i64::MAX as u64,
        ..bare
    };
    assert_eq!(
        store.load_bindings(4_999).unwrap(),
        [full, kept_to_the_end_of_time.clone()]
    );
    assert_eq!(
        store.load_bindings(5_000).unwrap(),
        [kept_to_the_end_of_time]
    );
}

#[test]
fn the_steps_of_one_register_replace_and_remove() {
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    let put = |aor: &str, contact: &str| BindingChange::Put(binding(aor, contact, 10));
    apply(
        &store,
        vec![
            put("a", "1"),
            put("a", "2"),
            put("a", "3"),
            put("b", "1"),
            put("ab", "1"),
        ],
    );
    apply(
        &store,
        vec![
            BindingChange::Remove {
                aor: "a".into(),
                contact_key: "1".into(),
            },
            BindingChange::Remove {
                aor: "a".into(),
                contact_key: "none".into(),
            },
            BindingChange::Put(Binding {
                cseq: 5,
                ..binding("a", "2", 20)
            }),
        ],
    );
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    };
    assert_eq!(
        contacts(&store, 0),
        pairs(&[("a", "2"), ("a", "3"), ("ab", "1"), ("b", "1")])
    );
    assert_eq!(
        store.load_bindings(10).unwrap(),
        [Binding {
            cseq: 5,
            ..binding("a", "2", 20)
        }]
    );
    apply(
        &store,
        vec![BindingChange::RemoveAll { aor: "a".into() }, put("a", "4")],
    );
    assert_eq!(
        contacts(&store, 0),
        pairs(&[("a", "4"), ("ab", "1"), ("b", "1")])
    );
}

#[test]
fn a_purge_removes_what_has_expired_and_nothing_else() {
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    // Several steps of a purge, with addresses of record that have several contacts at the steps' ends.
    let total = 7_000_u64;
    let changes = (0..total)
        .map(|n| BindingChange::Put(binding(&format!("u{}", n / 3), &format!("c{n}"), n)));
    apply(&store, changes.collect());
    for (now, removed) in [(0, 1), (4_321, 4_321), (4_321, 0), (10_000, total - 4_322)] {
        let (done, told) = mpsc::channel();
        store
            .purge_expired(now, move |result| done.send(result).unwrap())
            .unwrap();
        assert_eq!(told.recv().unwrap(), Ok(removed), "at {now}");
        let left = store.load_bindings(0).unwrap();
        assert!(left.iter().all(|binding| binding.expires_at > now));
        assert_eq!(left.len() as u64, (total - 1).saturating_sub(now));
    }
}

#[test]
fn a_closed_store_has_written_everything_and_takes_no_more() {
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    let (done, told) = mpsc::channel();
    for number in 0..300 {
        let done = done.clone();
        let change = BindingChange::Put(binding(&format!("u{number}"), "c", 10));
        store
            .apply(vec![change], move |result| done.send(result).unwrap())
            .unwrap();
    }
    drop(done);
    let clone = store.clone();
    store.close();
    assert_eq!(
        told.try_iter().filter(Result::is_ok).count(),
        300,
        "close came back before everything was written"
    );
    assert_eq!(
        clone.apply(Vec::new(), |_| panic!("not taken")),
        Err(StoreError::Closed)
    );
    assert_eq!(clone.set_setting("a", "b"), Err(StoreError::Closed));
    assert_eq!(clone.accounts(None), Err(StoreError::Closed));
    clone.close();
    assert_eq!(
        Store::open(&dir).unwrap().load_bindings(0).unwrap().len(),
        300
    );
}

fn refusal(dir: &Path) -> StoreError {
    Store::open(dir).expect_err("must be refused")
}

#[test]
fn unusable_places_are_refused_with_their_path() {
    let dir = Directory::new();
    let file = dir.join("file");
    std::fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = refusal(&path);
        assert!(matches!(error, StoreError::Directory { .. }), "{error:?}");
        assert!(
            error.to_string().contains(&path.display().to_string()),
            "{error}"
        );
    }
    let occupied = dir.join("occupied");
    std::fs::create_dir_all(occupied.join("sori.db")).unwrap();
    let error = refusal(&occupied);
    assert!(error.to_string().contains("occupied/sori.db"), "{error}");
    assert_eq!(error.culprit(), Culprit::Environment);
}

#[test]
fn damaged_foreign_and_newer_files_are_refused_and_left_alone() {
    let dir = Directory::new();
    let file = dir.join("sori.db");
    std::fs::write(
        &file,
        "this is no database, and was never meant to be one. ".repeat(100),
    )
    .unwrap();
    let before = std::fs::read(&file).unwrap();
    let error = refusal(&dir);
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(
        error.to_string().contains(&file.display().to_string()),
        "{error}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), before);

    std::fs::remove_file(&file).unwrap();
    let change = |sql: &str| {
        rusqlite::Connection::open(&file)
            .unwrap()
            .execute_batch(sql)
            .unwrap()
    };
    change("CREATE TABLE bookmark (url TEXT); PRAGMA user_version = 3;");
    let error = refusal(&dir);
    assert!(error.to_string().contains("another program"), "{error}");

    std::fs::remove_file(&file).unwrap();
    Store::open(&dir)
        .unwrap()
        .set_setting("kept", "yes")
        .unwrap();
    let version: i64 = rusqlite::Connection::open(&file)
        .unwrap()
        .query_one("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    change("PRAGMA user_version = 999;");
    let error = refusal(&dir);
    assert!(
        matches!(error, StoreError::NewerVersion { found: 999, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("newer"), "{error}");
    change(&format!("PRAGMA user_version = {version};"));
    assert_eq!(
        Store::open(&dir)
            .unwrap()
            .setting("kept")
            .unwrap()
            .as_deref(),
        Some("yes")
    );
}

#[test]
fn damage_inside_the_file_is_told_when_it_is_met() {
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    apply(
        &store,
        (0..2000)
            .map(|n| BindingChange::Put(binding(&format!("u{n:05}"), "c", 10)))
            .collect(),
    );
    drop(store);
    let file = dir.join("sori.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 20_000].fill(0xff);
    std::fs::write(&file, bytes).unwrap();
    let error = Store::open(&dir).unwrap().load_bindings(0).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("backup"), "{error}");
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_what_is_stored() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Directory::new();
    let data = dir.join("new/data");
    let store = Store::open(&data).unwrap();
    let _lock = store.serve_lock().unwrap();
    store.set_setting("a", "b").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for name in ["sori.db", "sori.db-wal", "sori.db-shm", "serve.lock"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
}

#[test]
fn the_watcher_hears_of_this_process_too_and_of_what_came_before_it() {
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    store.put_account(account("before", "d")).unwrap();
    store.put_account(account("gone", "d")).unwrap();
    store.remove_account("gone", "d").unwrap();
    assert_eq!(
        store.wait_until_served(Duration::from_secs(9)).unwrap(),
        ServedOutcome::NotRunning
    );

    let _lock = store.serve_lock().unwrap();
    assert_eq!(
        store.wait_until_served(Duration::ZERO).unwrap(),
        ServedOutcome::TimedOut
    );
    let (heard, changes) = mpsc::channel();
    let watch = store
        .watch_accounts(move |result| heard.send(result.unwrap()).unwrap())
        .unwrap();
    let first = changes.recv_timeout(PATIENCE).unwrap();
    let seen: Vec<(&str, bool)> = first
        .iter()
        .map(|change| (change.user.as_str(), change.account.is_some()))
        .collect();
    assert_eq!(seen, [("before", true), ("gone", false)]);
    store.put_account(account("now", "D")).unwrap();
    let next = changes.recv_timeout(PATIENCE).unwrap();
    assert_eq!(next.len(), 1);
    let display_name = next[0]
        .account
        .as_ref()
        .and_then(|account| account.display_name.as_deref());
    assert_eq!(display_name, Some("now 소리"));
    assert_eq!(
        (next[0].user.as_str(), next[0].domain.as_str()),
        ("now", "d")
    );
    assert_eq!(
        store.wait_until_served(Duration::from_secs(9)).unwrap(),
        ServedOutcome::Served
    );
    drop(watch);
    assert!(changes.recv().is_err(), "the watcher outlives its handle");

    // What was served is not told again; what was not, is.
    store.remove_account("now", "d").unwrap();
    let (heard, changes) = mpsc::channel();
    let _watch = store
        .watch_accounts(move |result| heard.send(result.unwrap()).unwrap())
        .unwrap();
    let again = changes.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        (again.len(), again[0].user.as_str(), &again[0].account),
        (1, "now", &None)
    );
}

#[test]
fn more_changes_than_a_page_are_all_heard_in_order() {
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    let (done, told) = mpsc::channel();
    for number in 0..2_500 {
        let done = done.clone();
        store
            .put_account_then(account(&format!("u{number}"), "d"), move |result| {
                done.send(result).unwrap()
            })
            .unwrap();
    }
    drop(done);
    assert_eq!(told.iter().filter(Result::is_ok).count(), 2_500);
    let (heard, changes) = mpsc::channel();
    let _watch = store
        .watch_accounts(move |result| heard.send(result.unwrap()).unwrap())
        .unwrap();
    let pages = [(); 3].map(|()| changes.recv_timeout(PATIENCE).unwrap().len());
    assert_eq!(pages, [1000, 1000, 500]);
}

#[test]
fn documents_keep_their_order_and_change_all_or_none() {
    use store::{Document, DocumentChange};
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    let put = |key: &str, position: u32| DocumentChange::Put {
        kind: "rule",
        document: Document {
            key: key.into(),
            position,
            body: format!("{{\"id\":\"{key}\"}}"),
            changed: 7,
        },
    };
    let keys = |store: &Store| -> Vec<String> {
        let all = store.documents("rule").unwrap();
        all.into_iter().map(|d| d.key).collect()
    };
    store
        .change_documents(vec![put("b", 1), put("a", 2), put("c", 0)])
        .unwrap();
    assert_eq!(keys(&store), ["c", "b", "a"]);
    let removal = DocumentChange::Remove {
        kind: "rule",
        key: "b".into(),
    };
    store.change_documents(vec![removal, put("a", 0)]).unwrap();
    assert_eq!(keys(&store), ["a", "c"]);
    assert!(store.documents("trunk").unwrap().is_empty());
    store.close();
    let store = Store::open(&dir).unwrap();
    let changes = vec![DocumentChange::Clear { kind: "rule" }, put("z", 0)];
    store.change_documents(changes).unwrap();
    assert_eq!(keys(&store), ["z"]);
}

#[test]
fn call_records_are_found_by_what_is_asked() {
    use store::{CallQuery, CallRecord, Outcome};
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    let add = |call_id: &str, started: u64, answered: Option<u64>, status: u16| {
        let (done, told) = mpsc::channel();
        let record = CallRecord {
            call_id: call_id.into(),
            caller: "alice@example.org".into(),
            callee: format!("{call_id}@example.org"),
            started,
            answered,
            ended: started + 9_000,
            status,
            ..CallRecord::default()
        };
        let tell = move |result| done.send(result).unwrap();
        store.add_call_record(record, tell).unwrap();
        told.recv().unwrap().unwrap();
    };
    add("bob", 1_000, Some(3_000), 200);
    add("carol", 2_000, None, 486);
    add("dave", 3_000, None, 404);
    let found = |query: CallQuery| -> (u64, Vec<String>) {
        let (total, records) = store.call_records(&query).unwrap();
        (total, records.into_iter().map(|r| r.call_id).collect())
    };
    let all = CallQuery::default();
    assert_eq!(
        found(all.clone()),
        (3, vec!["dave".into(), "carol".into(), "bob".into()])
    );
    let second = CallQuery {
        offset: 1,
        limit: 1,
        ..all.clone()
    };
    assert_eq!(found(second), (3, vec!["carol".into()]));
    for (outcome, name) in [
        (Outcome::Answered, "bob"),
        (Outcome::Missed, "carol"),
        (Outcome::Failed, "dave"),
    ] {
        let query = CallQuery {
            outcome: Some(outcome),
            ..all.clone()
        };
        assert_eq!(found(query), (1, vec![name.into()]));
    }
    let query = CallQuery {
        from: Some(2_000),
        to: Some(3_000),
        ..all.clone()
    };
    assert_eq!(found(query), (1, vec!["carol".into()]));
    let query = CallQuery {
        search: "DAVE@".into(),
        ..all.clone()
    };
    assert_eq!(found(query), (1, vec!["dave".into()]));
    let query = CallQuery {
        party: "alice@example.org".into(),
        limit: 2,
        ..all
    };
    assert_eq!(found(query).0, 3);
}
