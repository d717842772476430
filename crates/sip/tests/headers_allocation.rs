//! Reading headers takes no memory.

#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sip::header::{
    CSeq, CallId, ContactList, ContentType, Event, HeaderName, NameAddr, Params, Replaces,
    SessionExpires, Tokens, Via, Warning,
};
use sip::uri::Uri;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches a plain cell only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
}

#[test]
fn no_reader_allocates() {
    let counted = allocations(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(counted, 1, "the counter does not count");
    let used = allocations(|| {
        let uri = Uri::parse(b"sip:%61:p@[::1]:5070;transport=tcp;%6Cr?a=b").unwrap();
        assert!(uri.is_loose_router() && uri.transport().is_some() && uri.same_as(&uri));
        let via = b"SIP/2.0/UDP a:1;branch=z9hG4bKx;received=::1;rport=2 (c), SIP / 2.0/TCP b";
        assert_eq!(Via::parse_list(via).map(Result::unwrap).count(), 2);
        let from = NameAddr::parse(b"\"A\\\"B\" <sip:a@b>\r\n ;tag=1;x=\"y\"").unwrap();
        assert!(from.tag().is_some() && from.params.count() == 2);
        let contacts = ContactList::parse(b"<sip:a>;q=0.5;expires=7, sip:b").addresses();
        assert_eq!(
            contacts
                .map(Result::unwrap)
                .filter_map(|c| c.q())
                .sum::<u16>(),
            500
        );
        assert_eq!(CSeq::parse(b"1 INVITE").unwrap().number, 1);
        assert!(CallId::parse(b"a@b").is_ok() && Event::parse(b"refer;id=1").is_ok());
        assert!(ContentType::parse(b"a/b;c=d").is_ok() && Params::parse(b";a=b").is_ok());
        assert!(Replaces::parse(b"a;to-tag=1;from-tag=2").is_ok());
        assert!(SessionExpires::parse(b"90;refresher=uac").is_ok());
        assert!(Tokens::parse(b"100rel, timer").has(b"timer"));
        assert_eq!(Warning::parse_list(b"399 a \"b\"").count(), 1);
        assert_eq!(HeaderName::from_bytes(b"call-id"), HeaderName::CallId);
        assert!(Uri::parse(b"sip:").is_err() && NameAddr::parse(b"<").is_err());
    });
    assert_eq!(used, 0);
}
