//! CPU for each refreshed binding, by the number of REGISTERs that share a commit.
//!
//! `cargo bench -p store` prints one line for each batch size: CPU (user and system, all threads) for each binding,
//! and how long a commit took, at the median and at worst. With `SORI_BENCH_BINDINGS=n` it refreshes `n` bindings in batches of
//! 100 and prints nothing, so that an instruction counter can be put around two runs whose difference is wanted.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use store::{Account, Binding, BindingChange, Store};

const PHONES: u32 = 100_000;

fn main() {
    let dir = Place(std::env::temp_dir().join(format!("sori-store-bench-{}", std::process::id())));
    let store = Store::open(&dir.0).expect("a new directory can be opened");
    if let Some(count) = std::env::var("SORI_BENCH_BINDINGS")
        .ok()
        .and_then(|count| count.parse().ok())
    {
        refresh(&store, 1000, count, 100);
        return;
    }
    println!("{PHONES} phones");
    let first = measured(|| refresh(&store, PHONES, PHONES, 1000));
    report("new, 1000 a commit", PHONES, &first);
    for (batch, count) in [(1, 5_000), (10, 20_000), (100, 200_000), (1000, 400_000)] {
        let run = measured(|| refresh(&store, PHONES, count, batch));
        report(&format!("refresh, {batch} a commit"), count, &run);
    }
    let (loaded, cpu) = cpu_of(|| store.load_bindings(0).map_or(0, |bindings| bindings.len()));
    println!(
        "{:<28}{:>8.2} us CPU a binding",
        "load",
        micros(cpu) / loaded as f64
    );
    let (_, cpu) = cpu_of(|| purge(&store));
    println!(
        "{:<28}{:>8.2} us CPU a binding",
        "purge that finds nothing",
        micros(cpu) / f64::from(PHONES)
    );
    watch(&store);
}

struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn binding(number: u32, cseq: u32) -> Binding {
    Binding {
        aor: format!("sip:user{number}@example.org"),
        contact: format!(
            "sip:user{number}@192.0.2.{}:{};transport=udp",
            number % 250,
            1024 + number % 60_000
        ),
        contact_key: format!(
            "user{number}@192.0.2.{}:{}",
            number % 250,
            1024 + number % 60_000
        ),
        call_id: format!("{number:08x}-91e2-4c2b-a7de-5f2c1b7f60a1@192.0.2.1"),
        cseq,
        q: 1000,
        expires_at: 1_800_000_000_000 + u64::from(cseq),
        received: format!("udp:192.0.2.1:5060/198.51.100.7:{}", 1024 + number % 60_000),
        user_agent: Some("A phone of some vendor 1.2.3".to_owned()),
        registered_at: 1_700_000_000_000,
        ..Binding::default()
    }
}

/// Refreshes `count` bindings of `phones` phones in scattered order; returns how long each commit took.
fn refresh(store: &Store, phones: u32, count: u32, batch: u32) -> Vec<Duration> {
    let mut waits = Vec::new();
    let (done, told) = mpsc::channel();
    for start in (0..count).step_by(batch as usize) {
        let began = Instant::now();
        for number in start..start + batch {
            let phone = (u64::from(number) * 2_654_435_761 % u64::from(phones)) as u32;
            let done = done.clone();
            let change = vec![BindingChange::Put(binding(phone, number))];
            let told = store.apply(change, move |result| {
                done.send(result).expect("the bench waits")
            });
            told.expect("the queue holds a batch");
        }
        for _ in 0..batch {
            told.recv()
                .expect("every change is completed")
                .expect("the disk has room");
        }
        waits.push(began.elapsed());
    }
    waits
}

fn purge(store: &Store) {
    let (done, told) = mpsc::channel();
    store
        .purge_expired(1, move |result| done.send(result).expect("the bench waits"))
        .expect("the queue has room");
    told.recv().expect("completed").expect("the disk has room");
}

/// Ten seconds of a watcher with nothing to hear.
fn watch(store: &Store) {
    let account = Account {
        user: "a".into(),
        domain: "b".into(),
        credentials: Vec::new(),
        display_name: None,
        enabled: true,
        created: 0,
        changed: 0,
    };
    store.put_account(account).expect("the disk has room");
    let (heard, changes) = mpsc::channel();
    let watch = store
        .watch_accounts(move |result| drop(heard.send(result)))
        .expect("the file can be read");
    changes
        .recv()
        .expect("told of the account")
        .expect("the file can be read");
    let before = cpu_of_living_threads();
    let _ = changes.recv_timeout(Duration::from_secs(10));
    let cpu = cpu_of_living_threads().saturating_sub(before);
    println!(
        "{:<28}{:>8.4} % of a CPU",
        "watching",
        cpu.as_secs_f64() * 10.0
    );
    drop(watch);
}

struct Run {
    cpu: Duration,
    commits: u64,
    waits: Vec<Duration>,
}

fn measured(run: impl FnOnce() -> Vec<Duration>) -> Run {
    let (mut waits, cpu) = cpu_of(run);
    waits.sort();
    Run {
        cpu,
        commits: waits.len() as u64,
        waits,
    }
}

fn report(name: &str, bindings: u32, run: &Run) {
    let at = |part: f64| {
        run.waits
            .get((run.waits.len() as f64 * part) as usize)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "{name:<28}{:>8.2} us CPU a binding; {} commits, median {:.2?}, 99 % {:.2?}, worst {:.2?}",
        micros(run.cpu) / f64::from(bindings),
        run.commits,
        at(0.5),
        at(0.99),
        run.waits.last().copied().unwrap_or_default(),
    );
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn cpu_of<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let before = cpu();
    let result = run();
    (result, cpu().saturating_sub(before))
}

/// CPU used by this process, also by threads that have ended; counted in ticks of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    Duration::from_millis(
        fields
            .filter_map(|field| field.parse::<u64>().ok())
            .sum::<u64>()
            * 10,
    )
}

/// CPU used by the threads that live, to the nanosecond.
fn cpu_of_living_threads() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let nanos = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}
