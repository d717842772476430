//! Calls over loopback sockets, with the system's clock.

mod calls;
mod peer;
mod refusals;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use net::RtpPorts;

use super::{CallKey, Services};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Each test has a range of ports of its own, below those that the system gives to other sockets.
fn services(first: u16, pairs: u16, max_calls: usize) -> Services {
    let ports = RtpPorts::new(first..=first + 2 * pairs - 1);
    Services::start(ports, max_calls).unwrap()
}

fn call(n: u64) -> CallKey {
    CallKey(n)
}
