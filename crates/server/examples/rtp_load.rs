//! The phones of `bench/relay`: `rtp_load CALLS SECONDS` prints the RTP ports of the two phones of each call, reads the
//! ports that they are to send to, sends G.711 both ways, and says `start`, then `stop SENT RECEIVED`.

use std::error::Error;
use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

/// How long it sends before it counts: whoever learns addresses has learnt them by then.
const WARM_UP: Duration = Duration::from_secs(4);
const FRAME: Duration = Duration::from_millis(20);
/// Sending is spread over a frame in so many steps.
const STEPS: usize = 20;

struct Phone {
    socket: UdpSocket,
    to: u16,
    packet: [u8; 172],
    sequence: u16,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let calls: usize = arguments.next().ok_or("how many calls?")?.parse()?;
    let seconds: u64 = arguments.next().ok_or("how many seconds?")?.parse()?;
    let mut phones = Vec::new();
    let ports = net::RtpPorts::new(33_000..=60_999);
    for ssrc in 0..2 * calls as u32 {
        let socket = ports.allocate(Ipv4Addr::LOCALHOST.into())?.rtp;
        socket.set_nonblocking(true)?;
        let mut packet = [0xd5; 172];
        packet[..12].fill(0);
        packet[0] = 0x80;
        packet[1] = 8;
        packet[8..12].copy_from_slice(&(ssrc + 1).to_be_bytes());
        phones.push(Phone {
            socket,
            to: 0,
            packet,
            sequence: 0,
        });
    }
    for pair in phones.chunks_mut(2) {
        let of = |phone: &Phone| phone.socket.local_addr().map(|a| a.port());
        println!("{} {}", of(&pair[0])?, of(&pair[1])?);
        std::io::stdout().flush()?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        let (a, b) = line.trim().split_once(' ').ok_or("two ports make a line")?;
        (pair[0].to, pair[1].to) = (a.parse()?, b.parse()?);
    }
    run(&mut phones, WARM_UP)?;
    println!("start");
    std::io::stdout().flush()?;
    let (sent, received) = run(&mut phones, Duration::from_secs(seconds))?;
    println!("stop {sent} {received}");
    Ok(())
}

fn run(phones: &mut [Phone], time: Duration) -> std::io::Result<(u64, u64)> {
    let begun = Instant::now();
    let step = FRAME / STEPS as u32;
    let (mut sent, mut received) = (0, 0);
    let mut buffer = [0; 2048];
    for turn in 0.. {
        let due = step * turn as u32;
        if due >= time {
            break;
        }
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        for phone in phones.iter_mut().skip(turn % STEPS).step_by(STEPS) {
            phone.sequence = phone.sequence.wrapping_add(1);
            phone.packet[2..4].copy_from_slice(&phone.sequence.to_be_bytes());
            let time = u32::from(phone.sequence) * 160;
            phone.packet[4..8].copy_from_slice(&time.to_be_bytes());
            phone
                .socket
                .send_to(&phone.packet, (Ipv4Addr::LOCALHOST, phone.to))?;
            sent += 1;
            while phone.socket.recv_from(&mut buffer).is_ok() {
                received += 1;
            }
        }
    }
    Ok((sent, received))
}
