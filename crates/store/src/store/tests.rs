//! The store from inside: its queue, its commits, and a disk that refuses.

#[path = "../../tests/directory/mod.rs"]
mod directory;

use super::*;
use directory::Directory;

fn put(number: u32) -> Vec<BindingChange> {
    vec![BindingChange::Put(Binding {
        aor: format!("sip:u{number}@example.org"),
        contact_key: "k".into(),
        user_agent: Some("x".repeat(300)),
        expires_at: 10,
        cseq: number,
        ..Binding::default()
    })]
}

/// Holds the writer inside a completion callback until the returned sender is dropped.
fn hold(store: &Store) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (holding, held) = mpsc::channel();
    store
        .apply(put(0), move |_| {
            holding.send(()).unwrap();
            let _ = released.recv();
        })
        .unwrap();
    held.recv().unwrap();
    release
}

#[test]
fn what_waits_becomes_one_commit() {
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    let release = hold(&store);
    let (done, told) = mpsc::channel();
    for number in 0..500 {
        let done = done.clone();
        store
            .apply(put(number), move |result| {
                done.send((number, result)).unwrap()
            })
            .unwrap();
    }
    assert_eq!(store.statistics().waiting, 500);
    let before = store.statistics();
    assert!(told.try_recv().is_err(), "completed before it was written");
    drop((release, done));
    let order: Vec<u32> = told
        .iter()
        .map(|(number, result)| result.map(|()| number).unwrap())
        .collect();
    assert_eq!(order, (0..500).collect::<Vec<_>>());
    let after = store.statistics();
    assert_eq!(
        (
            after.commits - before.commits,
            after.operations - before.operations
        ),
        (1, 500)
    );
    assert_eq!(store.load_bindings(0).unwrap().len(), 500);
}

#[test]
fn a_full_queue_refuses_at_once_and_loses_nothing_it_took() {
    let dir = Directory::new();
    let store = Store::open_with(&dir, 8, |_| Ok(())).unwrap();
    let release = hold(&store);
    let (done, told) = mpsc::channel();
    let submit = |number| {
        let done = done.clone();
        store.apply(put(number), move |result| {
            done.send((number, result)).unwrap()
        })
    };
    for number in 1..=8 {
        submit(number).unwrap();
    }
    let error = submit(9).unwrap_err();
    assert_eq!(error, StoreError::QueueFull { capacity: 8 });
    assert!(
        error.to_string().contains("8 changes already wait"),
        "{error}"
    );
    assert_eq!(store.statistics().refused, 1);

    // A caller that waits gets its turn as soon as there is room.
    let waiting = {
        let store = store.clone();
        thread::spawn(move || store.set_setting("a", "b"))
    };
    drop((release, done));
    assert_eq!(
        told.iter().map(|(number, _)| number).collect::<Vec<_>>(),
        (1..=8).collect::<Vec<_>>()
    );
    waiting.join().unwrap().unwrap();
    assert_eq!(store.setting("a").unwrap().as_deref(), Some("b"));
}

#[test]
fn a_full_disk_refuses_without_harm_and_work_goes_on_when_there_is_room() {
    let dir = Directory::new();
    let limit = |connection: &Connection| connection.pragma_update(None, "max_page_count", 40);
    let store = Store::open_with(&dir, 4096, limit).unwrap();
    let (done, told) = mpsc::channel();
    let mut kept = Vec::new();
    let mut refused = 0;
    for number in 0..1000 {
        let done = done.clone();
        store
            .apply(put(number), move |result| done.send(result).unwrap())
            .unwrap();
        match told.recv().unwrap() {
            Ok(()) => kept.push(number),
            Err(error) => {
                assert!(matches!(error, StoreError::Full { .. }), "{error}");
                assert!(error.to_string().contains("sori.db"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(
        kept.len() > 50 && refused > 50,
        "{} kept, {refused} refused",
        kept.len()
    );
    assert_eq!(store.statistics().failed, refused);
    let mut found: Vec<u32> = store
        .load_bindings(0)
        .unwrap()
        .iter()
        .map(|binding| binding.cseq)
        .collect();
    found.sort_unstable();
    assert_eq!(found, kept);

    let (done, told) = mpsc::channel();
    store
        .purge_expired(10, move |result| done.send(result).unwrap())
        .unwrap();
    assert_eq!(told.recv().unwrap(), Ok(kept.len() as u64));
    store.set_setting("room", "again").unwrap();
}

#[test]
fn one_failing_operation_does_not_take_its_neighbours_along() {
    let dir = Directory::new();
    let trap = |connection: &Connection| {
        connection.execute_batch(
            "CREATE TEMP TRIGGER trap BEFORE INSERT ON binding WHEN new.cseq = 13 \
             BEGIN SELECT RAISE(ABORT, 'thirteen'); END;",
        )
    };
    let store = Store::open_with(&dir, 4096, trap).unwrap();
    let release = hold(&store);
    let (done, told) = mpsc::channel();
    for number in 10..20 {
        let done = done.clone();
        // The step before the failing one must not stay.
        let changes = [put(number + 100), put(number)].concat();
        store
            .apply(changes, move |result| {
                done.send((number, result.is_ok())).unwrap()
            })
            .unwrap();
    }
    drop((release, done));
    let results: Vec<(u32, bool)> = told.iter().collect();
    assert_eq!(
        results,
        (10..20)
            .map(|number| (number, number != 13))
            .collect::<Vec<_>>()
    );
    let stored = store.load_bindings(0).unwrap();
    assert_eq!(stored.len(), 1 + 2 * 9);
    assert!(!stored.iter().any(|binding| binding.cseq == 113));
}

#[test]
fn a_callback_may_panic_or_hold_the_last_clone_but_not_wait() {
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    let (done, told) = mpsc::channel();
    store
        .apply(put(1), |_| panic!("expected by this test"))
        .unwrap();
    let (dropped, last) = mpsc::channel::<()>();
    let inner = store.clone();
    store
        .apply(put(2), move |result| {
            let _ = last.recv();
            let error = inner.set_setting("x", "y").unwrap_err();
            done.send((result, error)).unwrap();
        })
        .unwrap();
    drop((store, dropped));
    let (result, error) = told.recv().unwrap();
    assert_eq!(result, Ok(()));
    assert_eq!(error.culprit(), crate::Culprit::Misuse);
    // The callback is gone, and with it the store; the file is whole.
    assert!(told.recv().is_err());
    assert_eq!(
        Store::open(&dir).unwrap().load_bindings(0).unwrap().len(),
        2
    );
}

#[test]
fn the_log_starts_again_while_writing_goes_on() {
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    let (done, told) = mpsc::sync_channel(64);
    // Scattered refreshes fill the log with some 40 MB, far beyond the 16 MB at which a checkpoint begins.
    for round in 0..25 {
        for number in 0..100 {
            let done = done.clone();
            let number = number * 7919 % 4000 + round;
            store
                .apply(put(number), move |result| done.send(result).unwrap())
                .unwrap();
            told.recv().unwrap().unwrap();
        }
    }
    for _ in 0..200 {
        let changes = (0..40).flat_map(|number| put(number * 97)).collect();
        let done = done.clone();
        store
            .apply(changes, move |result| done.send(result).unwrap())
            .unwrap();
        told.recv().unwrap().unwrap();
    }
    let log = std::fs::metadata(dir.join("sori.db-wal")).unwrap().len();
    let table = std::fs::metadata(dir.join("sori.db")).unwrap().len();
    println!("log {log} bytes, database {table} bytes");
    assert!(
        table > 500_000,
        "nothing was carried over: {table} bytes in the database"
    );
    assert!(log < 32 << 20, "the log has {log} bytes");
    store.close();
    assert!(
        !dir.join("sori.db-wal").exists(),
        "closing leaves the log behind"
    );
}
