//! Route (RFC 3261 §20.34), Record-Route (§20.30), Path (RFC 3327) and Service-Route (RFC 3608):
//! all are lists of addresses in brackets.

use super::{NameAddr, NameAddrs};

/// The values of one Route line.
pub type Route<'a> = NameAddrs<'a>;
/// The values of one Record-Route line.
pub type RecordRoute<'a> = NameAddrs<'a>;
/// The values of one Path line.
pub type Path<'a> = NameAddrs<'a>;
/// The values of one Service-Route line.
pub type ServiceRoute<'a> = NameAddrs<'a>;

/// The addresses of several header lines of one of these, in the order of the lines.
pub fn routes<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = <NameAddrs<'a> as Iterator>::Item> {
    lines.into_iter().flat_map(NameAddr::parse_list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_follow_each_other() {
        let lines = [&b"<sip:a;lr>, <sip:b;lr>"[..], b"<sip:c>"];
        let all: Vec<_> = routes(lines).map(|r| r.unwrap().uri.to_string()).collect();
        assert_eq!(all, ["sip:a;lr", "sip:b;lr", "sip:c"]);
    }
}
