//! The question whether to compress, and the table of its answers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::address::SipAddress;
use crate::name::Host;
use crate::now::later;
use crate::sip::{Message, Response};
use crate::text::WireText;

/// Whether to ask a server for compression. It is only ever asked over TLS.
///
/// Communicator's policy has the same three (`SipCompression`): without one it lets the speed of the
/// network adapter decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// On every connection.
    Always,
    /// On none: see [the module](super) for what compression may give away.
    #[default]
    Never,
    /// On the connections of which the transport says that they are slow. The ready-made transport
    /// does not know, and says so of none.
    SlowLink,
}

impl Compression {
    /// Whether to ask on a connection that is slow, or not.
    pub const fn is_wanted(self, slow: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::SlowLink => slow,
        }
    }
}

/// Asks a server to compress what follows, on an open TLS connection, before anything else is sent.
/// [MS-SIPCOMP]
///
/// A pure machine with the verbs of [`SignIn`](crate::sign_in::SignIn): [`poll_step`] says what to
/// do, [`receive`] takes what came. What an answer means is a total table:
///
/// | answer | before the deadline | after it |
/// |---|---|---|
/// | 200 with `Compression: LZ77-8K` | [`Compressed`](Step::Compressed) | the connection has to end: [`is_late_yes`] |
/// | 200 with another `Compression`, or none | [`Plain`](Step::Plain) | ignored |
/// | any other final answer | [`Plain`](Step::Plain) | ignored |
/// | provisional, or to another request | passed over | ignored |
/// | nothing | [`Plain`](Step::Plain), once it is over | |
/// | what is no SIP, or the end of the connection | [`Failed`](Step::Failed) | |
///
/// [`poll_step`]: Self::poll_step
/// [`receive`]: Self::receive
/// [`is_late_yes`]: Self::is_late_yes
#[derive(Debug)]
pub struct Negotiation {
    request: Bytes,
    call_id: Box<str>,
    answer_within: Duration,
    passed_over: usize,
    next: Next,
}

#[derive(Debug)]
enum Next {
    Send,
    Hear(Instant),
    Say(Step),
}

/// What a negotiation wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a negotiation goes on only if its steps are carried out"]
pub enum Step {
    /// It is over: what both sides send from here on are packets. The machine answers this for ever.
    Compressed,
    /// It is over: the connection is of no use. The machine answers this for ever.
    Failed(WireText),
    /// It is over: nothing is compressed, and the connection goes on as it is. The machine answers
    /// this for ever.
    Plain(Declined),
    /// Send this.
    Send(Bytes),
    /// Nothing to do before a message comes, or before `until`.
    Wait {
        /// When the server has been silent for too long.
        until: Instant,
    },
}

/// Why nothing is compressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Declined {
    /// The server says no, or does not know the question.
    #[error("declined with {0} {1}")]
    Answer(u16, WireText),
    /// The server says yes, but to something else: what it named, if anything.
    #[error("answered {}", .0.as_ref().map_or("without one".into(), |name| format!("with {name}")))]
    Other(Option<WireText>),
    /// The server said nothing in time.
    #[error("not answered in time")]
    Silence,
}

impl Negotiation {
    /// The compression that is asked for. [MS-SIPCOMP]
    pub const NAME: &'static str = "LZ77-8K";

    /// How long a server may take to answer, by default: 5 s. A server that does not know the
    /// question may be silent, and every sign-in waits for it.
    pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

    /// How many messages are passed over while the answer is awaited. One more is garbage.
    pub const PASSED_OVER_LIMIT: usize = 8;

    /// A request over a connection from `local` to `peer`. `call_id` and `tag` are tokens that the
    /// caller drew, and that are used for nothing else.
    ///
    /// What the example of [MS-SIPCOMP] has in From and To could not be read in any public copy of
    /// it; `address` is written there. (unverified)
    pub fn new(
        address: &SipAddress,
        local: SocketAddr,
        peer: SocketAddr,
        call_id: &str,
        tag: &str,
        answer_within: Duration,
    ) -> Self {
        let near = format!("{}:{}", Host::Ip(local.ip()), local.port());
        let far = format!("{}:{}", Host::Ip(peer.ip()), peer.port());
        let request = format!(
            "NEGOTIATE sip:{far} SIP/2.0\r\n\
             Via: SIP/2.0/TLS {near}\r\n\
             CSeq: 1 NEGOTIATE\r\n\
             Call-ID: {call_id}\r\n\
             From: <{address}>;tag={tag}\r\n\
             To: <{address}>\r\n\
             Compression: {}\r\n\
             Max-Forwards: 0\r\n\
             Content-Length: 0\r\n\
             \r\n",
            Self::NAME
        );
        Self {
            request: request.into(),
            call_id: call_id.into(),
            answer_within,
            passed_over: 0,
            next: Next::Send,
        }
    }

    /// The next step.
    pub fn poll_step(&mut self, now: Instant) -> Step {
        match &self.next {
            Next::Send => {
                self.next = Next::Hear(later(now, self.answer_within));
                Step::Send(self.request.clone())
            }
            Next::Hear(until) if now < *until => Step::Wait { until: *until },
            Next::Hear(_) => {
                self.end(Step::Plain(Declined::Silence));
                Step::Plain(Declined::Silence)
            }
            Next::Say(step) => step.clone(),
        }
    }

    /// Takes a message that came from the server.
    pub fn receive(&mut self, message: &Message) {
        let Next::Hear(_) = self.next else { return };
        match message {
            Message::Response(response) if self.is_final(response) => {
                let step = if says_yes(response) {
                    Step::Compressed
                } else if response.status() == 200 {
                    let said = response.headers().get("Compression");
                    Step::Plain(Declined::Other(said.map(WireText::new)))
                } else {
                    Step::Plain(Declined::Answer(response.status(), response.reason()))
                };
                self.end(step);
            }
            _ if self.passed_over >= Self::PASSED_OVER_LIMIT => {
                self.end(Step::Failed("garbage: nothing but other messages".into()));
            }
            _ => self.passed_over = self.passed_over.saturating_add(1),
        }
    }

    /// The connection was closed or lost, or what comes is no SIP.
    pub fn lost(&mut self, why: WireText) {
        if !matches!(self.next, Next::Say(_)) {
            self.end(Step::Failed(why));
        }
    }

    /// Whether `message` says yes to this question, which is over. From there on the server
    /// compresses, and we do not: the connection has to end.
    pub fn is_late_yes(&self, message: &Message) -> bool {
        let over = matches!(self.next, Next::Say(Step::Plain(_)));
        let Message::Response(response) = message else { return false };
        over && self.is_final(response) && says_yes(response)
    }

    fn is_final(&self, response: &Response) -> bool {
        let headers = response.headers();
        let cseq = headers.cseq().is_some_and(|c| c.number == 1 && &*c.method == "NEGOTIATE");
        cseq && headers.call_id().as_deref() == Some(&*self.call_id) && response.status() >= 200
    }

    fn end(&mut self, step: Step) {
        self.next = Next::Say(step);
    }
}

fn says_yes(response: &Response) -> bool {
    let name = response.headers().only("Compression");
    response.status() == 200 && name.is_some_and(|n| n.eq_ignore_ascii_case(Negotiation::NAME))
}
