//! Any payload for every codec that this machine can run: the first octet chooses the codec and what is done, the second says
//! how long the payload is.
#![no_main]

use media::codec::{CodecError, CodecKind};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut codecs: Vec<_> = CodecKind::ALL
        .into_iter()
        .filter(|kind| kind.available().is_ok())
        .map(CodecKind::codec)
        .collect();
    let mut out = vec![0i16; 48_000];
    let mut rest = data;
    while let [what, length, tail @ ..] = rest {
        let (payload, next) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = next;
        let which = usize::from(*what) % codecs.len();
        let codec = &mut codecs[which];
        let frame = (codec.kind().default_packet_ms() * codec.kind().sample_rate() / 1000) as usize;
        match what >> 6 {
            0 => {
                codec.conceal(&mut out[..frame]);
            }
            1 => {
                codec.recover(payload, &mut out[..frame]);
            }
            _ => {
                let said = codec.samples(payload);
                match codec.decode(payload, &mut out) {
                    Ok(made) => assert_eq!(Some(made), said),
                    Err(CodecError::BufferTooSmall) => assert!(said > Some(out.len())),
                    Err(error) => assert_eq!(error, CodecError::Payload),
                }
                codec.is_pause(payload);
            }
        }
    }
});
