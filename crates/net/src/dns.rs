//! Questions to the name servers, asked on a thread of their own that starts with the first one.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use hickory_resolver::config::{ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query as HostsQuery, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Hosts, Resolver, TokioResolver};
use sip::endpoint::QueryId;
use sip::resolve::{Answer, Failure, Naptr, Query, QueryKind, Records, Srv};
use tokio::sync::mpsc;

use crate::shard::lock;
use crate::statistics::Statistics;

/// How long one name server may take to answer one try.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tries before a question has failed.
const TRIES: usize = 2;

/// How long a failure is remembered by who asked, in seconds, when no name server said.
const FAILURE_TTL: u32 = 5;

/// Where an answer goes.
type Deliver = Arc<dyn Fn(usize, QueryId, Answer) + Send + Sync>;

/// The way to the name servers.
pub(crate) struct Dns {
    limit: usize,
    under_way: Arc<AtomicUsize>,
    deliver: OnceLock<Deliver>,
    asker: Mutex<Option<mpsc::UnboundedSender<Question>>>,
    statistics: Arc<Statistics>,
}

struct Question {
    shard: usize,
    id: QueryId,
    query: Query,
}

impl Dns {
    /// A way that carries at most `limit` questions at a time. Nothing runs yet.
    pub(crate) fn new(limit: usize, statistics: Arc<Statistics>) -> Dns {
        Dns {
            limit,
            under_way: Arc::default(),
            deliver: OnceLock::new(),
            asker: Mutex::new(None),
            statistics,
        }
    }

    /// Says where answers go. The first call counts.
    pub(crate) fn answers_go_to(&self, deliver: Deliver) {
        let _ = self.deliver.set(deliver);
    }

    /// Asks; the answer is delivered later, on another thread, in any case.
    pub(crate) fn ask(&self, shard: usize, id: QueryId, query: Query) {
        let Some(deliver) = self.deliver.get() else {
            return;
        };
        self.statistics.dns_queries.add_one();
        let question = Question { shard, id, query };
        if self.under_way.fetch_add(1, Ordering::AcqRel) < self.limit
            && self.pass_on(question, deliver)
        {
            return;
        }
        self.under_way.fetch_sub(1, Ordering::AcqRel);
        self.statistics.dns_refused.add_one();
        deliver(shard, id, failed(Failure::Server));
    }

    /// The channel has no bound of its own: `under_way` bounds what is in it.
    fn pass_on(&self, question: Question, deliver: &Deliver) -> bool {
        let mut asker = lock(&self.asker);
        if asker.is_none() {
            *asker = self.start(deliver.clone());
        }
        asker.as_ref().is_some_and(|a| a.send(question).is_ok())
    }

    fn start(&self, deliver: Deliver) -> Option<mpsc::UnboundedSender<Question>> {
        let (asker, questions) = mpsc::unbounded_channel();
        let under_way = self.under_way.clone();
        let statistics = self.statistics.clone();
        std::thread::Builder::new()
            .name("sip-dns".to_owned())
            .spawn(move || serve(questions, deliver, under_way, statistics))
            .ok()?;
        Some(asker)
    }

    /// Lets the thread end when its questions are answered; nothing is delivered to who is gone.
    pub(crate) fn stop(&self) {
        *lock(&self.asker) = None;
    }
}

/// The thread: one runtime, a task for each question.
fn serve(
    mut questions: mpsc::UnboundedReceiver<Question>,
    deliver: Deliver,
    under_way: Arc<AtomicUsize>,
    statistics: Arc<Statistics>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        while let Some(question) = questions.blocking_recv() {
            under_way.fetch_sub(1, Ordering::AcqRel);
            deliver(question.shard, question.id, failed(Failure::Server));
        }
        return;
    };
    runtime.block_on(async move {
        let names = Arc::new(Names::from_system());
        while let Some(question) = questions.recv().await {
            let names = names.clone();
            let deliver = deliver.clone();
            let under_way = under_way.clone();
            let statistics = statistics.clone();
            tokio::spawn(async move {
                let answer = names.answer(&question.query).await;
                if matches!(answer.records, Err(f) if f.is_temporary()) {
                    statistics.dns_failed.add_one();
                }
                under_way.fetch_sub(1, Ordering::AcqRel);
                deliver(question.shard, question.id, answer);
            });
        }
    });
}

/// The system's name servers and its hosts file.
struct Names {
    resolver: Option<TokioResolver>,
    hosts: Hosts,
}

impl Names {
    fn from_system() -> Names {
        let builder = Resolver::builder_tokio().unwrap_or_else(|_| {
            // Without a readable configuration only the hosts file answers.
            let none = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
            Resolver::builder_with_config(none, TokioRuntimeProvider::default())
        });
        Names::new(builder, Hosts::from_system().unwrap_or_default(), PATIENCE)
    }

    fn new(
        mut builder: hickory_resolver::ResolverBuilder<TokioRuntimeProvider>,
        hosts: Hosts,
        patience: Duration,
    ) -> Names {
        let options = builder.options_mut();
        options.timeout = patience;
        options.attempts = TRIES;
        options.use_hosts_file = ResolveHosts::Never;
        Names {
            resolver: builder.build().ok(),
            hosts,
        }
    }

    async fn answer(&self, query: &Query) -> Answer {
        let kind = match query.kind {
            QueryKind::Naptr => RecordType::NAPTR,
            QueryKind::Srv => RecordType::SRV,
            QueryKind::A => RecordType::A,
            QueryKind::Aaaa => RecordType::AAAA,
        };
        let Ok(mut name) = Name::from_utf8(&query.name) else {
            return failed(Failure::NoName);
        };
        let plain = name.clone();
        name.set_fqdn(true);
        if let Some(answer) = self.in_hosts(&name, query.kind) {
            return answer;
        }
        let Some(resolver) = &self.resolver else {
            return failed(Failure::Server);
        };
        let mut found = resolver.lookup(name, kind).await;
        // A bare host name may be one of the system's search domains.
        if found
            .as_ref()
            .is_err_and(|e| failure(e).0 == Failure::NoName)
            && plain.num_labels() == 1
        {
            found = resolver.lookup(plain, kind).await;
        }
        match found {
            Ok(lookup) => records(&lookup, query.kind),
            Err(error) => {
                let (failure, ttl) = failure(&error);
                Answer {
                    records: Err(failure),
                    ttl,
                }
            }
        }
    }

    /// A name in the hosts file has the addresses that stand there and no others.
    fn in_hosts(&self, name: &Name, kind: QueryKind) -> Option<Answer> {
        let look = |kind| {
            let query = HostsQuery::query(name.clone(), kind);
            self.hosts.lookup_static_host(&query)
        };
        let (asked, other) = match kind {
            QueryKind::A => (RecordType::A, RecordType::AAAA),
            QueryKind::Aaaa => (RecordType::AAAA, RecordType::A),
            QueryKind::Naptr | QueryKind::Srv => return None,
        };
        match look(asked) {
            Some(lookup) => Some(records(&lookup, kind)),
            None => look(other).map(|_| failed(Failure::NoData)),
        }
    }
}

fn failed(failure: Failure) -> Answer {
    Answer {
        records: Err(failure),
        ttl: FAILURE_TTL,
    }
}

/// The records of the kind asked for; aliases among them are left out.
fn records(lookup: &Lookup, kind: QueryKind) -> Answer {
    let answers = lookup.answers();
    let records = match kind {
        QueryKind::A => Records::A(answers.iter().filter_map(ipv4).collect()),
        QueryKind::Aaaa => Records::Aaaa(answers.iter().filter_map(ipv6).collect()),
        QueryKind::Srv => Records::Srv(answers.iter().filter_map(srv).collect()),
        QueryKind::Naptr => Records::Naptr(answers.iter().filter_map(naptr).collect()),
    };
    let left = lookup
        .valid_until()
        .saturating_duration_since(Instant::now());
    Answer {
        records: Ok(records),
        ttl: u32::try_from(left.as_secs()).unwrap_or(u32::MAX),
    }
}

fn ipv4(record: &Record) -> Option<Ipv4Addr> {
    match &record.data {
        RData::A(a) => Some(a.0),
        _ => None,
    }
}

fn ipv6(record: &Record) -> Option<Ipv6Addr> {
    match &record.data {
        RData::AAAA(aaaa) => Some(aaaa.0),
        _ => None,
    }
}

fn srv(record: &Record) -> Option<Srv> {
    match &record.data {
        RData::SRV(srv) => Some(Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: plain_name(&srv.target),
        }),
        _ => None,
    }
}

fn naptr(record: &Record) -> Option<Naptr> {
    match &record.data {
        RData::NAPTR(naptr) => Some(Naptr {
            order: naptr.order,
            preference: naptr.preference,
            flags: String::from_utf8_lossy(&naptr.flags).into_owned(),
            service: String::from_utf8_lossy(&naptr.services).into_owned(),
            replacement: plain_name(&naptr.replacement),
        }),
        _ => None,
    }
}

/// The name without the dot at its end.
fn plain_name(name: &Name) -> String {
    let mut text = name.to_ascii();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

/// Whose fault it is, and for how many seconds that holds.
fn failure(error: &NetError) -> (Failure, u32) {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            let ttl = none.negative_ttl.unwrap_or(FAILURE_TTL);
            match none.response_code {
                ResponseCode::NXDomain => (Failure::NoName, ttl),
                ResponseCode::NoError => (Failure::NoData, ttl),
                _ => (Failure::Server, FAILURE_TTL),
            }
        }
        NetError::Timeout => (Failure::Timeout, FAILURE_TTL),
        NetError::Io(e) if e.kind() == std::io::ErrorKind::TimedOut => {
            (Failure::Timeout, FAILURE_TTL)
        }
        _ => (Failure::Server, FAILURE_TTL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
    use hickory_resolver::proto::op::{Message, MessageType};
    use hickory_resolver::proto::rr::rdata::{A, AAAA, NAPTR, SOA, SRV};
    use std::net::UdpSocket;

    /// What the name server of the tests says.
    fn zone(name: &str, kind: RecordType) -> Result<Vec<RData>, ResponseCode> {
        let target = |text: &str| Name::from_ascii(text).unwrap();
        Ok(match (name, kind) {
            ("example.com.", RecordType::NAPTR) => vec![RData::NAPTR(NAPTR::new(
                10,
                20,
                (*b"s").into(),
                (*b"SIP+D2U").into(),
                (*b"").into(),
                target("_sip._udp.example.com."),
            ))],
            ("_sip._udp.example.com.", RecordType::SRV) => {
                vec![RData::SRV(SRV::new(1, 2, 5070, target("a.example.com.")))]
            }
            ("a.example.com.", RecordType::A) => vec![RData::A(A::new(192, 0, 2, 1))],
            ("a.example.com.", RecordType::AAAA) => {
                vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))]
            }
            ("a.example.com.", _) => Vec::new(),
            ("bad.example.com.", _) => return Err(ResponseCode::ServFail),
            _ => return Err(ResponseCode::NXDomain),
        })
    }

    fn reply(octets: &[u8]) -> Option<Vec<u8>> {
        let mut message = Message::from_vec(octets).ok()?;
        let query = message.queries.first()?.clone();
        if query.name().to_ascii() == "silent.example.com." {
            return None;
        }
        message.metadata.message_type = MessageType::Response;
        let answers = match zone(&query.name().to_ascii(), query.query_type()) {
            Ok(answers) => answers,
            Err(code) => {
                message.metadata.response_code = code;
                Vec::new()
            }
        };
        if answers.is_empty() {
            let origin = Name::from_ascii("example.com.").unwrap();
            let soa = SOA::new(origin.clone(), origin.clone(), 1, 1, 1, 1, 77);
            message.add_authority(Record::from_rdata(origin, 77, RData::SOA(soa)));
        }
        for data in answers {
            message.add_answer(Record::from_rdata(query.name().clone(), 300, data));
        }
        message.to_vec().ok()
    }

    /// Names asked of a server of our own.
    fn names(hosts: &str) -> Names {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 2_000];
            while let Ok((count, from)) = socket.recv_from(&mut buffer) {
                if let Some(octets) = reply(&buffer[..count]) {
                    socket.send_to(&octets, from).unwrap();
                }
            }
        });
        let mut connection = ConnectionConfig::udp();
        connection.port = address.port();
        let server = NameServerConfig::new(address.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut parsed = Hosts::default();
        parsed.read_hosts_conf(hosts.as_bytes()).unwrap();
        let builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
        Names::new(builder, parsed, Duration::from_millis(150))
    }

    fn ask(names: &Names, name: &str, kind: QueryKind) -> Answer {
        let query = Query {
            name: name.to_owned(),
            kind,
        };
        names_runtime().block_on(names.answer(&query))
    }

    fn names_runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    #[test]
    fn every_kind_of_record_is_understood() {
        let names = names("");
        let naptr = ask(&names, "example.com", QueryKind::Naptr);
        let Ok(Records::Naptr(list)) = naptr.records else {
            panic!("{naptr:?}");
        };
        let want = Naptr {
            order: 10,
            preference: 20,
            flags: "s".to_owned(),
            service: "SIP+D2U".to_owned(),
            replacement: "_sip._udp.example.com".to_owned(),
        };
        assert_eq!(list, [want]);
        let srv = ask(&names, "_sip._udp.example.com", QueryKind::Srv);
        let Ok(Records::Srv(list)) = srv.records else {
            panic!("{srv:?}");
        };
        let want = Srv {
            priority: 1,
            weight: 2,
            port: 5070,
            target: "a.example.com".to_owned(),
        };
        assert_eq!(list, [want]);
        let a = ask(&names, "a.example.com", QueryKind::A);
        assert!((295..=300).contains(&a.ttl), "{a:?}");
        assert!(matches!(a.records, Ok(Records::A(l)) if l == [Ipv4Addr::new(192, 0, 2, 1)]));
        let aaaa = ask(&names, "a.example.com", QueryKind::Aaaa);
        let want: Ipv6Addr = "2001:db8::1".parse().unwrap();
        assert!(matches!(aaaa.records, Ok(Records::Aaaa(l)) if l == [want]));
    }

    #[test]
    fn failures_are_told_apart() {
        let names = names("");
        for (name, kind, want, ttl) in [
            ("a.example.com", QueryKind::Srv, Failure::NoData, 77),
            ("none.example.com", QueryKind::A, Failure::NoName, 77),
            (
                "bad.example.com",
                QueryKind::A,
                Failure::Server,
                FAILURE_TTL,
            ),
            (
                "silent.example.com",
                QueryKind::A,
                Failure::Timeout,
                FAILURE_TTL,
            ),
            ("not a name..", QueryKind::A, Failure::NoName, FAILURE_TTL),
        ] {
            let answer = ask(&names, name, kind);
            let failure = answer.records.map(|_| ()).unwrap_err();
            assert_eq!((failure, answer.ttl), (want, ttl), "{name}");
        }
    }

    #[test]
    fn the_hosts_file_comes_first() {
        let names = names("198.51.100.7 a.example.com phone\n2001:db8::7 six\n");
        let a = ask(&names, "a.example.com", QueryKind::A);
        assert!(matches!(a.records, Ok(Records::A(l)) if l == [Ipv4Addr::new(198, 51, 100, 7)]));
        let phone = ask(&names, "phone", QueryKind::A);
        assert!(matches!(phone.records, Ok(Records::A(l)) if l.len() == 1));
        let none = ask(&names, "six", QueryKind::A);
        assert_eq!(none.records.map(|_| ()).unwrap_err(), Failure::NoData);
    }

    #[test]
    fn questions_beyond_the_limit_are_answered_at_once() {
        let statistics = Arc::new(Statistics::default());
        let dns = Dns::new(0, statistics.clone());
        let (told, answers) = std::sync::mpsc::channel();
        dns.answers_go_to(Arc::new(move |shard, id, answer| {
            told.send((shard, id, answer)).unwrap();
        }));
        let query = Query {
            name: "a.example.com".to_owned(),
            kind: QueryKind::A,
        };
        dns.ask(3, QueryId(9), query);
        let (shard, id, answer) = answers.recv().unwrap();
        assert_eq!((shard, id), (3, QueryId(9)));
        assert_eq!(answer.records.map(|_| ()).unwrap_err(), Failure::Server);
        assert_eq!(statistics.dns_refused.value(), 1);
        assert!(lock(&dns.asker).is_none(), "no thread was started");
    }
}
