//! What a signature covers: parts of a message, exactly as they are written in it.

use std::borrow::Cow;

use crate::sip::parameters::{find_outside, split, split_addresses, trim, value_of};
use crate::sip::{Headers, Message};

/// A version of [MS-SIPAE]. There are no others; a server that speaks an older one is refused, one
/// that speaks a newer one is not answered in a language it may not know.
///
/// | version | servers | the signature covers |
/// |---|---|---|
/// | 2 | Live Communications Server 2005 | 13 parts |
/// | 3 | Office Communications Server 2007 | and the URI of To, and asserted identities |
/// | 4 | the same with its update, 2007 R2 and later | the same |
///
/// From version 4 on the message with the last token is signed too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 2: what a server speaks that names none.
    V2,
    /// 3.
    V3,
    /// 4.
    V4,
}

impl Version {
    /// The version of this number; `None` when this client does not speak it.
    pub fn read(number: u32) -> Option<Self> {
        match number {
            2 => Some(Self::V2),
            3 => Some(Self::V3),
            4 => Some(Self::V4),
            _ => None,
        }
    }

    /// Its number.
    pub fn number(self) -> u32 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }

    /// Whether the message with the last token is signed too.
    pub fn signs_last_token(self) -> bool {
        self >= Self::V4
    }
}

/// The parts of a signature that come from the security association and not from the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt<'a> {
    /// The scheme, as [`Scheme`](crate::sip::Scheme) prints it.
    pub scheme: &'a str,
    /// `crand` of the client, `srand` of the server.
    pub rand: &'a str,
    /// `cnum` of the client, `snum` of the server, as it is written.
    pub num: &'a str,
    /// The realm.
    pub realm: &'a str,
    /// The target name.
    pub target: &'a str,
}

/// A field that must be there once at the most comes twice, so that nobody can say which of them is
/// signed. The fault is the sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message has more than one {name}")]
pub struct Ambiguous {
    /// The field.
    pub name: &'static str,
}

/// The bytes that are signed, for a request and for a response, from either side.
///
/// Each part stands in angle brackets, with nothing between and its case kept; one that the message
/// does not have is `<>`. Requests have no part for the status. [MS-SIP section 3.1.4.2; MS-SIPAE
/// section 3.2.5.2]
///
/// # Errors
/// [`Ambiguous`] when a field comes twice.
///
/// ```
/// use sip_signin::auth::{Salt, Version, signature_buffer};
/// use sip_signin::sip::Message;
/// let message = Message::parse(
///     "REGISTER sip:contoso.com SIP/2.0\r\n\
///      From: <sip:jeremy@contoso.com>;tag=1;epid=2\r\n\
///      To: <sip:jeremy@contoso.com>\r\n\
///      Call-ID: 3\r\n\
///      CSeq: 4 REGISTER\r\n\
///      l: 0\r\n\r\n"
///         .into(),
/// )?;
/// let salt = Salt { scheme: "NTLM", rand: "5", num: "6", realm: "r", target: "t" };
/// let signed = signature_buffer(Version::V4, salt, &message)?;
/// assert_eq!(
///     signed,
///     "<NTLM><5><6><r><t><3><4><REGISTER><sip:jeremy@contoso.com><1><sip:jeremy@contoso.com>\
///      <><><><>"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn signature_buffer(
    version: Version,
    salt: Salt<'_>,
    message: &Message,
) -> Result<String, Ambiguous> {
    let headers = message.headers();
    let once = |name: &'static str| {
        let mut values = headers.all(name);
        let first = values.next().unwrap_or_default();
        if values.next().is_some() { Err(Ambiguous { name }) } else { Ok(first) }
    };
    let (call_id, cseq, expires) = (once("Call-ID")?, once("CSeq")?, once("Expires")?);
    let (number, method) = cseq.split_once([' ', '\t']).unwrap_or((&cseq, ""));
    let (from, to) = (once("From")?, once("To")?);
    let (from_uri, from_parameters) = uri(&from);
    let (to_uri, to_parameters) = uri(&to);
    let full = version >= Version::V3;
    let identities = if full { Identities::of(headers)? } else { Identities::default() };

    let mut buffer = Buffer(String::with_capacity(256));
    for part in [salt.scheme, salt.rand, salt.num, salt.realm, salt.target] {
        buffer.add(part);
    }
    for part in [&call_id, number, trim(method), from_uri, &tag(from_parameters)] {
        buffer.add(part);
    }
    if full {
        buffer.add(to_uri);
    }
    buffer.add(&tag(to_parameters));
    if full {
        buffer.add(&identities.sip);
        buffer.add(&identities.tel);
    }
    buffer.add(&expires);
    if let Message::Response(response) = message {
        buffer.add(&response.status().to_string());
    }
    Ok(buffer.0)
}

struct Buffer(String);

impl Buffer {
    fn add(&mut self, part: &str) {
        self.0.push('<');
        self.0.push_str(part);
        self.0.push('>');
    }
}

/// The URI of an address and what stands behind it: between brackets, or up to the first `;`.
fn uri(address: &str) -> (&str, &str) {
    let enclosed = find_outside(address, b'<', false)
        .and_then(|at| address.split_at_checked(at))
        .and_then(|(_, rest)| rest.strip_prefix('<')?.split_once('>'));
    enclosed.unwrap_or_else(|| {
        let (uri, parameters) = address.split_once(';').unwrap_or((address, ""));
        (trim(uri), parameters)
    })
}

/// The value of the parameter `tag`.
fn tag(parameters: &str) -> Cow<'_, str> {
    value_of(split(parameters, b';'), "tag").unwrap_or_default()
}

/// Who the message says it is from, on the word of a server.
#[derive(Default)]
struct Identities {
    sip: String,
    tel: String,
}

impl Identities {
    /// Of P-Asserted-Identity, or else of P-Preferred-Identity (RFC 3325 section 9): each may hold
    /// a SIP URI and a telephone URI, in one field or in two.
    fn of(headers: &Headers) -> Result<Self, Ambiguous> {
        for name in ["P-Asserted-Identity", "P-Preferred-Identity"] {
            let values: Vec<_> = headers.all(name).collect();
            if values.is_empty() {
                continue;
            }
            let mut found = Self::default();
            for value in &values {
                for address in split_addresses(value) {
                    found.take(uri(address).0, name)?;
                }
            }
            return Ok(found);
        }
        Ok(Self::default())
    }

    fn take(&mut self, uri: &str, name: &'static str) -> Result<(), Ambiguous> {
        let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
        let place = if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
            &mut self.sip
        } else if scheme.eq_ignore_ascii_case("tel") {
            &mut self.tel
        } else {
            return Ok(());
        };
        if !place.is_empty() {
            return Err(Ambiguous { name });
        }
        place.push_str(uri);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(version: Version, message: &str) -> Result<String, Ambiguous> {
        let salt = Salt { scheme: "NTLM", rand: "ab", num: "1", realm: "R", target: "T" };
        let message = Message::parse(message.to_owned().into()).unwrap();
        signature_buffer(version, salt, &message)
    }

    #[test]
    fn absent_parts_are_empty_and_only_responses_have_a_status() {
        let nothing = "<NTLM><ab><1><R><T>";
        for (version, message, parts) in [
            (Version::V2, "A sip:b SIP/2.0\r\nl: 0\r\n\r\n", 8),
            (Version::V3, "A sip:b SIP/2.0\r\nl: 0\r\n\r\n", 11),
            (Version::V4, "A sip:b SIP/2.0\r\nl: 0\r\n\r\n", 10 + 1),
        ] {
            let expected = format!("{nothing}{}", "<>".repeat(parts - 1));
            assert_eq!(buffer(version, message).unwrap(), expected);
            let response = "SIP/2.0 603 No\r\nl: 0\r\n\r\n";
            assert_eq!(buffer(version, response).unwrap(), format!("{expected}<603>"));
        }
    }

    #[test]
    fn parts_are_signed_as_they_are_written() {
        let message = "SIP/2.0 180 Ringing\r\n\
            f: \"<a>; tag=no\" <SIP:Jeremy@Contoso.com;User=phone>;EPID=1;TAG=Ab\r\n\
            TO: sip:Toni@contoso.com;tag=cD\r\n\
            i: X@y\r\n\
            cseq: 007   INVITE\r\n\
            P-ASSERTED-IDENTITY: \"T, <x>\" <SIP:Toni@contoso.com>,\r\n <TEL:+1;ext=2>\r\n\
            P-Preferred-Identity: <sip:other@contoso.com>\r\n\
            expires: 0600 ;x\r\n\
            l: 0\r\n\r\n";
        let (head, tail) = ("<NTLM><ab><1><R><T><X@y><007><INVITE>", "<0600 ;x><180>");
        let from = "<SIP:Jeremy@Contoso.com;User=phone><Ab>";
        assert_eq!(buffer(Version::V2, message).unwrap(), format!("{head}{from}<cD>{tail}"));
        for version in [Version::V3, Version::V4] {
            assert_eq!(
                buffer(version, message).unwrap(),
                format!(
                    "{head}{from}<sip:Toni@contoso.com><cD><SIP:Toni@contoso.com><TEL:+1;ext=2>{tail}"
                )
            );
        }
    }

    #[test]
    fn the_preferred_identity_counts_when_none_is_asserted() {
        let of = |fields: &str| {
            let message = format!("A sip:b SIP/2.0\r\n{fields}l: 0\r\n\r\n");
            buffer(Version::V4, &message)
        };
        let expected = |sip: &str, tel: &str| {
            Ok(format!("<NTLM><ab><1><R><T>{}<{sip}><{tel}><>", "<>".repeat(7)))
        };
        assert_eq!(of("P-Preferred-Identity: <sip:a@b>\r\n"), expected("sip:a@b", ""));
        assert_eq!(of("P-Preferred-Identity: tel:1\r\n"), expected("", "tel:1"));
        let two = "P-Asserted-Identity: <tel:1>\r\nP-Asserted-Identity: <sips:a@b>\r\n";
        assert_eq!(of(two), expected("sips:a@b", "tel:1"));
        let name = "P-Asserted-Identity";
        assert_eq!(of("P-Asserted-Identity: <sip:a@b>, <sip:c@d>\r\n"), Err(Ambiguous { name }));
    }

    #[test]
    fn a_field_that_comes_twice_signs_nothing() {
        for name in ["Call-ID", "CSeq", "Expires", "From", "To"] {
            let message = format!("SIP/2.0 200 OK\r\n{name}: 1\r\n{name}: 2\r\nl: 0\r\n\r\n");
            assert_eq!(buffer(Version::V4, &message), Err(Ambiguous { name }));
        }
    }

    #[test]
    fn three_versions_are_spoken() {
        let spoken: Vec<_> = (0..9).filter_map(Version::read).collect();
        assert_eq!(spoken, [Version::V2, Version::V3, Version::V4]);
        assert_eq!(spoken.iter().map(|version| version.number()).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(spoken.iter().filter(|version| version.signs_last_token()).count(), 1);
    }
}
