//! Presence documents: PIDF (RFC 3863) with what RPID (RFC 4480) says a person is doing.

use roxmltree::Node;

use super::BodyError;
use super::xml::{attribute, child, children, escape, read, text};

const PIDF: &str = "urn:ietf:params:xml:ns:pidf";
const DATA_MODEL: &str = "urn:ietf:params:xml:ns:pidf:data-model";
const RPID: &str = "urn:ietf:params:xml:ns:pidf:rpid";
/// The most tuples, notes and activities that are read.
const MOST: usize = 64;

/// Whether and how somebody can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Whose presence it is: `pres:alice@example.org`, `sip:alice@example.org`.
    pub entity: String,
    /// The ways to reach it.
    pub tuples: Vec<Tuple>,
    /// What it says of itself, in one language or several.
    pub notes: Vec<String>,
    /// What it is doing: `away`, `busy`, `on-the-phone` and the other names of RFC 4480 §3.2.
    pub activities: Vec<String>,
}

/// One way to reach somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuple {
    /// Tells it from the others.
    pub id: String,
    /// Whether it is open; `None` when the document does not say so in a known way.
    pub basic: Option<Basic>,
    /// The address.
    pub contact: Option<String>,
    /// How much it is wanted, as it stands there: `0.8`.
    pub priority: Option<String>,
    /// What is said of it.
    pub notes: Vec<String>,
    /// Since when, as it stands there.
    pub timestamp: Option<String>,
}

/// Whether one can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basic {
    /// Yes.
    Open,
    /// No.
    Closed,
}

impl Presence {
    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError`]; [`BodyError::Missing`] without an entity.
    pub fn parse(body: &[u8]) -> Result<Presence, BodyError> {
        read(body, (PIDF, "presence"), |root| {
            let entity = attribute(root, "entity").ok_or(BodyError::Missing("entity"))?;
            let mut tuples: Vec<Tuple> = Vec::new();
            for node in children(root, PIDF, "tuple", MOST) {
                let tuple = Tuple::read(node);
                if !tuples.iter().any(|t| t.id == tuple.id) {
                    tuples.push(tuple);
                }
            }
            let mut notes = notes(root, PIDF);
            let mut activities = Vec::new();
            for person in children(root, DATA_MODEL, "person", MOST) {
                activities.extend(activities_of(person));
                notes.extend(self::notes(person, DATA_MODEL));
            }
            // Before RFC 4479 people stood inside tuples.
            for tuple in children(root, PIDF, "tuple", MOST) {
                activities.extend(activities_of(tuple));
                let status = child(tuple, PIDF, "status");
                activities.extend(status.map(activities_of).unwrap_or_default());
            }
            activities.truncate(MOST);
            notes.truncate(MOST);
            Ok(Presence {
                entity,
                tuples,
                notes,
                activities,
            })
        })
    }

    /// Whether any way is open.
    pub fn is_open(&self) -> bool {
        self.tuples.iter().any(|t| t.basic == Some(Basic::Open))
    }

    /// The document, for PUBLISH.
    pub fn to_xml(&self) -> String {
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
             <presence xmlns=\"{PIDF}\" xmlns:dm=\"{DATA_MODEL}\" xmlns:rpid=\"{RPID}\" entity=\"{}\">\r\n",
            escape(&self.entity)
        );
        for tuple in &self.tuples {
            tuple.write(&mut out);
        }
        for note in &self.notes {
            out.push_str(&format!("<note>{}</note>\r\n", escape(note)));
        }
        if !self.activities.is_empty() {
            out.push_str("<dm:person id=\"person\"><rpid:activities>");
            for activity in self.activities.iter().filter(|a| is_name(a)) {
                out.push_str(&format!("<rpid:{activity}/>"));
            }
            out.push_str("</rpid:activities></dm:person>\r\n");
        }
        out.push_str("</presence>\r\n");
        out
    }
}

impl Tuple {
    fn read(node: Node<'_, '_>) -> Tuple {
        let basic = child(node, PIDF, "status")
            .and_then(|status| child(status, PIDF, "basic"))
            .and_then(text);
        let contact = child(node, PIDF, "contact");
        Tuple {
            id: attribute(node, "id").unwrap_or_default(),
            basic: match basic.as_deref() {
                Some("open") => Some(Basic::Open),
                Some("closed") => Some(Basic::Closed),
                _ => None,
            },
            contact: contact.and_then(text),
            priority: contact.and_then(|c| attribute(c, "priority")),
            notes: notes(node, PIDF),
            timestamp: child(node, PIDF, "timestamp").and_then(text),
        }
    }

    fn write(&self, out: &mut String) {
        out.push_str(&format!("<tuple id=\"{}\"><status>", escape(&self.id)));
        match self.basic {
            Some(Basic::Open) => out.push_str("<basic>open</basic>"),
            Some(Basic::Closed) => out.push_str("<basic>closed</basic>"),
            None => {}
        }
        out.push_str("</status>");
        if let Some(contact) = &self.contact {
            let priority = match &self.priority {
                Some(priority) => format!(" priority=\"{}\"", escape(priority)),
                None => String::new(),
            };
            out.push_str(&format!("<contact{priority}>{}</contact>", escape(contact)));
        }
        for note in &self.notes {
            out.push_str(&format!("<note>{}</note>", escape(note)));
        }
        if let Some(timestamp) = &self.timestamp {
            out.push_str(&format!("<timestamp>{}</timestamp>", escape(timestamp)));
        }
        out.push_str("</tuple>\r\n");
    }
}

fn notes(node: Node<'_, '_>, namespace: &str) -> Vec<String> {
    children(node, namespace, "note", MOST)
        .filter_map(text)
        .collect()
}

/// The names of the elements inside `activities`, but for notes.
fn activities_of(node: Node<'_, '_>) -> Vec<String> {
    children(node, RPID, "activities", MOST)
        .flat_map(|activities| activities.children())
        .filter(|n| n.is_element() && n.tag_name().namespace() == Some(RPID))
        .map(|n| n.tag_name().name().to_owned())
        .filter(|name| name != "note" && is_name(name))
        .take(MOST)
        .collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let presence = Presence {
            entity: "sip:<ali&ce>@example.org".to_owned(),
            tuples: vec![Tuple {
                id: "t1".to_owned(),
                basic: Some(Basic::Open),
                contact: Some("sip:alice@example.org".to_owned()),
                priority: Some("0.8".to_owned()),
                notes: vec!["\"안녕\" & <hi>".to_owned()],
                timestamp: Some("2005-10-27T16:49:29Z".to_owned()),
            }],
            notes: vec!["In Tokyo".to_owned()],
            activities: vec!["on-the-phone".to_owned(), "busy".to_owned()],
        };
        let text = presence.to_xml();
        assert_eq!(Presence::parse(text.as_bytes()), Ok(presence), "{text}");
    }

    #[test]
    fn other_documents_are_refused() {
        let wrong = b"<presence xmlns='urn:x' entity='a'/>";
        assert_eq!(Presence::parse(wrong), Err(BodyError::Foreign));
        let nobody = format!("<presence xmlns='{PIDF}'/>");
        assert_eq!(
            Presence::parse(nobody.as_bytes()),
            Err(BodyError::Missing("entity"))
        );
        assert!(matches!(Presence::parse(b"x"), Err(BodyError::Xml(_))));
        let doctype =
            format!("<!DOCTYPE p [<!ENTITY a 'b'>]><presence xmlns='{PIDF}' entity='&a;'/>");
        assert!(matches!(
            Presence::parse(doctype.as_bytes()),
            Err(BodyError::Xml(_))
        ));
        let large = vec![b' '; super::super::MAX_DOCUMENT + 1];
        assert_eq!(Presence::parse(&large), Err(BodyError::TooLarge));
    }
}
