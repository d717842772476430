//! A process without file descriptors. Alone in its file, because the limit is the process's.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod probe;

use std::io::{Read, Write};
use std::net::TcpStream;

use probe::{PATIENCE, answer, config, request, start};
use sip::flow::Transport;

/// How many file descriptors this process has open.
fn open_files() -> u64 {
    std::fs::read_dir("/proc/self/fd").unwrap().count() as u64
}

fn limit_files(most: u64) {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: the pointer leads to a value on this stack frame.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
}

#[test]
fn accepting_pauses_without_file_descriptors_and_goes_on_with_them() {
    let (driver, local, _heard) = start(config(Transport::Tcp, "127.0.0.1:0"), 1);
    let statistics = driver.statistics();
    let mut first = TcpStream::connect(local).unwrap();
    first.set_read_timeout(Some(PATIENCE)).unwrap();
    first.write_all(request("f", 1).as_bytes()).unwrap();
    let want = answer("f", 1);
    let mut buffer = vec![0; want.len()];
    first.read_exact(&mut buffer).unwrap();
    // Room for the client's end of the next connection but not for the server's.
    limit_files(open_files());
    let mut second = TcpStream::connect(local).unwrap();
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    second.write_all(request("f", 1).as_bytes()).unwrap();
    while statistics.accept_paused.value() == 0 {
        std::thread::yield_now();
    }
    drop(first);
    second.read_exact(&mut buffer).unwrap();
    assert_eq!(buffer, want.as_bytes());
    assert_eq!(statistics.connections_accepted.value(), 2);
}
