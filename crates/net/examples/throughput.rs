//! Answers requests as fast as the network carries them, or asks them at a steady rate.
//!
//! ```text
//! throughput serve [ADDRESS] [WORKERS]           # ends with its standard input, prints counters
//! throughput load ADDRESS RATE SECONDS [CALLS]   # prints how many came back, and how fast
//! ```
//!
//! System calls per message: run `strace -c -f throughput serve …` and divide.

use std::io::{self, Read};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use net::{Driver, Machine, NetConfig, Outputs};
use sip::endpoint::Input;
use sip::flow::{Transmit, Transport};
use sip::time::Time;

type Failure = Box<dyn std::error::Error>;

/// Sends every request back.
struct Echo;

impl Machine for Echo {
    type Command = ();

    fn start(&mut self, _: Time, _: &mut Outputs) -> Option<Time> {
        None
    }

    fn input(&mut self, _: Time, input: Input<'_>, out: &mut Outputs) -> Option<Time> {
        if let Input::Packet { flow, packet } = input {
            let bytes = packet.store().bytes().clone();
            out.transmit(Transmit { flow, bytes });
        }
        None
    }

    fn command(&mut self, _: Time, (): (), _: &mut Outputs) -> Option<Time> {
        None
    }

    fn stop(&mut self, _: Time, _: &mut Outputs) -> Option<Time> {
        None
    }

    fn is_idle(&self) -> bool {
        true
    }
}

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |n: usize, default: &str| words.get(n).cloned().unwrap_or(default.to_owned());
    match word(0, "").as_str() {
        "serve" => serve(word(1, "127.0.0.1:5090").parse()?, word(2, "1").parse()?),
        "load" => load(
            word(1, "127.0.0.1:5090").parse()?,
            word(2, "9000").parse()?,
            word(3, "5").parse()?,
            word(4, "64").parse()?,
        ),
        _ => Err("say serve or load".into()),
    }
}

fn serve(address: SocketAddr, workers: usize) -> Result<(), Failure> {
    let config = NetConfig {
        workers,
        ..NetConfig::new(vec![(Transport::Udp, address)])
    };
    let shards = workers.max(1) * 4;
    let driver = Driver::start(config, |_| (0..shards).map(|_| Echo).collect())?;
    for listener in driver.listeners() {
        println!("listening on {} {}", listener.transport, listener.local);
    }
    io::stdin().read_to_end(&mut Vec::new())?;
    let statistics = driver.statistics();
    driver.shutdown(Duration::ZERO);
    for (name, value) in statistics.all().into_iter().filter(|(_, v)| *v > 0) {
        println!("{name}: {value}");
    }
    Ok(())
}

fn load(address: SocketAddr, rate: u64, seconds: u64, calls: u64) -> Result<(), Failure> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    let total = rate * seconds;
    let begin = Instant::now();
    let mut late = Vec::new();
    let mut sent = 0;
    let mut buffer = [0; 4_096];
    let end = begin + Duration::from_secs(seconds) + Duration::from_millis(500);
    while (late.len() as u64) < total && Instant::now() < end {
        // One at a time at its moment, so that the load does not come in batches of its own.
        if sent < total
            && begin.elapsed().as_nanos() >= u128::from(sent) * 1_000_000_000 / u128::from(rate)
        {
            let now = begin.elapsed().as_nanos();
            let text = message(sent % calls, now);
            if socket.send_to(text.as_bytes(), address).is_ok() {
                sent += 1;
            }
        }
        if let Ok(count) = socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]);
            let at = text.find("X-Sent: ").map_or(0, |p| p + 8);
            let then: u128 = text[at..].split('\r').next().unwrap_or("0").parse()?;
            late.push(begin.elapsed().as_nanos().saturating_sub(then));
        }
    }
    late.sort_unstable();
    let at = |share: usize| late.get(late.len() * share / 100).copied().unwrap_or(0) / 1_000;
    println!(
        "sent {sent}, returned {}, {:.0}/s, round trip µs: median {}, 95 % {}, 99 % {}",
        late.len(),
        late.len() as f64 / begin.elapsed().as_secs_f64(),
        at(50),
        at(95),
        at(99),
    );
    Ok(())
}

/// About as large as a usual INVITE without its body.
fn message(call: u64, now: u128) -> String {
    format!(
        "INVITE sip:service@192.0.2.4:5060 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.3:5060;branch=z9hG4bK-524287-{now}-0\r\n\
         Max-Forwards: 70\r\n\
         From: sipp <sip:sipp@192.0.2.3:5060>;tag={call}SIPpTag001\r\n\
         To: service <sip:service@192.0.2.4:5060>\r\n\
         Call-ID: {call}-524287@192.0.2.3\r\n\
         CSeq: 1 INVITE\r\n\
         Contact: sip:sipp@192.0.2.3:5060\r\n\
         X-Sent: {now}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}
