use super::*;

const REQUEST: &str = "GET /sip HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame of a client, the last of its message or not.
fn sent(opcode: Opcode, payload: &[u8], last: bool) -> Vec<u8> {
    let mut bytes = frame(opcode, payload, Some(MASK));
    if !last {
        bytes[0] &= 0x7f;
    }
    bytes
}

fn told(socket: &mut WebSocket) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(event) = socket.next_event() {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        all.push(match event {
            Event::Opened(answer) => text(&answer[..12]),
            Event::Refused(answer) => format!("refused {}", text(&answer[9..12])),
            Event::Message(message) => format!("message {}", text(message)),
            Event::KeepAlive => "keep-alive".into(),
            Event::Pinged(answer) => format!("ping {}", text(&answer[2..])),
            Event::Pong => "pong".into(),
            Event::Closed(answer) => format!("closed {:?}", &answer[2..]),
            Event::Failed(answer) => {
                format!("failed {}", u16::from_be_bytes([answer[2], answer[3]]))
            }
        });
    }
    all
}

fn open() -> WebSocket {
    let mut socket = WebSocket::new(Arc::new([]));
    socket.push(REQUEST.as_bytes());
    assert_eq!(told(&mut socket), ["HTTP/1.1 101"]);
    assert!(socket.is_open());
    socket
}

#[test]
fn messages_come_out_whole_however_the_octets_arrive() {
    let long = "x".repeat(MAX_MESSAGE);
    let parts = [
        REQUEST.as_bytes().to_vec(),
        sent(Opcode::Text, b"one", true),
        sent(Opcode::Ping, b"there?", true),
        sent(Opcode::Binary, b"tw", false),
        sent(Opcode::Pong, b"", true),
        sent(Opcode::Continuation, b"", false),
        sent(Opcode::Continuation, b"o", true),
        sent(Opcode::Text, b"\r\n\r\n", true),
        sent(Opcode::Text, b"\r\n", true),
        sent(Opcode::Text, long.as_bytes(), true),
        sent(Opcode::Close, &1001u16.to_be_bytes(), true),
        b"whatever comes later".to_vec(),
    ];
    let expected = [
        "HTTP/1.1 101",
        "message one",
        "ping there?",
        "pong",
        "message two",
        "keep-alive",
        "pong",
        &format!("message {long}"),
        "closed [3, 233]",
    ];
    let all = parts.concat();
    let mut socket = WebSocket::new(Arc::new([]));
    socket.push(&all);
    assert_eq!(told(&mut socket), expected);
    let mut socket = WebSocket::new(Arc::new([]));
    let mut got = Vec::new();
    for octet in &all {
        socket.push(&[*octet]);
        got.extend(told(&mut socket));
    }
    assert_eq!(got, expected);
    assert_eq!(socket.pending(), 0);
}

#[test]
fn what_breaks_the_protocol_ends_the_connection() {
    let half = "x".repeat(MAX_MESSAGE / 2 + 1);
    for (bytes, code) in [
        (frame(Opcode::Text, b"not masked", None), 1002),
        (sent(Opcode::Continuation, b"of nothing", true), 1002),
        (
            [
                sent(Opcode::Text, b"a", false),
                sent(Opcode::Text, b"b", true),
            ]
            .concat(),
            1002,
        ),
        (sent(Opcode::Text, b"\xff\xfe", true), 1007),
        (sent(Opcode::Close, b"1", true), 1002),
        (sent(Opcode::Binary, &vec![0; MAX_MESSAGE + 1], true), 1009),
        (
            [
                sent(Opcode::Binary, half.as_bytes(), false),
                sent(Opcode::Continuation, half.as_bytes(), true),
            ]
            .concat(),
            1009,
        ),
    ] {
        let mut socket = open();
        socket.push(&bytes);
        assert_eq!(told(&mut socket), [format!("failed {code}")]);
        socket.push(&sent(Opcode::Text, b"more", true));
        assert_eq!((told(&mut socket).len(), socket.pending()), (0, 0));
    }
}

#[test]
fn what_is_no_request_is_refused_at_once() {
    for (bytes, status) in [
        (&b"\x16\x03\x01"[..], 400),
        (b"OPTIONS sip:a SIP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 426),
        (&vec![b'A'; MAX_HEAD + 1], 431),
    ] {
        let mut socket = WebSocket::new(Arc::new([]));
        socket.push(bytes);
        assert_eq!(told(&mut socket), [format!("refused {status}")]);
        assert!(!socket.is_open());
    }
    let mut socket = WebSocket::new(Arc::new([]));
    for _ in 0..MAX_HEAD {
        socket.push(b"A");
        assert_eq!(socket.next_event(), None, "the rest may be on its way");
    }
}

#[test]
fn unfinished_octets_are_counted() {
    let mut socket = open();
    socket.push(&sent(Opcode::Text, b"begun", false));
    assert!(told(&mut socket).is_empty());
    socket.push(&sent(Opcode::Continuation, b"not whole", true)[..6]);
    assert!(told(&mut socket).is_empty());
    assert_eq!(socket.pending(), 5 + 6);
}

#[test]
fn what_is_text_goes_as_text() {
    assert_eq!(kind_of("SIP/2.0 200 Schön".as_bytes()), Opcode::Text);
    assert_eq!(kind_of(b"\xff"), Opcode::Binary);
    assert_eq!(goodbye(), [0x88, 2, 3, 232]);
}
