//! The store between processes. A test starts its own binary again as the other process: the same test, which finds
//! its role in the environment.

#![allow(
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

mod directory;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use directory::Directory;
use store::{Account, Binding, BindingChange, ServedOutcome, Store, StoreError};

const ROLE: &str = "SORI_STORE_TEST_DIRECTORY";

/// The data directory, if this process is the other one.
fn role() -> Option<PathBuf> {
    std::env::var_os(ROLE).map(PathBuf::from)
}

/// Says a line to the process that started this one.
fn say(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    // The marked line goes out in one write, so that a kill cannot cut off a line that counts.
    out.write_all(format!("\n> {line}\n").as_bytes())
        .and_then(|()| out.flush())
        .unwrap();
}

/// Another process in the same test.
struct Other {
    child: Child,
    orders: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn start(test: &str, dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(ROLE, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            orders,
            lines,
        }
    }

    /// The next line that it says, or `None` once it has ended. A last line cut off by a kill does not count.
    fn hear(&mut self) -> Option<String> {
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("> ").map(str::to_owned))
    }

    fn order(&mut self, text: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{text}").unwrap();
    }

    fn end(mut self) {
        self.orders = None;
        while self.hear().is_some() {}
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// After which a change that nobody hears of counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

fn account(user: &str) -> Account {
    Account {
        user: user.to_owned(),
        domain: "example.org".to_owned(),
        credentials: Vec::new(),
        display_name: None,
        enabled: true,
        created: 0,
        changed: 0,
    }
}

const PHONES: u32 = 40;

/// Registers phones without end: each REGISTER replaces the binding before it and renews another one.
fn register_until_killed(dir: &Path) {
    let store = Store::open(dir).unwrap();
    let known = store.load_bindings(0).unwrap();
    let mut cseq = known.iter().map(|binding| binding.cseq).max().unwrap_or(0);
    let mut on_their_way = 0;
    let (done, told) = mpsc::sync_channel::<()>(50);
    loop {
        cseq += 1;
        let phone = cseq % PHONES;
        let aor = format!("sip:{phone}@example.org");
        let put = |contact_key: String| {
            BindingChange::Put(Binding {
                aor: aor.clone(),
                contact_key,
                call_id: "x".repeat(200),
                cseq,
                expires_at: u64::MAX,
                ..Binding::default()
            })
        };
        let changes = vec![
            BindingChange::RemoveAll { aor: aor.clone() },
            put(format!("at-{cseq}")),
            put("fixed".to_owned()),
        ];
        let done = done.clone();
        store
            .apply(changes, move |result| {
                result.unwrap();
                say(format_args!("{phone} {cseq}"));
                let _ = done.send(());
            })
            .unwrap();
        on_their_way += 1;
        if on_their_way == 50 {
            for _ in 0..25 {
                told.recv().unwrap();
            }
            on_their_way = 25;
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    if let Some(dir) = role() {
        return register_until_killed(&dir);
    }
    let dir = Directory::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut acknowledged: HashMap<u32, u32> = HashMap::new();
    let mut count = 0;
    for round in 0..30 {
        let mut other = Other::start("a_killed_process_loses_nothing_it_acknowledged", &dir);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut left = random % 1500;
        while let Some(line) = other.hear() {
            let (phone, cseq) = line.split_once(' ').unwrap();
            acknowledged.insert(phone.parse().unwrap(), cseq.parse().unwrap());
            count += 1;
            match left.checked_sub(1) {
                Some(fewer) => left = fewer,
                // Killed once; what it said before is still read.
                None => other.child.kill().unwrap(),
            }
        }
        other.child.wait().unwrap();
        assert!(!acknowledged.is_empty());
        check(&dir, &acknowledged, round);
    }
    assert!(count > 10_000, "only {count} acknowledgements");
    println!("{count} acknowledgements, 30 kills");
}

fn check(dir: &Path, acknowledged: &HashMap<u32, u32>, round: u32) {
    let store = Store::open(dir).unwrap();
    let mut stored: HashMap<String, Vec<Binding>> = HashMap::new();
    for binding in store.load_bindings(0).unwrap() {
        stored.entry(binding.aor.clone()).or_default().push(binding);
    }
    for (phone, cseq) in acknowledged {
        let bindings = stored.get(&format!("sip:{phone}@example.org"));
        let bindings = bindings.unwrap_or_else(|| panic!("round {round}: {phone} {cseq} is lost"));
        let [moving, fixed] = &bindings[..] else {
            panic!("round {round}: half a REGISTER: {bindings:?}")
        };
        assert_eq!(moving.cseq, fixed.cseq, "round {round}: half a REGISTER");
        assert_eq!(
            moving.contact_key,
            format!("at-{}", moving.cseq),
            "round {round}"
        );
        assert!(
            moving.cseq >= *cseq,
            "round {round}: {phone} {cseq} is lost, {} is there",
            moving.cseq
        );
    }
}

/// Changes accounts as it is told, one line each, and says when each change was durable.
fn change_accounts(dir: &Path) {
    let store = Store::open(dir).unwrap();
    for line in std::io::stdin().lines() {
        let user = line.unwrap();
        match user.strip_prefix('-') {
            Some(user) => assert!(store.remove_account(user, "example.org").unwrap()),
            None => store.put_account(account(&user)).unwrap(),
        }
        let since_epoch = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let outcome = store.wait_until_served(Duration::from_secs(20)).unwrap();
        say(format_args!("{} {outcome:?}", since_epoch.as_nanos()));
    }
}

#[test]
fn the_server_hears_of_changes_by_another_process_at_once() {
    if let Some(dir) = role() {
        return change_accounts(&dir);
    }
    let dir = Directory::new();
    let store = Store::open(&dir).unwrap();
    let mut other = Other::start(
        "the_server_hears_of_changes_by_another_process_at_once",
        &dir,
    );
    other.order("early");
    let answer = other.hear().unwrap();
    assert!(answer.ends_with(" NotRunning"), "{answer}");

    let _lock = store.serve_lock().unwrap();
    let (heard, changes) = mpsc::channel();
    let watch = store
        .watch_accounts(move |result| heard.send((SystemTime::now(), result.unwrap())).unwrap())
        .unwrap();
    assert_eq!(changes.recv_timeout(PATIENCE).unwrap().1[0].user, "early");

    let mut delays = Vec::new();
    for round in 0..11 {
        let user = format!("u{}", round / 2);
        let removed = round % 2 == 1;
        other.order(&format!("{}{user}", if removed { "-" } else { "" }));
        let (at, change) = changes.recv_timeout(PATIENCE).unwrap();
        let expected = (!removed).then(|| account(&user));
        assert_eq!(
            (change.len(), &change[0].user, &change[0].account),
            (1, &user, &expected)
        );
        let answer = other.hear().unwrap();
        let (nanos, outcome) = answer.split_once(' ').unwrap();
        assert_eq!(outcome, "Served");
        let durable = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos.parse().unwrap());
        // Heard before the other process looked at its clock counts as no delay.
        delays.push(at.duration_since(durable).unwrap_or_default());
    }
    delays.sort();
    println!("heard after {delays:?}");
    // The middle one, because a busy machine may hold up either process now and then.
    assert!(delays[5] < Duration::from_millis(200), "{delays:?}");

    drop(watch);
    drop(_lock);
    other.order("late");
    let answer = other.hear().unwrap();
    assert!(answer.ends_with(" NotRunning"), "{answer}");
    other.end();
}

/// Serves until it is killed or its input ends.
fn serve(dir: &Path) {
    let store = Store::open(dir).unwrap();
    let _lock = store.serve_lock().unwrap();
    say(format_args!("serving"));
    let _ = std::io::stdin().lines().count();
}

#[test]
fn a_second_server_is_refused_until_the_first_has_ended() {
    if let Some(dir) = role() {
        return serve(&dir);
    }
    let dir = Directory::new();
    let mut other = Other::start("a_second_server_is_refused_until_the_first_has_ended", &dir);
    assert_eq!(other.hear().unwrap(), "serving");
    let store = Store::open(&dir).unwrap();
    let error = store.serve_lock().unwrap_err();
    let pid = other.child.id();
    assert_eq!(
        error,
        StoreError::AlreadyServed {
            dir: dir.to_path_buf(),
            pid: Some(pid)
        }
    );
    let text = error.to_string();
    assert!(
        text.contains(&dir.display().to_string()) && text.contains(&format!("process {pid}")),
        "{text}"
    );

    // It runs, but watches nothing.
    store.put_account(account("alice")).unwrap();
    assert_eq!(
        store.wait_until_served(Duration::from_millis(20)).unwrap(),
        ServedOutcome::TimedOut
    );

    other.child.kill().unwrap();
    other.child.wait().unwrap();
    assert_eq!(
        store.wait_until_served(Duration::from_secs(20)).unwrap(),
        ServedOutcome::NotRunning
    );
    let lock = store.serve_lock().unwrap();
    assert!(
        store.serve_lock().is_err(),
        "one lock for each process at most"
    );
    drop(lock);
    store.serve_lock().unwrap();
}

/// Opens the directory when told, and writes its part.
fn open_and_write(dir: &Path) {
    say(format_args!("waiting"));
    std::io::stdin().lines().next().unwrap().unwrap();
    let store = Store::open(dir).unwrap();
    for number in 0..20 {
        store
            .put_account(account(&format!("{}-{number}", std::process::id())))
            .unwrap();
    }
    say(format_args!("done"));
}

#[test]
fn processes_that_open_a_new_directory_together_all_succeed() {
    if let Some(dir) = role() {
        return open_and_write(&dir);
    }
    let parent = Directory::new();
    for round in 0..4 {
        let dir = parent.join(format!("{round}/data"));
        let mut others: Vec<Other> = (0..6)
            .map(|_| {
                Other::start(
                    "processes_that_open_a_new_directory_together_all_succeed",
                    &dir,
                )
            })
            .collect();
        for other in &mut others {
            assert_eq!(other.hear().unwrap(), "waiting");
        }
        for other in &mut others {
            other.order("go");
        }
        for other in &mut others {
            assert_eq!(other.hear().as_deref(), Some("done"));
        }
        others.into_iter().for_each(Other::end);
        assert_eq!(
            Store::open(&dir).unwrap().accounts(None).unwrap().len(),
            120
        );
    }
}
