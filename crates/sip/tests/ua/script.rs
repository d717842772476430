//! A peer whose messages the test writes: both sides of a dialog as text.

use crate::world::{World, header, reply};

/// Where the peer is.
pub const PEER: &str = "10.0.0.5:5060";

/// A hand-written peer and its view of one dialog.
pub struct Script {
    /// Its node.
    pub node: usize,
    /// Whom it talks to.
    pub with: usize,
    from: String,
    to: String,
    call_id: String,
    uri: String,
    cseq: u32,
    branch: u32,
}

impl Script {
    /// The callee of an INVITE that was received.
    pub fn callee(node: usize, with: usize, invite: &str, tag: &str) -> Script {
        Script {
            node,
            with,
            from: format!("{};tag={tag}", header(invite, "To")),
            to: header(invite, "From"),
            call_id: header(invite, "Call-ID"),
            uri: header(invite, "Contact")
                .trim_matches(['<', '>'])
                .to_owned(),
            cseq: 10,
            branch: 0,
        }
    }

    /// A caller of Bob.
    pub fn caller(node: usize, with: usize) -> Script {
        Script {
            node,
            with,
            from: "<sip:x@10.0.0.5>;tag=peer".to_owned(),
            to: "<sip:bob@10.0.0.2>".to_owned(),
            call_id: "theirs@10.0.0.5".to_owned(),
            uri: "sip:bob@10.0.0.2".to_owned(),
            cseq: 0,
            branch: 0,
        }
    }

    /// A response of the other side makes the dialog.
    pub fn join(&mut self, response: &str) {
        self.to = header(response, "To");
    }

    /// Sends a request with the next number; `more` are whole lines.
    pub fn send(&mut self, world: &mut World, method: &str, more: &str, body: &str) -> String {
        self.cseq += 1;
        let cseq = self.cseq;
        self.send_as(world, method, cseq, more, body)
    }

    /// Sends a request with this number.
    pub fn send_as(
        &mut self,
        world: &mut World,
        method: &str,
        cseq: u32,
        more: &str,
        body: &str,
    ) -> String {
        self.branch += 1;
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\n"
        };
        let text = format!(
            "{method} {} SIP/2.0\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bKs{}\nFrom: {}\nTo: {}\n\
             Call-ID: {}\nCSeq: {cseq} {method}\nMax-Forwards: 70\n{more}{kind}Content-Length: {}\n\n{body}",
            self.uri,
            self.branch,
            self.from,
            self.to,
            self.call_id,
            body.len()
        );
        world.write(self.node, self.with, &text);
        text
    }

    /// The next message that is not 100 Trying.
    pub fn receive(&self, world: &mut World) -> String {
        loop {
            let message = world.receive(self.node);
            if !message.starts_with("SIP/2.0 100 ") {
                return message;
            }
        }
    }

    /// The next message, which has to be a response with this status to this method.
    #[track_caller]
    pub fn expect(&self, world: &mut World, status: u16, method: &str) -> String {
        let message = self.receive(world);
        assert!(
            message.starts_with(&format!("SIP/2.0 {status} "))
                && header(&message, "CSeq").ends_with(method),
            "{status} {method} expected: {message}"
        );
        message
    }

    /// The next message, which has to be this request; it is answered with 200.
    #[track_caller]
    pub fn serve(&self, world: &mut World, method: &str, more: &str, body: &str) -> String {
        let message = self.receive(world);
        assert!(
            message.starts_with(&format!("{method} ")),
            "{method}: {message}"
        );
        world.write(
            self.node,
            self.with,
            &reply(&message, "200 OK", "", more, body),
        );
        message
    }
}

/// What follows the headers.
pub fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
