//! dialog-info documents: the calls of a user agent (RFC 4235).

use roxmltree::Node;

use super::BodyError;
use super::xml::{attribute, child, children, read, text};

const DIALOG_INFO: &str = "urn:ietf:params:xml:ns:dialog-info";
/// The most dialogs that are read.
const MOST: usize = 64;

/// The dialogs that a user agent tells of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialogInfo {
    /// Whose dialogs they are.
    pub entity: Option<String>,
    /// Counts the documents of one subscription; after a gap the full state has to be asked for.
    pub version: u32,
    /// Whether these are all dialogs, and not only those that changed.
    pub is_full: bool,
    /// The dialogs.
    pub dialogs: Vec<DialogEntry>,
}

/// One dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogEntry {
    /// Tells it from the others of this user agent.
    pub id: String,
    /// Its Call-ID.
    pub call_id: Option<String>,
    /// The tag of the one who tells.
    pub local_tag: Option<String>,
    /// The tag of the other side.
    pub remote_tag: Option<String>,
    /// Whether the one who tells made the call.
    pub is_initiator: bool,
    /// Where it stands.
    pub state: DialogState,
    /// The status of the response that led there.
    pub code: Option<u16>,
    /// The one who tells.
    pub local: DialogParty,
    /// The other side.
    pub remote: DialogParty,
}

/// One side of a dialog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialogParty {
    /// Who it is.
    pub identity: Option<String>,
    /// Its name.
    pub display: Option<String>,
    /// Its Contact.
    pub target: Option<String>,
}

impl DialogParty {
    /// Where to call it: its Contact, else its address.
    pub fn address(&self) -> Option<&str> {
        self.target.as_deref().or(self.identity.as_deref())
    }
}

/// Where a dialog stands (RFC 4235 §3.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialogState {
    /// An INVITE went, or came.
    Trying,
    /// A provisional response without a tag.
    Proceeding,
    /// A provisional response with a tag: it rings.
    Early,
    /// Answered.
    Confirmed,
    /// Over.
    Terminated,
    /// Another word.
    Unknown,
}

impl DialogInfo {
    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError`]; [`BodyError::Missing`] without a version.
    pub fn parse(body: &[u8]) -> Result<DialogInfo, BodyError> {
        read(body, (DIALOG_INFO, "dialog-info"), |root| {
            let version = attribute(root, "version").and_then(|v| v.parse().ok());
            Ok(DialogInfo {
                entity: attribute(root, "entity"),
                version: version.ok_or(BodyError::Missing("version"))?,
                is_full: attribute(root, "state").as_deref() == Some("full"),
                dialogs: children(root, DIALOG_INFO, "dialog", MOST)
                    .map(DialogEntry::read)
                    .collect(),
            })
        })
    }
}

impl DialogEntry {
    fn read(node: Node<'_, '_>) -> DialogEntry {
        let state = child(node, DIALOG_INFO, "state");
        let word = state.and_then(text).unwrap_or_default();
        let party = |name| {
            let node = child(node, DIALOG_INFO, name);
            node.map(DialogParty::read).unwrap_or_default()
        };
        DialogEntry {
            id: attribute(node, "id").unwrap_or_default(),
            call_id: attribute(node, "call-id"),
            local_tag: attribute(node, "local-tag"),
            remote_tag: attribute(node, "remote-tag"),
            is_initiator: attribute(node, "direction").as_deref() == Some("initiator"),
            state: match word.as_str() {
                "trying" => DialogState::Trying,
                "proceeding" => DialogState::Proceeding,
                "early" => DialogState::Early,
                "confirmed" => DialogState::Confirmed,
                "terminated" => DialogState::Terminated,
                _ => DialogState::Unknown,
            },
            code: state
                .and_then(|s| attribute(s, "code"))
                .and_then(|c| c.parse().ok()),
            local: party("local"),
            remote: party("remote"),
        }
    }
}

impl DialogParty {
    fn read(node: Node<'_, '_>) -> DialogParty {
        let identity = child(node, DIALOG_INFO, "identity");
        let target = child(node, DIALOG_INFO, "target");
        DialogParty {
            identity: identity.and_then(text),
            display: identity.and_then(|i| attribute(i, "display")),
            // The schema wants an attribute; the examples of other RFCs have text.
            target: target.and_then(|t| attribute(t, "uri").or_else(|| text(t))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_rings() {
        let text = format!(
            "<?xml version=\"1.0\"?>\r\n<d:dialog-info xmlns:d='{DIALOG_INFO}' version='3' state='full' entity='sip:b@c'>\
             <d:dialog id='1' call-id='x@y' local-tag='l' remote-tag='r' direction='recipient'>\
             <d:remote><d:identity display='Al'> sip:a@c\n </d:identity><d:target uri='sip:a@1'/></d:remote>\
             <d:state code='180'>early</d:state></d:dialog></d:dialog-info>"
        );
        let info = DialogInfo::parse(text.as_bytes()).unwrap();
        assert!(info.is_full && info.version == 3);
        let dialog = &info.dialogs[0];
        assert_eq!(dialog.state, DialogState::Early);
        assert_eq!((dialog.code, dialog.is_initiator), (Some(180), false));
        assert_eq!(dialog.remote.identity.as_deref(), Some("sip:a@c"));
        assert_eq!(dialog.remote.address(), Some("sip:a@1"));
        assert_eq!(dialog.local.address(), None);
    }
}
