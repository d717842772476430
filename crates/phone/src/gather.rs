//! What a STUN server says about our media ports.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::str::FromStr;
use std::time::{Duration, Instant};

use media::stun::{Client, Failure};
use net::PortPair;

/// How long a call waits for the server. Three requests fit in.
const PATIENCE: Duration = Duration::from_millis(2500);
/// Turns between the two sockets.
const TURN: Duration = Duration::from_millis(10);

/// A STUN server: host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StunServer {
    /// Name or address.
    pub host: String,
    /// Port, 3478 where nothing else is said.
    pub port: u16,
}

impl FromStr for StunServer {
    type Err = String;

    fn from_str(text: &str) -> Result<StunServer, String> {
        let wrong = || "it has to be HOST or HOST:PORT".to_owned();
        if let Ok(ip) = text.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
            return Ok(StunServer {
                host: ip.to_string(),
                port: 3478,
            });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (text, 3478),
        };
        let host = host.trim_matches(['[', ']']);
        if host.is_empty() || port == 0 || host.contains(['/', '@', ' ']) {
            return Err(wrong());
        }
        Ok(StunServer {
            host: host.to_owned(),
            port,
        })
    }
}

/// Asks for the public addresses of both ports; waits for the answers, but not long.
///
/// # Errors
/// Why there is none, for a person.
pub(crate) fn public_addresses(
    ports: &PortPair,
    server: SocketAddr,
) -> Result<[SocketAddr; 2], String> {
    let asked = ask(ports, server);
    for socket in [&ports.rtp, &ports.rtcp] {
        socket
            .set_read_timeout(None)
            .map_err(|error| error.to_string())?;
    }
    asked
}

fn ask(ports: &PortPair, server: SocketAddr) -> Result<[SocketAddr; 2], String> {
    let begun = Instant::now();
    let mut open = Vec::new();
    for socket in [&ports.rtp, &ports.rtcp] {
        let mut transaction = [0; 12];
        getrandom::fill(&mut transaction).map_err(|error| error.to_string())?;
        socket
            .set_read_timeout(Some(TURN))
            .map_err(|error| error.to_string())?;
        open.push((socket, Client::new(transaction), None));
    }
    while begun.elapsed() < PATIENCE {
        for (socket, client, found) in &mut open {
            if found.is_none() {
                *found = turn(socket, client, server, begun.elapsed())?;
            }
        }
        if let [(_, _, Some(rtp)), (_, _, Some(rtcp))] = open.as_slice() {
            return Ok([*rtp, *rtcp]);
        }
    }
    Err(Failure::TimedOut.to_string())
}

fn turn(
    socket: &UdpSocket,
    client: &mut Client,
    server: SocketAddr,
    now: Duration,
) -> Result<Option<SocketAddr>, String> {
    if let Some(request) = client.poll(now) {
        socket
            .send_to(request, server)
            .map_err(|error| error.to_string())?;
    }
    let mut buffer = [0; 1500];
    match socket.recv_from(&mut buffer) {
        Ok((length, from)) if from == server => {
            let bytes = buffer.get(..length).unwrap_or_default();
            match client.handle(bytes) {
                Some(outcome) => outcome.map(Some).map_err(|failure| failure.to_string()),
                None => Ok(None),
            }
        }
        Ok(_) => Ok(None),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
            ) =>
        {
            Ok(None)
        }
        // Nobody listens there, as the network says.
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::stun::{Message, serve};
    use net::RtpPorts;

    #[test]
    fn servers_by_name_and_address() {
        let read = |text: &str| text.parse::<StunServer>().map(|s| (s.host, s.port));
        assert_eq!(
            read("stun.example.org"),
            Ok(("stun.example.org".into(), 3478))
        );
        assert_eq!(read("192.0.2.1:5000"), Ok(("192.0.2.1".into(), 5000)));
        assert_eq!(read("[2001:db8::1]:5000"), Ok(("2001:db8::1".into(), 5000)));
        assert_eq!(read("2001:db8::1"), Ok(("2001:db8::1".into(), 3478)));
        for bad in ["", ":1", "h:", "h:x", "h:99999", "stun:h:0", "a b"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_server_tells_both_ports_and_a_silent_one_is_given_up() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = server.local_addr().unwrap();
        let ports = RtpPorts::new(20_000..=21_000)
            .allocate("127.0.0.1".parse().unwrap())
            .unwrap();
        let serving = std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            for _ in 0..2 {
                let (length, from) = server.recv_from(&mut buffer).unwrap();
                let message = Message::parse(&buffer[..length]).unwrap();
                server
                    .send_to(&serve(&message, from).unwrap(), from)
                    .unwrap();
            }
            server
        });
        let found = public_addresses(&ports, at).unwrap();
        assert_eq!(
            found,
            [
                ports.rtp.local_addr().unwrap(),
                ports.rtcp.local_addr().unwrap()
            ]
        );
        let server = serving.join().unwrap();
        assert_eq!(
            public_addresses(&ports, at),
            Err("it does not answer".to_owned())
        );
        drop(server);
    }
}
