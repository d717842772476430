//! `sori serve`: the SIP server.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use api::{Console, Wish};
use clap::Args as ClapArgs;
use server::{Authentication, Config, Server};
use sip::auth::Algorithm;
use sip::endpoint::Listener;
use sip::flow::Transport;

use crate::config::ServeFile;
use crate::http::{Http, Program, parse_http};

/// How long calls of the server's own services may take to end when it stops.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether somebody wants it to end.
const LOOK: Duration = Duration::from_millis(250);

/// Run the SIP server: registrar, proxy, and the services echo and tone.
///
/// Needs no configuration: it serves the domain of this host on UDP and TCP port 5060 and keeps accounts and
/// registrations in your data directory. Stop it with Ctrl-C.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = "\
Examples:
  sori serve                                         everything at its default
  sori serve --domain example.org --sip udp:0.0.0.0:5060 --sip tcp:0.0.0.0:5060
  sori serve --sip udp:0.0.0.0 --sip tls:0.0.0.0 --sip wss:0.0.0.0 --certificate chain.pem --key key.pem
  sori serve --data /tmp/try --sip udp:127.0.0.1:5070 --auth none

The same settings can stand in a TOML file (--config); what is given here wins:
  data = \"/var/lib/sori\"
  domains = [\"example.org\"]
  http = \"127.0.0.1:8080\"
  sip = [\"udp:0.0.0.0:5060\", \"tls:0.0.0.0:5061\"]
  certificate = \"/etc/sori/chain.pem\"
  key = \"/etc/sori/key.pem\"
  auth = [\"register\", \"invite\"]
  redirect = false")]
pub struct Args {
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep accounts and registrations in this directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Serve this domain; may be given again, the first one is the default [default: this host's name]
    #[arg(long = "domain", value_name = "NAME")]
    domains: Vec<String>,
    /// Listen on this address: udp, tcp, tls, ws or wss, then :ADDR:PORT; may be given again
    /// [default: port 5060 of all addresses, UDP and TCP]
    #[arg(long = "sip", value_name = "TRANSPORT:ADDR:PORT", value_parser = parse_listen)]
    sip: Vec<(Transport, SocketAddr)>,
    /// Serve the console for the browser at this address, or none [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT|none", value_parser = parse_http)]
    http: Option<Http>,
    /// Show this certificate in TLS: a PEM file with those that sign it behind it; new contents are taken while the server runs
    /// [default: one that the server signs itself and keeps in the data directory]
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The PEM file with the key of the certificate [default: the file of the certificate]
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Trust the certificates in this PEM file where the server opens TLS, beside those that this system trusts; may be given again
    #[arg(long = "tls-root", value_name = "FILE")]
    tls_roots: Vec<PathBuf>,
    /// Take WebSockets of browsers only from pages of this origin, as https://example.org; may be given again [default: any]
    #[arg(long = "ws-origin", value_name = "ORIGIN")]
    ws_origins: Vec<String>,
    /// What has to be authenticated: register, invite, both (register,invite), or none [default: register,invite]
    #[arg(long, value_name = "WHAT", value_parser = parse_auth)]
    auth: Option<Authentication>,
    /// The hash functions of Digest to offer, in this order: md5, sha-256 [default: md5,sha-256]
    #[arg(long, value_name = "LIST", value_parser = parse_digest)]
    digest: Option<Digest>,
    /// Let clients authenticate the body too (qop auth-int)
    #[arg(long)]
    auth_int: bool,
    /// Tell callers where to go (302) instead of putting them through
    #[arg(long)]
    redirect: bool,
    /// Redirect for this domain only; may be given again
    #[arg(long = "redirect-domain", value_name = "NAME")]
    redirect_domains: Vec<String>,
    /// Name this host to peers instead of the address bound (behind address translation)
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// Ports for the sound of echo and tone, as LOW-HIGH [default: 16384-32767]
    #[arg(long, value_name = "LOW-HIGH", value_parser = parse_ports)]
    media_ports: Option<(u16, u16)>,
    /// Threads that work on messages [default: one for each processor]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

/// Reads `udp:ADDR:PORT` and its like; IPv6 addresses stand in brackets, and a usual port may be left out.
pub fn parse_listen(text: &str) -> Result<(Transport, SocketAddr), String> {
    let shape = "write it as TRANSPORT:ADDR:PORT, for example udp:0.0.0.0:5060, tcp:[::]:5060 or tls:0.0.0.0:5061";
    let (transport, address) = text.split_once(':').ok_or(shape)?;
    let (transport, usual) = match transport.to_ascii_lowercase().as_str() {
        "udp" => (Transport::Udp, 5060),
        "tcp" => (Transport::Tcp, 5060),
        "tls" => (Transport::Tls, 5061),
        "ws" => (Transport::Ws, 8088),
        "wss" => (Transport::Wss, 8443),
        "sctp" => {
            return Err(
                "sctp is not in this build, and few systems and hardly any telephones have it; use tcp or tls"
                    .into(),
            );
        }
        other => {
            return Err(format!(
                "{other} is no transport: there are udp, tcp, tls, ws and wss; {shape}"
            ));
        }
    };
    let address = match address.parse::<SocketAddr>() {
        Ok(address) => address,
        Err(_) => {
            let ip: IpAddr = address
                .trim_start_matches('[')
                .trim_end_matches(']')
                .parse()
                .map_err(|_| format!("{address} is not an address with a port; {shape}"))?;
            SocketAddr::new(ip, usual)
        }
    };
    Ok((transport, address))
}

/// Reads `register`, `invite`, `register,invite` or `none`.
pub fn parse_auth(text: &str) -> Result<Authentication, String> {
    let mut auth = Authentication::NONE;
    for word in text.split(',').map(str::trim) {
        match word {
            "none" if text.trim() == "none" => return Ok(Authentication::NONE),
            "register" => auth.register = true,
            "invite" => auth.invite = true,
            _ => {
                return Err(format!(
                    "\"{word}\" is not one of register, invite; or none alone"
                ));
            }
        }
    }
    Ok(auth)
}

/// The hash functions of Digest to offer.
#[derive(Clone, Debug)]
struct Digest(Vec<Algorithm>);

fn parse_digest(text: &str) -> Result<Digest, String> {
    let mut list = Vec::new();
    for word in text.split(',').map(str::trim) {
        let algorithm = match word.to_ascii_lowercase().as_str() {
            "md5" => Algorithm::Md5,
            "sha-256" => Algorithm::Sha256,
            _ => return Err(format!("\"{word}\" is not md5 or sha-256")),
        };
        if list.contains(&algorithm) {
            return Err(format!("{word} stands there twice"));
        }
        list.push(algorithm);
    }
    Ok(Digest(list))
}

fn parse_ports(text: &str) -> Result<(u16, u16), String> {
    let shape = "write it as LOW-HIGH, for example 16384-32767";
    let (low, high) = text.split_once('-').ok_or(shape)?;
    let low: u16 = low.trim().parse().map_err(|_| shape)?;
    let high: u16 = high.trim().parse().map_err(|_| shape)?;
    if low < 1024 || high <= low {
        return Err("the lower port must be at least 1024 and below the higher one".into());
    }
    Ok((low, high))
}

/// Runs the server until it is told to stop.
pub fn run(args: Args) -> ExitCode {
    let file = match args.config.as_deref().map(ServeFile::read).transpose() {
        Ok(file) => file.unwrap_or_default(),
        Err(message) => {
            eprintln!("sori serve: {message}");
            return ExitCode::from(2);
        }
    };
    let program = Program::running();
    let settings_file = args.config.clone();
    let http = match (args.http, file.http.as_deref().map(parse_http).transpose()) {
        (Some(http), _) => Some(http),
        (None, Ok(http)) => http,
        (None, Err(message)) => {
            eprintln!("sori serve: http: {message}");
            return ExitCode::from(2);
        }
    };
    let config = match settings(args, file) {
        Ok(config) => config,
        Err(message) => {
            eprintln!("sori serve: {message}");
            return ExitCode::from(2);
        }
    };
    let stop = match crate::signals::stop_requested() {
        Ok(stop) => stop,
        Err(error) => {
            eprintln!("sori serve: cannot listen for Ctrl-C: {error}");
            return ExitCode::FAILURE;
        }
    };
    let logs = crate::http::keep_log();
    let data = config.data.clone();
    let server = match Server::start(config) {
        Ok(server) => server,
        Err(error) => {
            eprintln!("sori serve: {error}");
            return ExitCode::FAILURE;
        }
    };
    let console = match crate::http::start(http, &server, logs, &program, settings_file.as_deref())
    {
        Ok(console) => console,
        Err(message) => {
            eprintln!("sori serve: {message}");
            server.stop(GRACE);
            return ExitCode::FAILURE;
        }
    };
    announce(&server, console.as_ref(), &data);
    let mut wish = None;
    while server.is_running() && wish.is_none() {
        if stop.recv_timeout(LOOK).is_ok() {
            break;
        }
        wish = console.as_ref().and_then(Console::wish);
    }
    let healthy = server.is_running();
    eprintln!("stopping");
    if let Some(console) = console {
        console.stop();
    }
    server.stop(GRACE);
    if wish == Some(Wish::Restart) {
        eprintln!("starting again");
        eprintln!("sori serve: {}", program.start_again());
        return ExitCode::FAILURE;
    }
    if healthy {
        ExitCode::SUCCESS
    } else {
        eprintln!("sori serve: a worker thread failed; the messages above say why");
        ExitCode::FAILURE
    }
}

fn settings(args: Args, file: ServeFile) -> Result<Config, String> {
    let data = match args.data.or(file.data) {
        Some(data) => data,
        None => crate::config::data_dir()?,
    };
    let mut domains = if args.domains.is_empty() {
        file.domains
    } else {
        args.domains
    };
    if domains.is_empty() {
        domains.push(server::domain_of_host());
    }
    for domain in &domains {
        let good = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        if domain.is_empty() || !domain.chars().all(good) {
            return Err(format!(
                "\"{domain}\" is no domain: write a host name or an address, for example example.org"
            ));
        }
    }
    let mut config = Config::new(data, String::new());
    config.domains = domains;
    config.listen = args.sip;
    if config.listen.is_empty() {
        for text in &file.sip {
            config.listen.push(parse_listen(text)?);
        }
    }
    if config.listen.is_empty() {
        config.listen = everywhere();
    }
    config.certificate = certificate(args.certificate.or(file.certificate), args.key.or(file.key))?;
    config.tls_roots = file.tls_roots;
    config.tls_roots.extend(args.tls_roots);
    config.ws_origins = file.ws_origins;
    config.ws_origins.extend(args.ws_origins);
    for origin in &config.ws_origins {
        check_origin(origin)?;
    }
    config.authentication = match (args.auth, file.auth) {
        (Some(auth), _) => auth,
        (None, Some(words)) => parse_auth(&words.joined())?,
        (None, None) => Authentication::default(),
    };
    if let Some(Digest(algorithms)) = args.digest {
        config.algorithms = algorithms;
    } else if let Some(words) = file.digest {
        config.algorithms = parse_digest(&words.joined())?.0;
    }
    config.auth_int = args.auth_int || file.auth_int;
    if let Some(text) = &file.media_ports {
        config.media_ports = parse_ports(text)?;
    }
    config.redirect = args.redirect || file.redirect;
    config.redirect_domains = file.redirect_domains;
    config.redirect_domains.extend(args.redirect_domains);
    for domain in &config.redirect_domains {
        if !config
            .domains
            .iter()
            .any(|d| d.eq_ignore_ascii_case(domain))
        {
            return Err(format!(
                "{domain} is to be redirected, but is not served: name it with --domain too"
            ));
        }
    }
    config.advertised_host = args.advertise.or(file.advertise);
    if let Some(ports) = args.media_ports {
        config.media_ports = ports;
    }
    config.workers = match args.workers.or(file.workers) {
        Some(0) => {
            return Err(
                "0 workers do no work: leave the setting out for one for each processor".into(),
            );
        }
        Some(workers) => workers,
        None => 0,
    };
    Ok(config)
}

/// The files of a certificate and its key.
fn certificate(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<(PathBuf, PathBuf)>, String> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (Some(both), None) => Ok(Some((both.clone(), both))),
        (None, Some(_)) => {
            Err("a key without a certificate shows nothing: name the certificate too".into())
        }
        (None, None) => Ok(None),
    }
}

/// What browsers say: a scheme, a host, perhaps a port, and nothing behind (RFC 6454 §6.2).
fn check_origin(origin: &str) -> Result<(), String> {
    let host = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains('/') => Ok(()),
        _ => Err(format!(
            "\"{origin}\" is no origin: write it as https://example.org or https://example.org:8443"
        )),
    }
}

/// Port 5060 of all addresses; IPv6 only where this host has it.
fn everywhere() -> Vec<(Transport, SocketAddr)> {
    let has_v6 = std::net::UdpSocket::bind((std::net::Ipv6Addr::LOCALHOST, 0)).is_ok();
    let mut all = Vec::new();
    for transport in [Transport::Udp, Transport::Tcp] {
        all.push((transport, SocketAddr::from(([0, 0, 0, 0], 5060))));
        if has_v6 {
            all.push((
                transport,
                SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 5060)),
            ));
        }
    }
    all
}

/// Says what the server listens on and how to place the first call.
fn announce(server: &Server, console: Option<&Console>, data: &Path) {
    let mut out = std::io::stdout().lock();
    let snapshot = server.snapshot();
    let mut text = format!(
        "sori {} serves {}\n  data      {}\n  accounts  {}, registrations {}\n",
        env!("CARGO_PKG_VERSION"),
        server.domains().join(", "),
        data.display(),
        snapshot.accounts,
        snapshot.bindings,
    );
    for listener in server.listeners() {
        text.push_str(&format!(
            "  listening {}:{}\n",
            listener.transport.name(),
            listener.local
        ));
    }
    if let Some(console) = console {
        text.push_str(&crate::http::announcement(console));
    }
    if let Some(certificates) = server.certificates() {
        text.push_str(&format!(
            "  certificate {}{}\n    SHA-256 {}\n",
            certificates.file().display(),
            if certificates.is_self_signed() {
                ", signed by itself: phones have to be told to trust it"
            } else {
                ""
            },
            certificates.fingerprint(),
        ));
    }
    text.push_str(&first_call(server, data));
    // Nobody reads it when standard output is closed, and the server serves all the same.
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// The commands of a first call, ready to be pasted.
fn first_call(server: &Server, data: &Path) -> String {
    let domain = server.default_domain();
    let program = std::env::args().next().unwrap_or_else(|| "sori".into());
    let plain = |l: &&Listener| matches!(l.transport, Transport::Udp | Transport::Tcp);
    let mut listeners = server.listeners().iter().filter(plain);
    let listener = listeners
        .clone()
        .find(|l| l.local.ip().is_loopback() && l.local.is_ipv4())
        .or_else(|| listeners.next());
    let Some(listener) = listener else {
        return String::new();
    };
    let proxy = format!("{}:{}", listener.transport.name(), listener.local);
    let data = data.display();
    format!(
        "\nThe first call, in another terminal (choose a password when asked):\n  \
         {program} user add alice --data {data}\n  \
         {program} call tone --account alice@{domain} --proxy {proxy} --duration 5 --record tone.wav\n\
         With a microphone and a speaker, hear yourself:\n  \
         {program} call echo --account alice@{domain} --proxy {proxy} --duration 5\n\
         A second phone that answers (after: {program} user add bob --data {data}):\n  \
         {program} answer --account bob@{domain} --proxy {proxy} --echo\n  \
         {program} call bob --account alice@{domain} --proxy {proxy} --record bob.wav\n\
         Ctrl-C stops the server.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses() {
        let parsed = |t: &str| parse_listen(t).map(|(t, a)| format!("{t} {a}"));
        assert_eq!(parsed("udp:127.0.0.1:5070").unwrap(), "UDP 127.0.0.1:5070");
        assert_eq!(parsed("TCP:[::1]:5060").unwrap(), "TCP [::1]:5060");
        assert_eq!(parsed("udp:0.0.0.0").unwrap(), "UDP 0.0.0.0:5060");
        assert_eq!(parsed("tls:0.0.0.0").unwrap(), "TLS 0.0.0.0:5061");
        assert_eq!(parsed("ws:[::1]").unwrap(), "WS [::1]:8088");
        assert_eq!(parsed("wss:127.0.0.1:443").unwrap(), "WSS 127.0.0.1:443");
        let sctp = parsed("sctp:0.0.0.0:5060").unwrap_err();
        assert!(sctp.contains("not in this build"), "{sctp}");
        for bad in [
            "",
            "udp",
            "5060",
            "dccp:0.0.0.0:5061",
            "udp:host:5060",
            "udp:1.2.3.4:99999",
        ] {
            assert!(parse_listen(bad).unwrap_err().contains("udp:"), "{bad}");
        }
    }

    #[test]
    fn what_is_authenticated() {
        let both = Authentication::default();
        assert_eq!(parse_auth("register,invite"), Ok(both));
        assert_eq!(parse_auth("none"), Ok(Authentication::NONE));
        assert!(parse_auth("register").unwrap().register);
        assert!(!parse_auth("register").unwrap().invite);
        for bad in ["", "all", "none,invite"] {
            assert!(parse_auth(bad).is_err(), "{bad}");
        }
    }
}
