//! The way of a good request through authentication takes no memory from the heap.

#![allow(clippy::unwrap_used)]

use sip::auth::{Account, Ha1, Nonces, ProtectionSpace, Secret, Subject, Verdict, answer, choose};
use sip::time::Time;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes on to the system's allocator unchanged; counting touches a plain cell of this thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

#[test]
fn accepting_allocates_nothing() {
    let now = Time::from_millis(5);
    let space = ProtectionSpace::new("pbx.example.com");
    let nonces = Nonces::new(&[9; 32], Time::ZERO, Duration::from_secs(60));
    let ha1 = Ha1::new("1001", "pbx.example.com", "secret");
    let account = Account {
        username: "1001".to_owned(),
        secret: Secret::Password("secret".to_owned()),
    };
    let subject = Subject {
        method: b"INVITE",
        uri: b"sip:1002@pbx.example.com",
        body: b"",
    };
    let challenges: Vec<String> = space
        .challenges(&nonces.issue(now, &space.realm), false)
        .collect();
    let mut checked = 0;
    for value in &challenges {
        let chosen = choose([value.as_bytes()], |_| true);
        for count in 1..=3 {
            let nc = count + if value.contains("MD5") { 10 } else { 0 };
            let header = answer(&chosen[0], &account, &subject, nc, "cnonce").unwrap();
            let taken = allocations(|| {
                let credentials = space.find([header.as_bytes()]).unwrap().unwrap();
                let verdict =
                    space.judge(&nonces, now, &credentials, Some(&ha1), &subject, |_| false);
                assert!(matches!(verdict, Verdict::Accept(_)), "{verdict:?}");
            });
            assert_eq!(taken, 0, "{header}");
            checked += 1;
        }
    }
    assert_eq!(checked, 6);
    let issuing = allocations(|| assert_eq!(nonces.issue(now, "r").as_str().len(), 48));
    assert_eq!(issuing, 0);
    assert!(
        allocations(|| drop(vec![0u8; 10])) > 0,
        "the counter counts"
    );
}
