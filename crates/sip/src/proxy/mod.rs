//! The stateful proxy (RFC 3261 §16): one response context for each forwarded request.
//!
//! `route` is §16.4 (what Route and Request-URI mean), `forward` is §16.6 (where it goes), `outgoing`
//! the same (what leaves), `context` is §16.7 (which response goes back), `cancel` is §16.10, `loops`
//! is RFC 5393, `mark` tells the dialogs that passed here from those that somebody made up, `follow` tells the owner of
//! the calls that pass, where it wants to know.

mod cancel;
mod context;
mod follow;
mod forward;
mod loops;
mod mark;
mod outgoing;
mod route;

use bytes::Bytes;

pub use self::follow::{CallEvent, Followed, FollowedId, MAX_FOLLOWED, Party};
use self::mark::RouteMark;
use crate::flow::Flow;
use crate::locate::NextHop;
use crate::message::{Method, StatusCode};
use crate::slab::{Key, Slab};
use crate::transaction::{ClientId, ServerId};
use crate::wire::{Edit, Stored};

/// Names a response context.
pub type ContextId = Key<ResponseContext>;

/// Where a request is to be forwarded (§16.5).
#[derive(Clone, Debug, Default)]
pub struct Forward {
    /// The targets: those of the highest q are tried first, those of equal q at once.
    pub targets: Vec<Target>,
    /// Whether later requests of the dialog should pass here too.
    pub record_route: bool,
    /// The realm whose Proxy-Authorization was judged here; it does not travel on (§22.3).
    pub spent: Option<String>,
}

/// One target of a request.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// The new Request-URI; the old one when `None`.
    pub uri: Option<Bytes>,
    /// Preference, 0 to 1000.
    pub q: u16,
    /// Routes to pass on the way, as in a Path (RFC 3327): name-addr values, the nearest first.
    pub routes: Vec<String>,
    /// The flow to use, when it is known: that of a registration.
    pub flow: Option<Flow>,
}

impl Forward {
    /// To where Route and Request-URI say.
    pub fn along_route() -> Forward {
        Forward {
            targets: vec![Target::default()],
            record_route: false,
            spent: None,
        }
    }

    /// To another Request-URI.
    pub fn to(uri: impl Into<Bytes>) -> Target {
        Target {
            uri: Some(uri.into()),
            q: 1000,
            ..Target::default()
        }
    }
}

/// The most targets that one request is forked to.
pub const MAX_TARGETS: usize = 32;

/// All requests that are being forwarded by one shard.
#[derive(Debug, Default)]
pub struct Proxy {
    contexts: Slab<ResponseContext>,
    edit: Edit,
    /// Marks what we record and knows it again; without one every Route that names us counts.
    mark: Option<RouteMark>,
    /// The calls that pass, when the owner wants to know of them.
    follow: Option<Box<follow::Follow>>,
}

/// One forwarded request and what came back for it (§16.7).
#[derive(Debug)]
pub struct ResponseContext {
    /// The transaction upstream; none for an ACK.
    server: Option<ServerId>,
    method: Method,
    upstream: Flow,
    /// An ACK that waits for the name servers.
    ack: Option<Stored>,
    spent: Option<String>,
    record_route: bool,
    loop_hash: u64,
    max_breadth: Option<u32>,
    branches: Vec<Branch>,
    /// Targets not tried yet, the next one last.
    waiting: Vec<Target>,
    best: Option<Best>,
    /// Challenges of all 401 and 407 responses, with the branch they came from (§16.7 step 7).
    challenges: Vec<(u32, Vec<u8>)>,
    answered: bool,
    cancelled: bool,
    /// This element ends the call before it is answered.
    withdrawn: bool,
    /// The call that the request belongs to, when it is followed.
    followed: Option<FollowedId>,
}

#[derive(Debug)]
struct Branch {
    target: Target,
    next_hop: NextHop,
    client: Option<ClientId>,
    state: BranchState,
    /// What it comes to when no server is left to try.
    failure: StatusCode,
    /// Only the youngest alarm of a branch counts.
    stamp: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BranchState {
    /// The name servers are being asked.
    Locating,
    /// Sent, nothing came back.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// To be cancelled as soon as a provisional response comes (§9.1).
    CancelWanted,
    /// CANCEL was sent.
    Cancelled,
    /// It has its final response.
    Done,
}

#[derive(Debug)]
struct Best {
    code: StatusCode,
    branch: u32,
    /// The response as it goes upstream; made here when `None`.
    bytes: Option<Bytes>,
}

impl Proxy {
    /// Marks Record-Routes with this key from now on, and believes marked Routes alone.
    pub(crate) fn mark_routes(&mut self, key: &[u8; 16]) {
        self.mark = Some(RouteMark::new(key));
    }

    /// How many requests wait for responses.
    pub fn len(&self) -> usize {
        self.contexts.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.contexts.is_empty()
    }
}
