//! The words of a transcript's answers, read back.

use std::fmt;
use std::net::IpAddr;

use sip_signin::WireText;
use sip_signin::discovery::{
    Absence, Answer, CertificateFault, ConnectFailure, LookupFailure, SrvAnswer, SrvRecord,
    SrvTarget,
};

pub type Read<T> = Result<T, String>;

pub fn say(error: impl fmt::Display) -> String {
    error.to_string()
}

pub fn read_text(text: &str) -> Read<WireText> {
    WireText::read_back(text).ok_or(format!("a broken escape in `{text}`"))
}

type Learned<T> = Result<Answer<T>, LookupFailure>;

pub fn read_answer<T>(text: &str, records: impl Fn(&str) -> Read<T>) -> Read<Learned<T>> {
    Ok(match text {
        "absent" => Ok(Answer::Absent(Absence::NoSuchName)),
        "absent (no data)" => Ok(Answer::Absent(Absence::NoData)),
        "malformed answer" => Err(LookupFailure::Malformed),
        "refused" => Err(LookupFailure::Refused),
        "servfail" => Err(LookupFailure::ServerFailure),
        "timed out" => Err(LookupFailure::TimedOut),
        "name too long to ask for" => Err(LookupFailure::TooLong),
        "no dns server reached" => Err(LookupFailure::Unreachable),
        _ => match text.strip_prefix("failed:") {
            Some(why) => Err(LookupFailure::Other(read_text(why.trim_start())?)),
            None => Ok(Answer::Found(records(text)?)),
        },
    })
}

pub fn read_addresses(text: &str) -> Read<Vec<IpAddr>> {
    if text == "nothing" {
        return Ok(Vec::new());
    }
    text.split(',').map(|address| address.trim().parse().map_err(say)).collect()
}

pub fn read_srv_answer(text: &str) -> Read<SrvAnswer> {
    let (records, additional) = match text.split_once(" with ") {
        Some((records, additional)) => (records, Some(additional)),
        None => (text, None),
    };
    let records = match records {
        "nothing" => Vec::new(),
        _ => records.split(',').map(read_record).collect::<Read<_>>()?,
    };
    let own = |entry: &str| {
        let (host, address) = entry.trim().split_once(' ').ok_or("a host and its address?")?;
        Ok((host.parse().map_err(say)?, address.parse().map_err(say)?))
    };
    let additional = additional.map(|list| list.split(',').map(own).collect::<Read<_>>());
    Ok(SrvAnswer { records, additional: additional.transpose()?.unwrap_or_default() })
}

fn read_record(text: &str) -> Read<SrvRecord> {
    let words: Vec<&str> = text.trim().split(' ').collect();
    let [priority, weight, port, target] = words[..] else {
        return Err(format!("`{}` is no record: priority, weight, port, target", text.trim()));
    };
    let number = |text: &str| text.parse::<u16>().map_err(say);
    Ok(SrvRecord {
        priority: number(priority)?,
        weight: number(weight)?,
        port: number(port)?,
        target: SrvTarget::read(read_text(target)?.raw()),
    })
}

pub fn read_end(text: &str) -> Read<Result<(), ConnectFailure>> {
    use ConnectFailure as Failure;
    Ok(Err(match text {
        "established" => return Ok(Ok(())),
        "closed before tls" => Failure::ClosedBeforeTls,
        "tls too old on the server" => Failure::PeerTooOld,
        "refused" => Failure::Refused,
        "timed out" => Failure::TimedOut,
        "unreachable" => Failure::Unreachable,
        _ => {
            let after = |words| text.strip_prefix(words).map(str::trim_start);
            if let Some(fault) = after("certificate ") {
                Failure::Certificate(read_fault(fault)?)
            } else if let Some(why) = after("tls handshake failed:") {
                Failure::Handshake(read_text(why)?)
            } else if let Some(why) = after("failed:") {
                Failure::Other(read_text(why)?)
            } else {
                return Err(format!("no connect ends in `{text}`"));
            }
        }
    }))
}

fn read_fault(text: &str) -> Read<CertificateFault> {
    use CertificateFault as Fault;
    Ok(match text {
        "expired" => Fault::Expired,
        "without subject alternative name" => Fault::NoSubjectAlternativeName,
        "not yet valid" => Fault::NotYetValid,
        "revoked" => Fault::Revoked,
        "untrusted" => Fault::Untrusted,
        _ => match (text.strip_prefix("invalid:"), text.strip_prefix("for another name:")) {
            (Some(why), _) => Fault::Other(read_text(why.trim_start())?),
            (_, Some(names)) if names.trim().is_empty() => Fault::WrongName(Vec::new()),
            (_, Some(names)) => Fault::WrongName(
                names.split(',').map(|n| read_text(n.trim())).collect::<Read<_>>()?,
            ),
            _ => return Err(format!("no certificate is `{text}`")),
        },
    })
}
