//! The words of world files and JSON for what DNS and servers answer: one table each, read both ways.

use sip_signin::WireText;
use sip_signin::discovery::{
    Absence, Answer, CertificateFault, ConnectFailure, Fault, LookupFailure,
};

/// What a lookup brought.
pub type Learned<T> = Result<Answer<T>, LookupFailure>;

/// What a lookup answers when it finds nothing.
pub const LOOKUPS: [&str; 8] = [
    "nxdomain",
    "nodata",
    "servfail",
    "refused",
    "timeout",
    "malformed",
    "unreachable",
    "too_long",
];

/// What becomes of a connect.
pub const CONNECTS: [&str; 15] = [
    "ok",
    "refused",
    "timeout",
    "unreachable",
    "closed",
    "tls_too_old",
    "tls_failed",
    "failed",
    "certificate_expired",
    "certificate_not_yet_valid",
    "certificate_revoked",
    "certificate_untrusted",
    "certificate_name_mismatch",
    "certificate_without_names",
    "certificate_invalid",
];

/// What a lookup is said to have answered; records are not a word.
pub fn of_lookup<T>(learned: &Learned<T>) -> Option<String> {
    Some(match learned {
        Ok(Answer::Found(_)) => return None,
        Ok(Answer::Absent(Absence::NoSuchName)) => "nxdomain".into(),
        Ok(Answer::Absent(Absence::NoData)) => "nodata".into(),
        Err(LookupFailure::ServerFailure) => "servfail".into(),
        Err(LookupFailure::Refused) => "refused".into(),
        Err(LookupFailure::TimedOut) => "timeout".into(),
        Err(LookupFailure::Malformed) => "malformed".into(),
        Err(LookupFailure::Unreachable) => "unreachable".into(),
        Err(LookupFailure::TooLong) => "too_long".into(),
        Err(other) => other.to_string(),
    })
}

/// Reads such a word; `failed: TEXT` is anything else.
pub fn read_lookup<T>(word: &str) -> Option<Learned<T>> {
    Some(match word {
        "nxdomain" => Ok(Answer::Absent(Absence::NoSuchName)),
        "nodata" => Ok(Answer::Absent(Absence::NoData)),
        "servfail" => Err(LookupFailure::ServerFailure),
        "refused" => Err(LookupFailure::Refused),
        "timeout" => Err(LookupFailure::TimedOut),
        "malformed" => Err(LookupFailure::Malformed),
        "unreachable" => Err(LookupFailure::Unreachable),
        "too_long" => Err(LookupFailure::TooLong),
        _ => Err(LookupFailure::Other(text_of(word.strip_prefix("failed:")?))),
    })
}

/// What became of a connect.
pub fn of_connect(result: Result<(), &ConnectFailure>) -> &'static str {
    use ConnectFailure as Failure;
    let Err(failure) = result else { return "ok" };
    match failure {
        Failure::Refused => "refused",
        Failure::TimedOut => "timeout",
        Failure::Unreachable => "unreachable",
        Failure::ClosedBeforeTls => "closed",
        Failure::PeerTooOld => "tls_too_old",
        Failure::Handshake(_) => "tls_failed",
        Failure::Certificate(fault) => match fault {
            CertificateFault::Expired => "certificate_expired",
            CertificateFault::NotYetValid => "certificate_not_yet_valid",
            CertificateFault::Revoked => "certificate_revoked",
            CertificateFault::Untrusted => "certificate_untrusted",
            CertificateFault::WrongName(_) => "certificate_name_mismatch",
            CertificateFault::NoSubjectAlternativeName => "certificate_without_names",
            _ => "certificate_invalid",
        },
        _ => "failed",
    }
}

/// Reads such a word; some may go on with `: TEXT`, which says more: the names of the certificate,
/// what went wrong.
pub fn read_connect(text: &str) -> Option<Result<(), ConnectFailure>> {
    let (word, detail) = match text.split_once(':') {
        Some((word, detail)) => (word, Some(detail)),
        None => (text, None),
    };
    let detailed = |word: &str| text_of(detail.unwrap_or(word));
    let certificate = |fault| Err(ConnectFailure::Certificate(fault));
    let read = match word {
        "tls_failed" => return Some(Err(ConnectFailure::Handshake(detailed("by this world")))),
        "failed" => return Some(Err(ConnectFailure::Other(detailed("by this world")))),
        "certificate_invalid" => {
            return Some(certificate(CertificateFault::Other(detailed("by this world"))));
        }
        "certificate_name_mismatch" => {
            let names = detail.into_iter().flat_map(|names| names.split(','));
            return Some(certificate(CertificateFault::WrongName(names.map(text_of).collect())));
        }
        "ok" => Ok(()),
        "refused" => Err(ConnectFailure::Refused),
        "timeout" => Err(ConnectFailure::TimedOut),
        "unreachable" => Err(ConnectFailure::Unreachable),
        "closed" => Err(ConnectFailure::ClosedBeforeTls),
        "tls_too_old" => Err(ConnectFailure::PeerTooOld),
        "certificate_expired" => certificate(CertificateFault::Expired),
        "certificate_not_yet_valid" => certificate(CertificateFault::NotYetValid),
        "certificate_revoked" => certificate(CertificateFault::Revoked),
        "certificate_untrusted" => certificate(CertificateFault::Untrusted),
        "certificate_without_names" => certificate(CertificateFault::NoSubjectAlternativeName),
        _ => return None,
    };
    detail.is_none().then_some(read)
}

/// Text as a trace shows it, escapes included.
fn text_of(text: &str) -> WireText {
    let text = text.trim();
    WireText::read_back(text).unwrap_or_else(|| WireText::new(text))
}

/// Whose fault, in a word.
pub fn of_fault(fault: Fault) -> &'static str {
    match fault {
        Fault::Dns => "dns",
        Fault::Input => "input",
        Fault::Library => "library",
        Fault::Machine => "machine",
        Fault::Network => "network",
        Fault::Server => "server",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_itself() {
        for word in LOOKUPS {
            assert_eq!(of_lookup(&read_lookup::<()>(word).unwrap()).as_deref(), Some(word));
        }
        for word in CONNECTS {
            assert_eq!(of_connect(read_connect(word).unwrap().as_ref().copied()), word);
        }
        let failed = read_lookup::<()>("failed: out of memory").unwrap();
        assert_eq!(of_lookup(&failed).unwrap(), "failed: out of memory");
        let mismatch = read_connect("certificate_name_mismatch: a.example, b.example").unwrap();
        assert_eq!(
            mismatch.unwrap_err().to_string(),
            "certificate for another name: a.example, b.example"
        );
        for nonsense in ["", "ok: yes", "OK", "expired"] {
            assert!(read_connect(nonsense).is_none(), "{nonsense}");
            assert!(read_lookup::<()>(nonsense).is_none(), "{nonsense}");
        }
    }
}
