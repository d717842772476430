//! Frames of RFC 6455 §5.2: the head before the payload, and the mask over it.
//!
//! ```text
//! FIN RSV RSV RSV opcode(4) | MASK length(7) | length(16 or 64) | key(32) | payload
//! ```

/// What a frame carries (RFC 6455 §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// More of the message that an earlier frame began.
    Continuation,
    /// A message, or its beginning, in UTF-8.
    Text,
    /// A message, or its beginning, of any octets.
    Binary,
    /// The end of the connection.
    Close,
    /// Wants a pong with the same payload.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Opcode {
    const fn code(self) -> u8 {
        match self {
            Opcode::Continuation => 0,
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        }
    }

    const fn from_code(code: u8) -> Option<Opcode> {
        Some(match code {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    /// Whether it is about the connection and may stand between the frames of a message (§5.5).
    pub(super) const fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// The most octets that a control frame carries (§5.5).
pub(super) const MAX_CONTROL: usize = 125;

/// The head of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Whether the message ends with this frame.
    pub(super) last: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: Option<[u8; 4]>,
    /// Octets of the head itself.
    pub(super) size: usize,
    /// Octets of the payload.
    pub(super) length: usize,
}

/// What makes a frame one that nobody may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Against the protocol.
    Protocol,
    /// Longer than `limit`.
    TooLarge,
}

/// Reads the head of the frame at the front of `bytes`; `None` until it is whole. Payloads above `limit` are refused.
pub(super) fn head(bytes: &[u8], limit: usize) -> Result<Option<Head>, Wrong> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    // No extension was agreed that would give the reserved bits a meaning.
    if first & 0x70 != 0 {
        return Err(Wrong::Protocol);
    }
    let opcode = Opcode::from_code(first & 0x0f).ok_or(Wrong::Protocol)?;
    let last = first & 0x80 != 0;
    let short = second & 0x7f;
    let (length, rest) = match short {
        126 => match rest {
            [a, b, rest @ ..] => (u64::from(u16::from_be_bytes([*a, *b])), rest),
            _ => return Ok(None),
        },
        127 => match rest {
            [a, b, c, d, e, f, g, h, rest @ ..] => {
                let octets = [*a, *b, *c, *d, *e, *f, *g, *h];
                (u64::from_be_bytes(octets), rest)
            }
            _ => return Ok(None),
        },
        short => (u64::from(short), rest),
    };
    if opcode.is_control() && (!last || short as usize > MAX_CONTROL) {
        return Err(Wrong::Protocol);
    }
    let length = usize::try_from(length).map_err(|_| Wrong::TooLarge)?;
    if length > limit {
        return Err(Wrong::TooLarge);
    }
    let (mask, rest) = if second & 0x80 == 0 {
        (None, rest)
    } else {
        match rest {
            [a, b, c, d, rest @ ..] => (Some([*a, *b, *c, *d]), rest),
            _ => return Ok(None),
        }
    };
    Ok(Some(Head {
        last,
        opcode,
        mask,
        size: bytes.len() - rest.len(),
        length,
    }))
}

/// Puts a mask on, or takes it off again (§5.3).
pub(super) fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    for chunk in payload.chunks_mut(4) {
        for (octet, key) in chunk.iter_mut().zip(mask) {
            *octet ^= key;
        }
    }
}

/// Appends the head of a frame that is a whole message or a control frame, `length` octets long.
pub fn write_head(out: &mut Vec<u8>, opcode: Opcode, length: usize, mask: Option<[u8; 4]>) {
    out.push(0x80 | opcode.code());
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => out.push(masked | short),
        (_, Ok(middle)) => {
            out.push(masked | 126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(mask.as_ref().map_or(&[][..], |m| &m[..]));
}

/// One whole frame; a client masks what it sends, a server does not (§5.1).
pub fn frame(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 14);
    write_head(&mut out, opcode, payload.len(), mask);
    let at = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(&mut out[at..], mask);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back_as_they_were_written() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let mut out = Vec::new();
                write_head(&mut out, Opcode::Binary, length, mask);
                let read = head(&out, 1 << 20).unwrap().unwrap();
                assert_eq!(
                    (read.length, read.mask, read.size),
                    (length, mask, out.len())
                );
                assert!(read.last);
                for cut in 0..out.len() {
                    assert_eq!(head(&out[..cut], 1 << 20), Ok(None), "{length} at {cut}");
                }
            }
        }
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // §5.7.
        assert_eq!(
            frame(Opcode::Text, b"Hello", None),
            b"\x81\x05\x48\x65\x6c\x6c\x6f"
        );
        assert_eq!(
            frame(Opcode::Text, b"Hello", Some([0x37, 0xfa, 0x21, 0x3d])),
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        );
    }

    #[test]
    fn what_nobody_may_send_is_refused() {
        for (bytes, wrong) in [
            (&[0xc1, 0x00][..], Wrong::Protocol),
            (&[0x83, 0x00], Wrong::Protocol),
            (&[0x09, 0x00], Wrong::Protocol),
            (&[0x89, 126, 0, 126], Wrong::Protocol),
            (&[0x82, 127, 255, 0, 0, 0, 0, 0, 0, 0], Wrong::TooLarge),
            (&[0x82, 126, 1, 0], Wrong::TooLarge),
        ] {
            assert_eq!(head(bytes, 200), Err(wrong), "{bytes:?}");
        }
    }
}
