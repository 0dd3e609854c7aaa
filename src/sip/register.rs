//! The REGISTER of a dialog, the first one and those after it: who we are, and not a word of proof.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::contact::UriTransport;
use super::endpoint_id::{Epid, InstanceId};
use super::limits::FramingError;
use super::message::{CSeq, Message};
use super::parameters::is_token;
use super::writing::Writing;
use crate::address::SipAddress;
use crate::text::WireText;

/// The REGISTER that a sign-in begins with: it carries no credentials.
///
/// What it writes is what Communicator 2007 R2 writes ([MS-SIPAE] section 4.1 and a trace of the
/// client), with the `branch` that RFC 3261 section 8.1.1.7 demands. It is also the identity of the
/// dialog: Call-ID and From tag stay the same and CSeq grows through the whole handshake.
///
/// ```
/// use sip_signin::sip::{Message, Register, Tokens, UriTransport};
/// let register = Register::new(
///     &"sip:jeremy@contoso.com".parse()?,
///     "192.0.2.7:49152".parse()?,
///     UriTransport::Tls,
///     Tokens {
///         call_id: "0c2f1b3c9d5e4f6a8b7c6d5e4f3a2b1c".into(),
///         from_tag: "3e49177a52".into(),
///         branch: "b8f1d2".into(),
///         contact: "c8ca638a15".into(),
///     },
///     "8248ca9ebb".parse()?,
///     "UCCAPI/3.5.6907.0 OC/3.5.6907.0 (Microsoft Office Communicator 2007 R2)",
/// )?;
/// let Message::Request(request) = Message::parse(register.write())? else {
///     panic!("it is a request");
/// };
/// assert_eq!(request.uri(), "sip:contoso.com");
/// assert_eq!(request.headers().get("CSeq").as_deref(), Some("1 REGISTER"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    address: SipAddress,
    /// The [`Tokens`], our end and the user agent, behind a space each: one copy for the whole dialog.
    texts: Arc<str>,
    transport: UriTransport,
    epid: Epid,
    instance: InstanceId,
    cseq: u32,
    /// Whether it ends the binding.
    ends: bool,
}

/// What a Contact says of Communicator 2007 R2.
const METHODS: &str = ">;methods=\"INVITE, MESSAGE, INFO, OPTIONS, BYE, CANCEL, NOTIFY, ACK, REFER, \
    BENOTIFY\";proxy=replace";

/// The random parts of a dialog. The caller draws them; each is a `token` (RFC 3261 section 25.1),
/// and none may be used again for another sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Call-ID: Communicator sends 32 hexadecimal digits.
    pub call_id: String,
    /// The tag of From: Communicator sends ten hexadecimal digits.
    pub from_tag: String,
    /// What makes the `branch` of each request unlike any other's, together with its CSeq.
    pub branch: String,
    /// `ms-opaque` of the Contact: Communicator sends ten hexadecimal digits.
    pub contact: String,
}

impl Register {
    /// The most bytes of a user agent or of one of the [`Tokens`].
    pub const TEXT_LIMIT: usize = 256;

    /// The REGISTER of `address` over the connection whose near end is `local`.
    ///
    /// # Errors
    /// [`RegisterError`] names the text that could not stand in a message: a token that is none, or
    /// a user agent that is empty, too long, or holds anything but printable ASCII.
    pub fn new(
        address: &SipAddress,
        local: SocketAddr,
        transport: UriTransport,
        tokens: Tokens,
        epid: Epid,
        user_agent: &str,
    ) -> Result<Self, RegisterError> {
        use RegisterPart as Part;
        let printable = user_agent.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        for (part, text, sound) in [
            (Part::Branch, &*tokens.branch, is_token(&tokens.branch)),
            (Part::CallId, &tokens.call_id, is_token(&tokens.call_id)),
            (Part::Contact, &tokens.contact, is_token(&tokens.contact)),
            (Part::FromTag, &tokens.from_tag, is_token(&tokens.from_tag)),
            (Part::UserAgent, user_agent, printable),
        ] {
            if !sound || text.trim().is_empty() || text.len() > Self::TEXT_LIMIT {
                let text = text.into();
                return Err(RegisterError { part, text });
            }
        }
        let Tokens { call_id, from_tag, branch, contact } = tokens;
        // Without the scope of an IPv6 address, which is ours alone.
        let local = SocketAddr::new(local.ip(), local.port()).to_string();
        let texts = [&call_id, &from_tag, &branch, &contact, &local, user_agent];
        Ok(Self {
            address: address.clone(),
            texts: texts.join(" ").into(),
            transport,
            instance: InstanceId::of(&epid),
            epid,
            cseq: 1,
            ends: false,
        })
    }

    /// Who signs in.
    pub fn address(&self) -> &SipAddress {
        &self.address
    }

    /// The Call-ID of the dialog.
    pub fn call_id(&self) -> &str {
        self.texts.split_once(' ').map_or("", |(call_id, _)| call_id)
    }

    /// The tag of From.
    pub fn from_tag(&self) -> &str {
        let [_, from_tag, ..] = self.texts();
        from_tag
    }

    /// The endpoint.
    pub fn epid(&self) -> &Epid {
        &self.epid
    }

    /// The instance of the endpoint.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// The number of this request.
    pub fn cseq(&self) -> u32 {
        self.cseq
    }

    /// The next request of the same dialog.
    #[must_use]
    pub fn next(self) -> Self {
        let cseq = self.cseq.saturating_add(1).min(CSeq::LIMIT);
        Self { cseq, ..self }
    }

    /// The next request of the same dialog, which ends the binding: Expires is 0, in a header of its
    /// own and in the Contact (RFC 3261 section 10.2.2).
    #[must_use]
    pub fn sign_out(self) -> Self {
        Self { ends: true, ..self.next() }
    }

    /// Whether it ends the binding.
    pub fn is_sign_out(&self) -> bool {
        self.ends
    }

    /// Only the last, the user agent, may hold a space.
    fn texts(&self) -> [&str; 6] {
        let mut rest = &*self.texts;
        std::array::from_fn(|at| {
            let space = rest.bytes().position(|byte| byte == b' ' && at < 5);
            let cut = space.and_then(|space| rest.split_at_checked(space));
            let (text, behind) = cut.unwrap_or((rest, ""));
            rest = behind.get(1..).unwrap_or_default();
            text
        })
    }

    /// The bytes of the request.
    pub fn write(&self) -> Bytes {
        self.lay_out().bytes()
    }

    /// The request, as if it were read from its bytes.
    pub(crate) fn message(&self) -> Result<Message, FramingError> {
        self.lay_out().message()
    }

    fn lay_out(&self) -> Writing {
        let [call_id, from_tag, branch, contact, local, user_agent] = self.texts();
        let (user, domain) = (self.address.user(), self.address.domain().as_str());
        let (cseq, instance) = (&*self.cseq.to_string(), &*self.instance.to_string());
        let (via, transport) = (self.transport.in_via(), self.transport.in_uri());
        let epid = self.epid.as_str();
        let ends = if self.ends { ";expires=0" } else { "" };
        let uri: &[&str] = &["<sip:", local, ";transport=", transport, ";ms-opaque=", contact];
        let parameters = &[METHODS, ";+sip.instance=\"<urn:uuid:", instance, ">\"", ends];

        let mut out = Writing::begin("REGISTER", &["sip:", domain]);
        out.field("Via", &["SIP/2.0/", via, " ", local, ";branch=z9hG4bK", branch, ".", cseq]);
        out.field("Max-Forwards", &["70"]);
        out.field("From", &["<sip:", user, "@", domain, ">;tag=", from_tag, ";epid=", epid]);
        out.field("To", &["<sip:", user, "@", domain, ">"]);
        out.field("Call-ID", &[call_id]);
        out.field("CSeq", &[cseq, " REGISTER"]);
        out.field("Contact", &[uri, parameters].concat());
        out.field("User-Agent", &[user_agent]);
        out.field("Supported", &["gruu-10, adhoclist, msrtc-event-categories"]);
        out.field("Supported", &["ms-forking"]);
        out.field("ms-keep-alive", &["UAC;hop-hop=yes"]);
        out.field("Event", &["registration"]);
        if self.ends {
            out.field("Expires", &["0"]);
        }
        out.field("Content-Length", &["0"]);
        out
    }
}

/// A text that may not stand in a REGISTER. The fault is the caller's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` cannot be the {part} of a REGISTER")]
pub struct RegisterError {
    /// Which part it was to be.
    pub part: RegisterPart,
    /// The text.
    pub text: WireText,
}

/// A part of a REGISTER that a caller chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterPart {
    /// [`Tokens::branch`].
    #[error("branch")]
    Branch,
    /// [`Tokens::call_id`].
    #[error("Call-ID")]
    CallId,
    /// [`Tokens::contact`].
    #[error("ms-opaque of the Contact")]
    Contact,
    /// [`Tokens::from_tag`].
    #[error("tag of From")]
    FromTag,
    /// The user agent.
    #[error("User-Agent")]
    UserAgent,
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER_AGENT: &str =
        "UCCAPI/3.5.6907.0 OC/3.5.6907.0 (Microsoft Office Communicator 2007 R2)";

    fn tokens() -> Tokens {
        Tokens {
            call_id: "4037df9284354df39065195bd57a4b14".into(),
            from_tag: "3e49177a52".into(),
            branch: "7a4b14".into(),
            contact: "5d0c1b9fa2".into(),
        }
    }

    fn register(tokens: Tokens, user_agent: &str) -> Result<Register, RegisterError> {
        let address = "sip:user@cosmo.local".parse().unwrap();
        let local = "192.0.2.7:49152".parse().unwrap();
        let epid = "c8ca638a15".parse().unwrap();
        Register::new(&address, local, UriTransport::Tls, tokens, epid, user_agent)
    }

    /// The shape of the client's trace; epid and instance are a published pair.
    const FIRST: &str = "\
        REGISTER sip:cosmo.local SIP/2.0\r\n\
        Via: SIP/2.0/TLS 192.0.2.7:49152;branch=z9hG4bK7a4b14.1\r\n\
        Max-Forwards: 70\r\n\
        From: <sip:user@cosmo.local>;tag=3e49177a52;epid=c8ca638a15\r\n\
        To: <sip:user@cosmo.local>\r\n\
        Call-ID: 4037df9284354df39065195bd57a4b14\r\n\
        CSeq: 1 REGISTER\r\n\
        Contact: <sip:192.0.2.7:49152;transport=tls;ms-opaque=5d0c1b9fa2>;methods=\"INVITE, MESSAGE, INFO, OPTIONS, BYE, CANCEL, NOTIFY, ACK, REFER, BENOTIFY\";proxy=replace;+sip.instance=\"<urn:uuid:34d859db-6585-5f91-a3b4-de853c15347d>\"\r\n\
        User-Agent: UCCAPI/3.5.6907.0 OC/3.5.6907.0 (Microsoft Office Communicator 2007 R2)\r\n\
        Supported: gruu-10, adhoclist, msrtc-event-categories\r\n\
        Supported: ms-forking\r\n\
        ms-keep-alive: UAC;hop-hop=yes\r\n\
        Event: registration\r\n\
        Content-Length: 0\r\n\
        \r\n";

    #[test]
    fn the_first_register_is_the_one_of_communicator() {
        assert_eq!(register(tokens(), USER_AGENT).unwrap().write(), FIRST);
    }

    /// The reader is the judge.
    #[test]
    fn it_is_laid_out_as_it_would_be_read() {
        let register = register(tokens(), USER_AGENT).unwrap();
        for register in [register.clone(), register.clone().next(), register.sign_out()] {
            assert_eq!(register.message(), Message::parse(register.write()));
        }
    }

    #[test]
    fn the_next_one_differs_in_its_number_and_branch_only() {
        let next = register(tokens(), USER_AGENT).unwrap().next();
        let written = FIRST.replace("CSeq: 1", "CSeq: 2").replace("7a4b14.1", "7a4b14.2");
        assert_eq!(next.write(), written);
    }

    #[test]
    fn signing_out_is_one_more_request_that_lasts_no_time() {
        let last = register(tokens(), USER_AGENT).unwrap().sign_out();
        let written = FIRST.replace("CSeq: 1", "CSeq: 2").replace("7a4b14.1", "7a4b14.2");
        let written = written.replace("347d>\"\r\n", "347d>\";expires=0\r\n");
        let written = written.replace("Content-Length", "Expires: 0\r\nContent-Length");
        assert_eq!(last.write(), written);
    }

    #[test]
    fn over_tcp_and_ipv6_the_addresses_follow_rfc_3261() {
        let address = "sip:user@cosmo.local".parse().unwrap();
        let scoped = std::net::SocketAddrV6::new("fe80::7".parse().unwrap(), 5060, 0, 3);
        let register = Register::new(
            &address,
            scoped.into(),
            UriTransport::Tcp,
            tokens(),
            "1".parse().unwrap(),
            "x",
        );
        let written = String::from_utf8(register.unwrap().write().to_vec()).unwrap();
        assert!(written.contains("\r\nVia: SIP/2.0/TCP [fe80::7]:5060;branch="));
        assert!(written.contains("\r\nContact: <sip:[fe80::7]:5060;transport=tcp;ms-opaque="));
    }

    #[test]
    fn no_text_of_the_caller_breaks_out_of_its_place() {
        let long = "a".repeat(Register::TEXT_LIMIT + 1);
        for text in ["", " ", "a\r\nEvil: 1", "a\nb", "a\0", "\u{7f}", "é", &long] {
            let refused = |tokens, user_agent| register(tokens, user_agent).unwrap_err().part;
            let bad = || text.to_owned();
            let table = [
                (Tokens { branch: bad(), ..tokens() }, "x", RegisterPart::Branch),
                (Tokens { call_id: bad(), ..tokens() }, "x", RegisterPart::CallId),
                (Tokens { contact: bad(), ..tokens() }, "x", RegisterPart::Contact),
                (Tokens { from_tag: bad(), ..tokens() }, "x", RegisterPart::FromTag),
                (tokens(), text, RegisterPart::UserAgent),
            ];
            for (tokens, user_agent, part) in table {
                assert_eq!(refused(tokens, user_agent), part, "{text:?}");
            }
        }
        for text in ["a;b", "a>b", "a b", "a\"b", "a,b"] {
            let from_tag = text.into();
            assert!(register(Tokens { from_tag, ..tokens() }, "x").is_err());
        }
        let longest = "a".repeat(Register::TEXT_LIMIT);
        assert!(register(tokens(), &longest).is_ok());
    }
}
