//! [`Session`] to text.

use std::fmt::{self, Display, Formatter, Write};

use crate::attribute::Attribute;
use crate::session::{Bandwidth, Connection, Line, Media, Origin, Session};

/// Writes one line. A line end inside a value would start a line of its own, so it becomes a blank.
fn line(f: &mut Formatter<'_>, letter: char, value: impl Display) -> fmt::Result {
    write!(f, "{letter}=")?;
    write!(OneLine(f), "{value}")?;
    f.write_str("\r\n")
}

struct OneLine<'a, 'b>(&'a mut Formatter<'b>);

impl Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.split(['\r', '\n'])
            .enumerate()
            .try_for_each(|(index, part)| {
                if index > 0 {
                    self.0.write_char(' ')?;
                }
                self.0.write_str(part)
            })
    }
}

fn each(
    f: &mut Formatter<'_>,
    letter: char,
    values: impl IntoIterator<Item = impl Display>,
) -> fmt::Result {
    values
        .into_iter()
        .try_for_each(|value| line(f, letter, value))
}

fn kept<'a>(f: &mut Formatter<'_>, lines: impl Iterator<Item = &'a Line>) -> fmt::Result {
    for kept in lines {
        line(f, kept.letter, &kept.value)?;
    }
    Ok(())
}

impl Display for Session {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let follows_times = |l: &&Line| matches!(l.letter, 'z' | 'k');
        line(f, 'v', 0)?;
        line(f, 'o', &self.origin)?;
        line(f, 's', &self.name)?;
        each(f, 'i', &self.information)?;
        each(f, 'u', &self.uri)?;
        each(f, 'e', &self.emails)?;
        each(f, 'p', &self.phones)?;
        each(f, 'c', &self.connection)?;
        each(f, 'b', &self.bandwidths)?;
        kept(f, self.other.iter().filter(|l| !follows_times(l)))?;
        for timing in &self.timings {
            line(f, 't', format_args!("{} {}", timing.start, timing.stop))?;
            each(f, 'r', &timing.repeats)?;
        }
        kept(f, self.other.iter().filter(follows_times))?;
        each(f, 'a', &self.attributes)?;
        self.media.iter().try_for_each(|media| media.fmt(f))
    }
}

impl Display for Media {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let count = if self.port_count > 1 {
            format!("/{}", self.port_count)
        } else {
            String::new()
        };
        let formats = self.formats.join(" ");
        line(
            f,
            'm',
            format_args!(
                "{} {}{count} {} {formats}",
                self.kind.name(),
                self.port,
                self.protocol
            ),
        )?;
        each(f, 'i', &self.information)?;
        each(f, 'c', &self.connection)?;
        each(f, 'b', &self.bandwidths)?;
        kept(f, self.other.iter())?;
        each(f, 'a', &self.attributes)
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Origin {
            username,
            session_id,
            session_version,
            net_type,
            address_type,
            address,
        } = self;
        write!(
            f,
            "{username} {session_id} {session_version} {net_type} {address_type} {address}"
        )
    }
}

impl Display for Connection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}",
            self.net_type, self.address_type, self.address
        )?;
        if self.trailing.is_empty() {
            Ok(())
        } else {
            write!(f, " {}", self.trailing)
        }
    }
}

impl Display for Bandwidth {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}

impl Display for Attribute {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.value {
            Some(value) => write!(f, ":{value}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_rfc_8866_whatever_the_input() {
        let input = "v=0\no=- 1 1 IN IP4 h\nk=clear:x\na=tool:x\nx=1\nr=7d\nt=1 2\nr=8d\nz=0 1\nb=AS:64\nb=odd\nc=IN IP4 h\ns=-\n\
                     c=IN IP4 second\nm=audio 4/2 RTP/AVP 0\na=sendrecv\nb=RR:0\nx=2\nc=IN IP4 a b\n";
        let session = Session::parse(input.as_bytes()).unwrap();
        let printed = session.to_string();
        let letters: String = printed.lines().filter_map(|l| l.chars().next()).collect();
        assert_eq!(letters, "voscbxrbctrzkamcbxa");
        assert_eq!(Session::parse(printed.as_bytes()).unwrap(), session);
    }

    #[test]
    fn a_value_cannot_start_a_line() {
        let mut session = Session::parse(b"v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\n").unwrap();
        session.attributes.push(Attribute::new("x", "1\r\na=y"));
        assert!(session.to_string().ends_with("a=x:1  a=y\r\n"));
    }
}
