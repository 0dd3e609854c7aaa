//! What can go wrong, as data: each fault has a name, so that a command line can offer it.

use std::fmt;
use std::str::FromStr;

/// Writes an enum of faults, with its list and its names, from one table.
macro_rules! faults {
    ($(#[$doc:meta])* $layer:ident { $($(#[$what:meta])* $fault:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $layer { $($(#[$what])* $fault,)* }

        impl $layer {
            /// Every fault of this layer, in the order of their names.
            pub const ALL: &[Self] = &[$(Self::$fault,)*];

            /// Its name, as `Display` prints it and `FromStr` of [`Fault`] reads it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$fault => $name,)* }
            }
        }

        impl fmt::Display for $layer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

faults! {
    /// What the DNS server does with a question instead of answering it well.
    DnsFault {
        /// A record of the kind that was asked for, but with data that cannot be of that kind.
        Garbage = "dns-garbage",
        /// No record of the kind that was asked for, though the name exists (NODATA).
        NoData = "dns-no-data",
        /// No such name (NXDOMAIN).
        NoSuchName = "dns-no-such-name",
        /// The records of the name, but under another owner, `attacker.example`.
        OtherOwner = "dns-other-owner",
        /// REFUSED.
        Refused = "dns-refused",
        /// SERVFAIL.
        ServerFailure = "dns-servfail",
        /// No answer, ever.
        Silent = "dns-silent",
        /// The good answer, after [`LabBuilder::dns_delay`](super::LabBuilder::dns_delay).
        Slow = "dns-slow",
        /// Over UDP an answer cut to nothing, so that the client must ask again over TCP.
        Truncated = "dns-truncated",
    }
}

faults! {
    /// What a server does to a TCP connection.
    TcpFault {
        /// Packets to it vanish: no connect ever ends.
        BlackHole = "tcp-black-hole",
        /// Accepts, then closes at once.
        Close = "tcp-close",
        /// Nothing listens: the system itself refuses.
        Refused = "tcp-refused",
        /// Accepts, then resets.
        Reset = "tcp-reset",
        /// Accepts and reads, but never says a word, not even to a ClientHello.
        Silent = "tcp-silent",
    }
}

faults! {
    /// What is wrong with a server's TLS.
    TlsFault {
        /// A certificate whose time is over.
        CertificateExpired = "certificate-expired",
        /// A certificate whose time has not come.
        CertificateNotYetValid = "certificate-not-yet-valid",
        /// A certificate of an authority that is not among [`Lab::roots`](super::Lab::roots).
        CertificateUntrusted = "certificate-untrusted",
        /// A certificate that names its host only as common name, not as alternative name.
        CertificateWithoutNames = "certificate-without-names",
        /// A certificate for `other.example`.
        CertificateWrongName = "certificate-wrong-name",
        /// Answers the ClientHello in clear text.
        Garbage = "tls-garbage",
        /// Sends the beginning of a ServerHello, then nothing more.
        Stall = "tls-stall",
        /// Answers the ClientHello with the alert `protocol_version`.
        TooOld = "tls-too-old",
        /// Answers the ClientHello with a ServerHello of TLS 1.0.
        TooOldHello = "tls-too-old-hello",
    }
}

faults! {
    /// How a server answers a SIP request badly.
    SipFault {
        /// 503 with `Retry-After: 30`.
        Busy = "sip-busy",
        /// Closes the connection instead of answering.
        Close = "sip-close",
        /// Closes it in the middle of the answer.
        CloseMidAnswer = "sip-close-mid-answer",
        /// A status line, then header lines without an end.
        EndlessHeaders = "sip-endless-headers",
        /// 403 with an `ms-diagnostics` line.
        Forbidden = "sip-forbidden",
        /// A good challenge to somebody else's Call-ID.
        ForeignCallId = "sip-foreign-call-id",
        /// Bytes that are no SIP, then an empty line.
        Garbage = "sip-garbage",
        /// 401 without a challenge.
        NoChallenge = "sip-no-challenge",
        /// Good answers, but none is signed: no `Authentication-Info`, ever.
        NoSignature = "sip-no-signature",
        /// 404.
        NotFound = "sip-not-found",
        /// No answer, ever.
        Silent = "sip-silent",
        /// The good answer, one byte each [`Server::interval`](super::Server::interval).
        Slow = "sip-slow",
        /// 200 without ever having asked for credentials.
        Unchallenged = "sip-unchallenged",
        /// Good answers, but the signature of each is one of something else.
        WrongSignature = "sip-wrong-signature",
    }
}

/// A fault of any layer.
///
/// ```
/// use sip_signin::lab::{Fault, TlsFault};
/// let fault: Fault = "certificate-expired".parse()?;
/// assert_eq!(fault, Fault::Tls(TlsFault::CertificateExpired));
/// # Ok::<(), sip_signin::lab::UnknownFault>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Of a DNS answer.
    Dns(DnsFault),
    /// Of a TCP connection.
    Tcp(TcpFault),
    /// Of a TLS handshake.
    Tls(TlsFault),
    /// Of a SIP answer.
    Sip(SipFault),
}

impl Fault {
    /// Every fault, layer by layer in the order in which a sign-in meets them.
    pub fn all() -> impl Iterator<Item = Self> {
        let dns = DnsFault::ALL.iter().copied().map(Self::Dns);
        let tcp = TcpFault::ALL.iter().copied().map(Self::Tcp);
        let tls = TlsFault::ALL.iter().copied().map(Self::Tls);
        let sip = SipFault::ALL.iter().copied().map(Self::Sip);
        dns.chain(tcp).chain(tls).chain(sip)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(fault) => fault.fmt(f),
            Self::Tcp(fault) => fault.fmt(f),
            Self::Tls(fault) => fault.fmt(f),
            Self::Sip(fault) => fault.fmt(f),
        }
    }
}

/// There is no fault of that name; [`Fault::all`] lists those that there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no fault `{}`", .0.escape_debug())]
pub struct UnknownFault(String);

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        Self::all().find(|fault| fault.to_string() == name).ok_or_else(|| UnknownFault(name.into()))
    }
}

impl From<DnsFault> for Fault {
    fn from(fault: DnsFault) -> Self {
        Self::Dns(fault)
    }
}

impl From<TcpFault> for Fault {
    fn from(fault: TcpFault) -> Self {
        Self::Tcp(fault)
    }
}

impl From<TlsFault> for Fault {
    fn from(fault: TlsFault) -> Self {
        Self::Tls(fault)
    }
}

impl From<SipFault> for Fault {
    fn from(fault: SipFault) -> Self {
        Self::Sip(fault)
    }
}
