use std::net::SocketAddr;

use super::{BINDING, Builder, Class, Message, attribute};

/// Answers a Binding request without credentials (RFC 8489 §6.3): the sender's address, or 420 where an attribute has to be
/// understood and is not. `None` for everything else.
pub fn serve(request: &Message<'_>, from: SocketAddr) -> Option<Vec<u8>> {
    if request.class() != Class::Request || request.method() != BINDING {
        return None;
    }
    let unknown = request.unknown();
    if !unknown.is_empty() {
        let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        return Some(
            Builder::new(Class::Error, BINDING, request.transaction())
                .error_code(420, "Unknown Attribute")
                .attribute(attribute::UNKNOWN_ATTRIBUTES, &list)
                .fingerprint(),
        );
    }
    Some(
        Builder::new(Class::Success, BINDING, request.transaction())
            .mapped_address(from)
            .fingerprint(),
    )
}
