//! A raw SIP element at one socket.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use sip::auth::{Account, Asker, Challenged, Client, Secret, Subject};
use sip::wire::websocket::{Opcode, frame};

use crate::message::{Message, Request, word};

/// Longer than anything here takes; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// After this time a datagram may have been lost.
const AGAIN: Duration = Duration::from_millis(1000);

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
    /// As a browser does: what has arrived of frames.
    WebSocket(TcpStream, Vec<u8>),
}

/// One socket and what is known of the way to the server.
pub struct Peer {
    socket: Socket,
    server: SocketAddr,
    local: SocketAddr,
    seen: HashSet<Vec<u8>>,
    /// Challenges with other algorithms are not looked at.
    pub algorithm: Option<&'static str>,
}

impl Peer {
    pub fn udp(server: SocketAddr) -> Peer {
        Peer::udp_at(&server.ip().to_string(), server)
    }

    pub fn udp_at(ip: &str, server: SocketAddr) -> Peer {
        let ip: std::net::IpAddr = ip.parse().unwrap();
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        let local = socket.local_addr().unwrap();
        Peer::new(Socket::Udp(socket), server, local)
    }

    pub fn tcp(server: SocketAddr) -> Peer {
        Peer::over(TcpStream::connect(server).unwrap())
    }

    /// A WebSocket, opened.
    pub fn websocket(server: SocketAddr) -> Peer {
        let mut stream = TcpStream::connect(server).unwrap();
        stream
            .write_all(
                b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n",
            )
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            stream.read_exact(&mut octet).unwrap();
            answer.extend_from_slice(&octet);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
        let local = stream.local_addr().unwrap();
        Peer::new(Socket::WebSocket(stream, Vec::new()), server, local)
    }

    /// The next connection that somebody opens to a listener.
    pub fn accept(listener: &TcpListener) -> Peer {
        listener.set_nonblocking(true).unwrap();
        let start = Instant::now();
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    return Peer::over(stream);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    assert!(start.elapsed() < PATIENCE, "nobody connected");
                    std::thread::yield_now();
                }
                Err(e) => panic!("{e}"),
            }
        }
    }

    fn over(stream: TcpStream) -> Peer {
        stream.set_nodelay(true).unwrap();
        let local = stream.local_addr().unwrap();
        let server = stream.peer_addr().unwrap();
        Peer::new(Socket::Tcp(stream, Vec::new()), server, local)
    }

    fn new(socket: Socket, server: SocketAddr, local: SocketAddr) -> Peer {
        Peer {
            socket,
            server,
            local,
            seen: HashSet::new(),
            algorithm: None,
        }
    }

    pub fn local(&self) -> SocketAddr {
        self.local
    }

    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// Sends to another server from now on.
    pub fn turn_to(&mut self, server: SocketAddr) {
        self.server = server;
    }

    /// A Contact value of this peer.
    pub fn contact(&self, user: &str) -> String {
        match self.socket {
            Socket::Udp(_) => format!("<sip:{user}@{}>", self.local),
            Socket::Tcp(..) => format!("<sip:{user}@{};transport=tcp>", self.local),
            Socket::WebSocket(..) => format!("<sip:{user}@q7x9k.invalid;transport=ws>"),
        }
    }

    pub fn text(&self, request: &Request) -> String {
        let transport = match self.socket {
            Socket::Udp(_) => "UDP",
            Socket::Tcp(..) => "TCP",
            Socket::WebSocket(..) => "WS",
        };
        request.print(transport, self.local)
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        match &mut self.socket {
            Socket::Udp(socket) => {
                socket.send_to(bytes, self.server).unwrap();
            }
            Socket::Tcp(stream, _) => stream.write_all(bytes).unwrap(),
            Socket::WebSocket(stream, _) => {
                let octets = frame(Opcode::Text, bytes, Some([7, 0, 1, 9]));
                stream.write_all(&octets).unwrap();
            }
        }
    }

    pub fn send(&mut self, request: &Request) {
        let text = self.text(request);
        self.send_bytes(text.as_bytes());
    }

    pub fn respond(&mut self, response: &Message) {
        self.send_bytes(&response.print());
    }

    /// The next message that was not seen before, or `None` when none comes in this time.
    pub fn poll(&mut self, time: Duration) -> Option<Message> {
        let end = Instant::now() + time;
        loop {
            let left = end.checked_duration_since(Instant::now())?;
            let bytes = self.read(left.max(Duration::from_millis(1)))?;
            if bytes.iter().any(|b| !matches!(b, b'\r' | b'\n')) && self.seen.insert(bytes.clone())
            {
                return Some(Message::parse(&bytes));
            }
        }
    }

    fn read(&mut self, time: Duration) -> Option<Vec<u8>> {
        let waited =
            |e: &std::io::Error| matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        let is_websocket = matches!(self.socket, Socket::WebSocket(..));
        match &mut self.socket {
            Socket::Udp(socket) => {
                socket.set_read_timeout(Some(time)).unwrap();
                let mut buffer = vec![0; 65_536];
                match socket.recv_from(&mut buffer) {
                    Ok((n, _)) => {
                        buffer.truncate(n);
                        Some(buffer)
                    }
                    Err(e) if waited(&e) => None,
                    Err(e) => panic!("{e}"),
                }
            }
            Socket::Tcp(stream, buffer) | Socket::WebSocket(stream, buffer) => {
                stream.set_read_timeout(Some(time)).unwrap();
                loop {
                    if is_websocket {
                        if let Some((head, length)) = payload(buffer) {
                            buffer.drain(..head);
                            return Some(buffer.drain(..length).collect());
                        }
                    } else if let Some(length) = framed(buffer) {
                        return Some(buffer.drain(..length).collect());
                    }
                    let mut part = [0; 16_384];
                    match stream.read(&mut part) {
                        Ok(0) => return None,
                        Ok(n) => buffer.extend_from_slice(&part[..n]),
                        Err(e) if waited(&e) => return None,
                        Err(e) => panic!("{e}"),
                    }
                }
            }
        }
    }

    /// The next message, whatever it is.
    pub fn receive(&mut self) -> Message {
        self.poll(PATIENCE).expect("a message arrives")
    }

    /// The next request; it must have this method.
    pub fn expect_request(&mut self, method: &str) -> Message {
        let message = self.receive();
        assert!(
            message.is_request() && message.method() == method,
            "{method}: {message:?}"
        );
        message
    }

    /// The next response other than 100; it must have this status.
    pub fn expect(&mut self, status: u16) -> Message {
        loop {
            let message = self.receive();
            if message.status() != 100 {
                assert_eq!(message.status(), status, "{message:?}");
                return message;
            }
        }
    }

    /// Sends a request until its final response comes; other messages are lost. A failed INVITE is acknowledged.
    pub fn exchange(&mut self, request: &Request) -> Message {
        let text = self.text(request);
        let cseq = format!("{} {}", request.cseq, request.method);
        let start = Instant::now();
        let mut proceeding = false;
        self.send_bytes(text.as_bytes());
        loop {
            assert!(start.elapsed() < PATIENCE, "no answer to {text}");
            let Some(message) = self.poll(AGAIN) else {
                if !proceeding && matches!(self.socket, Socket::Udp(_)) {
                    self.send_bytes(text.as_bytes());
                }
                continue;
            };
            if message.is_request()
                || message.value("Call-ID") != request.call
                || message.value("CSeq") != cseq
            {
                continue;
            }
            if message.status() < 200 {
                proceeding = true;
                continue;
            }
            if request.method == "INVITE" && message.status() >= 300 {
                self.send(&request.ack(&message));
            }
            return message;
        }
    }

    /// The same, with the challenge answered; yields the request that was sent last, too.
    pub fn exchange_as(
        &mut self,
        request: &Request,
        user: &str,
        password: &str,
    ) -> (Request, Message) {
        let challenge = self.exchange(request);
        if !matches!(challenge.status(), 401 | 407) {
            return (request.clone(), challenge);
        }
        let again = self.answered(request, &challenge, user, password);
        let response = self.exchange(&again);
        (again, response)
    }

    /// The next request with credentials for a challenge.
    pub fn answered(
        &self,
        request: &Request,
        challenge: &Message,
        user: &str,
        password: &str,
    ) -> Request {
        let asker = match challenge.status() {
            401 => Asker::UserAgent,
            _ => Asker::Proxy,
        };
        let account = Account {
            username: user.into(),
            secret: Secret::Password(password.into()),
        };
        let mut client = Client::new();
        let known = |value: &str| {
            let named = |a| {
                value
                    .split(", ")
                    .any(|part| part == format!("algorithm={a}"))
            };
            self.algorithm.is_none_or(named)
        };
        let values: Vec<&[u8]> = challenge
            .all(asker.challenge_header())
            .into_iter()
            .filter(|v| known(v))
            .map(str::as_bytes)
            .collect();
        let taken = client.challenged(asker, values, &[], |_| Some(&account));
        assert_eq!(taken, Challenged::Retry, "{challenge:?}");
        let subject = Subject {
            method: request.method.as_bytes(),
            uri: request.uri.as_bytes(),
            body: request.body.as_bytes(),
        };
        let mut next = request.next().without(asker.credentials_header());
        for (asker, value) in client.answers(&subject, &word(), |_| Some(&account)) {
            next = next.header(asker.credentials_header(), &value);
        }
        next
    }

    /// Registers this peer as `user@domain` with the usual password.
    pub fn register(&mut self, user: &str, domain: &str) -> Message {
        let contact = self.contact(user);
        self.register_contact(user, domain, &contact)
    }

    pub fn register_contact(&mut self, user: &str, domain: &str, contact: &str) -> Message {
        let aor = format!("sip:{user}@{domain}");
        let mut request =
            Request::new("REGISTER", &format!("sip:{domain}"), &aor).header("Contact", contact);
        request.to = format!("<{aor}>");
        let (_, response) = self.exchange_as(&request, user, &crate::scene::password(user));
        assert_eq!(response.status(), 200, "{response:?}");
        response
    }

    /// Whether nothing came up to now: what the server sent before it answered this is here already.
    pub fn heard_nothing(&mut self) {
        let probe = Request::new("OPTIONS", "sip:example.test", "sip:probe@elsewhere.test");
        self.send(&probe);
        let first = self.receive();
        assert_eq!(first.status(), 200, "something else came: {first:?}");
        assert_eq!(first.value("Call-ID"), probe.call);
    }
}

/// The lengths of the head and of the payload of the first frame in a buffer, when it is whole.
fn payload(buffer: &[u8]) -> Option<(usize, usize)> {
    let (head, length) = match (buffer.get(1)?, buffer.get(2..4)) {
        (126, more) => (4, u16::from_be_bytes(more?.try_into().ok()?).into()),
        (short, _) => (2, usize::from(*short)),
    };
    (buffer.len() >= head + length).then_some((head, length))
}

/// The length of the first whole message in a buffer.
fn framed(buffer: &mut Vec<u8>) -> Option<usize> {
    while buffer.starts_with(b"\r\n") {
        buffer.drain(..2);
    }
    let head = buffer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let length = text
        .split("\r\n")
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |v| v.trim().parse().unwrap());
    (buffer.len() >= head + length).then_some(head + length)
}
