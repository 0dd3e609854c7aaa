//! What the answer to the first REGISTER means.

use std::fmt;
use std::time::Duration;

use super::challenge::{Challenge, ChallengeError};
use super::contact::Contact;
use super::diagnostics::Diagnostics;
use super::message::Response;
use super::register::Register;
use crate::text::WireText;

/// What a response says to a REGISTER that carried no credentials.
///
/// | status | meaning |
/// |---|---|
/// | 100–199 | still working |
/// | 200–299 | registered without having asked who we are |
/// | 300–399 | go there, if a Contact names a host; else garbage |
/// | 401, 407 | prove it, if a challenge can be read; else garbage |
/// | 500, 503, 504 | refused; another server may know better |
/// | every other | refused; another server would say the same |
///
/// Garbage is refused too, and another server may know better.
///
/// ```
/// use sip_signin::sip::{Answer, Message, Remedy};
/// let bytes = "SIP/2.0 503 Service Unavailable\r\nRetry-After: 120\r\nl: 0\r\n\r\n";
/// let Message::Response(response) = Message::parse(bytes.into())? else {
///     panic!("it has a status line");
/// };
/// let Answer::Refused(refusal) = Answer::to_first_register(&response) else {
///     panic!("503 refuses");
/// };
/// assert_eq!(refusal.remedy, Remedy::AnotherServer);
/// assert_eq!(refusal.to_string(), "503 Service Unavailable");
/// # Ok::<(), sip_signin::sip::FramingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The server asks for proof, in at least one way that could be read.
    Challenged {
        /// Who asks: it decides which header answers.
        by: Challenger,
        /// How, in the server's order.
        challenges: Vec<Challenge<'static>>,
        /// Challenges that could not be read.
        unread: Vec<ChallengeError>,
    },
    /// Not final: there is more to come.
    Provisional,
    /// Go to the first of these that has a target; the most preferred comes first.
    Redirected(Vec<Contact>),
    /// No.
    Refused(ServerRefusal),
    /// Yes, without having asked who we are.
    Unauthenticated,
}

impl Answer {
    /// Reads the answer to a REGISTER without credentials.
    ///
    /// That it answers ours is for [`Response::answers`] to say.
    pub fn to_first_register(response: &Response) -> Self {
        let refused = |remedy| Self::Refused(ServerRefusal::read(response, remedy));
        match response.status() {
            ..=199 => Self::Provisional,
            200..=299 => Self::Unauthenticated,
            300..=399 => {
                let contacts = Contact::of(response.headers());
                if contacts.iter().any(|contact| contact.target.is_some()) {
                    Self::Redirected(contacts)
                } else {
                    refused(Remedy::AnotherServer)
                }
            }
            401 => Self::challenged(response, Challenger::Registrar),
            407 => Self::challenged(response, Challenger::Proxy),
            500 | 503 | 504 => refused(Remedy::AnotherServer),
            _ => refused(Remedy::None),
        }
    }

    fn challenged(response: &Response, by: Challenger) -> Self {
        let (mut challenges, mut unread) = (Vec::new(), Vec::new());
        for challenge in Challenge::of(response.headers(), by.header()) {
            match challenge {
                Ok(challenge) => challenges.push(challenge.apart()),
                Err(error) => unread.push(error),
            }
        }
        if challenges.is_empty() {
            return Self::Refused(ServerRefusal::read(response, Remedy::AnotherServer));
        }
        Self::Challenged { by, challenges, unread }
    }
}

/// Who asks for proof. There is nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Challenger {
    /// A proxy on the way, with a 407 (RFC 3261 section 22.3).
    Proxy,
    /// The registrar, with a 401 (RFC 3261 section 22.2).
    Registrar,
}

impl Challenger {
    fn header(self) -> &'static str {
        match self {
            Self::Proxy => "Proxy-Authenticate",
            Self::Registrar => "WWW-Authenticate",
        }
    }
}

impl Response {
    /// Whether this answers `register`; a response that does not is to be ignored (RFC 3261 section
    /// 18.1.2). Whatever has no readable Call-ID or CSeq, or two of them, answers nothing.
    pub fn answers(&self, register: &Register) -> bool {
        let ours = self.headers().call_id().as_deref() == Some(register.call_id());
        let cseq = self.headers().cseq();
        ours && cseq.is_some_and(|c| c.number == register.cseq() && &*c.method == "REGISTER")
    }
}

/// A server's no, and what it says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServerRefusal {
    /// The status code.
    pub status: u16,
    /// The reason phrase; it may be empty.
    pub reason: WireText,
    /// The server's diagnosis.
    pub diagnostics: Option<Diagnostics>,
    /// How long to leave this server alone.
    pub retry_after: Option<Duration>,
    /// The first `Warning` as it came: code, agent and text (RFC 3261 section 20.43).
    pub warning: Option<WireText>,
    /// What may help.
    pub remedy: Remedy,
}

/// What may help after a refusal. There is nothing else that this client could do by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Remedy {
    /// The next candidate: the server is overloaded, broken, or cannot reach the home pool.
    AnotherServer,
    /// Nothing: every server of the domain would say the same.
    None,
}

impl ServerRefusal {
    pub(crate) fn read(response: &Response, remedy: Remedy) -> Self {
        let headers = response.headers();
        Self {
            status: response.status(),
            reason: response.reason(),
            diagnostics: Diagnostics::of(headers),
            retry_after: headers.retry_after(),
            warning: headers.get("Warning").map(WireText::new),
            remedy,
        }
    }
}

/// `403 Forbidden; 4004 Not authorized (sip.contoso.com)`.
impl fmt::Display for ServerRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.reason)?;
        match &self.diagnostics {
            Some(diagnostics) => write!(f, "; {diagnostics}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::contact::UriTransport;
    use super::super::message::Message;
    use super::super::register::Tokens;
    use super::*;

    fn response(status: u16, lines: &str) -> Response {
        let bytes = format!("SIP/2.0 {status} Reason\r\n{lines}l: 0\r\n\r\n");
        match Message::parse(bytes.into()).unwrap() {
            Message::Response(response) => response,
            Message::Request(request) => panic!("{request:?}"),
        }
    }

    fn word(answer: &Answer) -> &'static str {
        match answer {
            Answer::Challenged { .. } => "challenged",
            Answer::Provisional => "provisional",
            Answer::Redirected(_) => "redirected",
            Answer::Refused(refusal) => match refusal.remedy {
                Remedy::AnotherServer => "next",
                Remedy::None => "end",
            },
            Answer::Unauthenticated => "unauthenticated",
        }
    }

    /// One row for each run of statuses, bare and with everything that could be asked for.
    #[test]
    fn every_status_has_its_meaning() {
        let all = "WWW-Authenticate: NTLM\r\nProxy-Authenticate: NTLM\r\nContact: <sip:a.b>\r\n";
        let table = [
            (100..=199, "provisional", "provisional"),
            (200..=299, "unauthenticated", "unauthenticated"),
            (300..=399, "next", "redirected"),
            (400..=400, "end", "end"),
            (401..=401, "next", "challenged"),
            (402..=406, "end", "end"),
            (407..=407, "next", "challenged"),
            (408..=499, "end", "end"),
            (500..=500, "next", "next"),
            (501..=502, "end", "end"),
            (503..=504, "next", "next"),
            (505..=699, "end", "end"),
        ];
        let mut expected = 100;
        for (statuses, bare, full) in table {
            assert_eq!(*statuses.start(), expected, "the table has a hole");
            expected = statuses.end() + 1;
            for status in statuses {
                let answer = |lines| Answer::to_first_register(&response(status, lines));
                assert_eq!(word(&answer("")), bare, "{status}");
                assert_eq!(word(&answer(all)), full, "{status}");
            }
        }
        assert_eq!(expected, 700);
    }

    #[test]
    fn a_challenge_is_read_from_the_header_of_its_status() {
        let lines = "WWW-Authenticate: NTLM a=1, a=2\r\nWWW-Authenticate: Kerberos b=1\r\n\
                     Proxy-Authenticate: Digest c=1\r\n";
        for (status, challenger, header) in
            [(401, Challenger::Registrar, "Kerberos"), (407, Challenger::Proxy, "Digest")]
        {
            let answer = Answer::to_first_register(&response(status, lines));
            let Answer::Challenged { by, challenges, unread } = answer else {
                panic!("{answer:?}");
            };
            let schemes: Vec<_> = challenges.iter().map(|c| c.scheme().to_string()).collect();
            assert_eq!((by, schemes), (challenger, vec![header.to_owned()]));
            assert_eq!(unread.len(), usize::from(status == 401));
        }
        let broken = response(401, "WWW-Authenticate: NTLM a=\"\r\nProxy-Authenticate: NTLM\r\n");
        assert_eq!(word(&Answer::to_first_register(&broken)), "next");
    }

    #[test]
    fn a_refusal_carries_all_that_the_server_says() {
        let lines = "ms-diagnostics: 4004.2;reason=\"Not authorized\";source=\"ocs.contoso.com\"\r\n\
                     Retry-After: 120 (later);duration=5\r\nWarning: 310 ocs \"Old\"\r\n";
        let Answer::Refused(refusal) = Answer::to_first_register(&response(403, lines)) else {
            panic!("403 refuses");
        };
        assert_eq!(refusal.to_string(), "403 Reason; 4004.2 Not authorized (ocs.contoso.com)");
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(120)));
        assert_eq!(refusal.warning, Some("310 ocs \"Old\"".into()));
        assert_eq!(refusal.remedy, Remedy::None);
    }

    #[test]
    fn only_the_answer_to_our_own_request_is_ours() {
        let tokens = Tokens {
            call_id: "ours".into(),
            from_tag: "t".into(),
            branch: "b".into(),
            contact: "c".into(),
        };
        let register = Register::new(
            &"sip:user@contoso.com".parse().unwrap(),
            "192.0.2.7:1".parse().unwrap(),
            UriTransport::Tls,
            tokens,
            "1".parse().unwrap(),
            "x",
        );
        let register = register.unwrap().next();
        for (lines, ours) in [
            ("i: ours\r\nCSeq: 2 REGISTER\r\n", true),
            ("Call-ID: ours\r\ncseq: 0002\r\n  REGISTER\r\n", true),
            ("i: Ours\r\nCSeq: 2 REGISTER\r\n", false),
            ("i: ours\r\nCSeq: 1 REGISTER\r\n", false),
            ("i: ours\r\nCSeq: 2 register\r\n", false),
            ("i: ours\r\nCSeq: 2 NOTIFY\r\n", false),
            ("i: ours\r\nCSeq: 4294967298 REGISTER\r\n", false),
            ("i: ours\r\nCSeq: +2 REGISTER\r\n", false),
            ("i: ours\r\nCSeq: 2\r\n", false),
            ("i: ours\r\n", false),
            ("CSeq: 2 REGISTER\r\n", false),
            ("i: ours\r\ni: ours\r\nCSeq: 2 REGISTER\r\n", false),
            ("i: ours\r\nCSeq: 2 REGISTER\r\nCSeq: 2 REGISTER\r\n", false),
        ] {
            assert_eq!(response(200, lines).answers(&register), ours, "{lines:?}");
        }
    }
}
