//! Work for `bench/instructions`: `srtp protect|unprotect SUITE PACKETS` protects, and with `unprotect` also opens,
//! so many packets of 20 ms of G.711.

use std::hint::black_box;
use std::process::ExitCode;

use media::srtp::{Inbound, MasterKey, Outbound, Refusal, Suite};

#[inline(never)]
fn measured_protect(outbound: &mut Outbound, packet: &mut Vec<u8>) -> Result<(), Refusal> {
    outbound.protect_rtp(black_box(packet))
}

#[inline(never)]
fn measured_unprotect(inbound: &mut Inbound, packet: &mut Vec<u8>) -> Result<(), Refusal> {
    inbound.unprotect_rtp(black_box(packet))
}

fn run(suite: Suite, packets: u16, opens: bool) -> Result<(), Refusal> {
    let octets = vec![7; suite.key_length() + suite.salt_length()];
    let key = MasterKey::new(suite, &octets, &[]).ok_or(Refusal::Malformed)?;
    let (mut outbound, mut inbound) = (Outbound::new(&key), Inbound::new(&key));
    let mut packet = Vec::with_capacity(256);
    for sequence in 0..packets {
        packet.clear();
        packet.extend_from_slice(&[0x80, 0]);
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.resize(12 + 160, 0x55);
        measured_protect(&mut outbound, &mut packet)?;
        if opens {
            measured_unprotect(&mut inbound, &mut packet)?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, suite, packets] = arguments.as_slice() else {
        return ExitCode::from(2);
    };
    let suite = match suite.as_str() {
        "sha1" => Suite::AesCm128Sha1_80,
        "gcm" => Suite::AesGcm128,
        _ => return ExitCode::from(2),
    };
    match packets.parse() {
        Ok(packets) if run(suite, packets, what == "unprotect").is_ok() => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}
