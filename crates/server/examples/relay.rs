//! The media relay alone, for `bench/relay`: on each line of input the RTP ports of two phones on this machine, on each
//! line of output the ports of the relay that they send to. It ends with its input.

use std::error::Error;
use std::io::{BufRead, Write};
use std::net::{IpAddr, Ipv4Addr};

use server::relay::{Facing, Limits, Relay, Session, Side};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn main() -> Result<(), Box<dyn Error>> {
    let relay = Relay::start(net::RtpPorts::new(16_384..=32_767), Limits::default())?;
    let mut calls = Vec::new();
    for (key, line) in (0..).zip(std::io::stdin().lock().lines()) {
        let line = line?;
        let (a, b) = line.split_once(' ').ok_or("two ports make a line")?;
        let mut call = relay.open(Session {
            key,
            caller: Facing::at(HERE),
            callee: Facing::at(HERE),
        })?;
        let to_b = call.offer(Side::Caller, 1, describe(a).as_bytes(), HERE)?;
        let to_a = call.answer(Side::Callee, 1, describe(b).as_bytes(), HERE)?;
        call.settle(1)?;
        println!("{} {}", port(&to_a)?, port(&to_b)?);
        std::io::stdout().flush()?;
        calls.push(call);
    }
    Ok(())
}

fn describe(port: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {HERE}\r\ns=-\r\nc=IN IP4 {HERE}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n"
    )
}

fn port(sdp: &[u8]) -> Result<u16, Box<dyn Error>> {
    let session = sdp::Session::parse(sdp)?;
    Ok(session.media.first().ok_or("no stream")?.port)
}
