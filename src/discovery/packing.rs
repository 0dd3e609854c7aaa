//! The few bytes of a line: its kind, five of its time, and what it says, all of fixed size but names
//! and lists.

use std::net::IpAddr;

use super::answer::{Absence, Answer, ConnectFailure, LookupFailure, SrvAnswer};
use super::endpoint::Family;
use super::line::{Line, Server};
use super::moment::Moment;
use super::order::Protocol;
use super::srv::{SrvRecord, SrvTarget};
use super::{ADDRESS_LIMIT, RECORD_LIMIT};
use crate::name::HostName;

/// What a packed line begins with.
mod kind {
    pub(super) const ODD: u8 = 0;
    pub(super) const ASKED_HOST: u8 = 1;
    pub(super) const ASKED_SRV: u8 = 2;
    pub(super) const DIALLED: u8 = 3;
    pub(super) const CONNECTED: u8 = 4;
    pub(super) const EXHAUSTED: u8 = 5;
    pub(super) const ANSWERED_HOST: u8 = 6;
    pub(super) const ANSWERED_SRV: u8 = 7;
    pub(super) const ESTABLISHED: u8 = 8;
    pub(super) const NOT_CONNECTED: u8 = 9;
}

/// What a lookup said that found nothing, by its number; whatever is not here is odd.
static NOTHING_FOUND: [Result<Absence, LookupFailure>; 8] = [
    Ok(Absence::NoData),
    Ok(Absence::NoSuchName),
    Err(LookupFailure::Malformed),
    Err(LookupFailure::Refused),
    Err(LookupFailure::ServerFailure),
    Err(LookupFailure::TimedOut),
    Err(LookupFailure::TooLong),
    Err(LookupFailure::Unreachable),
];

/// Why a connect failed, by its number; whatever is not here is odd.
static NOT_CONNECTED: [ConnectFailure; 5] = [
    ConnectFailure::ClosedBeforeTls,
    ConnectFailure::PeerTooOld,
    ConnectFailure::Refused,
    ConnectFailure::TimedOut,
    ConnectFailure::Unreachable,
];

/// What a lookup learned, as a number: of those that found nothing, or behind those how many things
/// were found.
fn number_of<T>(
    learned: &Result<Answer<T>, LookupFailure>,
    count: impl FnOnce(&T) -> usize,
) -> Option<u16> {
    let nothing_found = |known: &Result<Absence, LookupFailure>| match (known, learned) {
        (Ok(known), Ok(Answer::Absent(absence))) => known == absence,
        (Err(known), Err(failure)) => known == failure,
        _ => false,
    };
    let number = match learned {
        Ok(Answer::Found(found)) => NOTHING_FOUND.len().wrapping_add(count(found)),
        _ => NOTHING_FOUND.iter().position(nothing_found)?,
    };
    u16::try_from(number).ok()
}

/// Writes lines: each begins with its kind, and when it was written.
pub(super) struct Packing<'a>(pub(super) &'a mut Vec<u8>);

impl Packing<'_> {
    /// Writes a line, unless it is odd: because of what it says, or because it comes 18 minutes after
    /// the beginning, which is more than five bytes hold.
    #[inline(always)]
    pub(super) fn line(mut self, at: Moment, line: &Line) -> bool {
        let [a, b, c, d, e, 0, 0, 0] = at.nanos().to_le_bytes() else { return false };
        let at = [a, b, c, d, e];
        match line {
            Line::AskedHost(place, family) => {
                self.begin(kind::ASKED_HOST, at);
                self.place(*place);
                self.0.push(*family as u8);
            }
            Line::AskedSrv(row) => {
                self.begin(kind::ASKED_SRV, at);
                self.place(*row);
            }
            Line::Dialled(server, address) => self.connect(kind::DIALLED, at, *server, *address),
            Line::Connected(server, address) => {
                self.connect(kind::CONNECTED, at, *server, *address);
            }
            Line::Exhausted => self.begin(kind::EXHAUSTED, at),
            Line::AnsweredHost(place, family, learned) => {
                let Some(number) = number_of(learned, Vec::len) else { return false };
                self.begin(kind::ANSWERED_HOST, at);
                self.place(*place);
                self.0.push(*family as u8);
                self.place(number);
                if let Ok(Answer::Found(addresses)) = learned {
                    addresses.iter().for_each(|address| self.address(*address));
                }
            }
            Line::AnsweredSrv(row, learned) => {
                let number = number_of(learned, |answer| answer.records.len());
                let Some(number) = number.filter(|_| !is_odd(learned)) else { return false };
                self.begin(kind::ANSWERED_SRV, at);
                self.place(*row);
                self.place(number);
                if let Ok(Answer::Found(answer)) = learned {
                    self.answer(answer);
                }
            }
            Line::ConnectEnded(server, address, Ok(())) => {
                self.connect(kind::ESTABLISHED, at, *server, *address);
            }
            Line::ConnectEnded(server, address, Err(failure)) => {
                let number = NOT_CONNECTED.iter().position(|known| known == failure);
                let Some(number) = number else { return false };
                self.connect(kind::NOT_CONNECTED, at, *server, *address);
                self.0.push(number as u8);
            }
            Line::Noted(_) | Line::Useless(_) | Line::FinalAnswer(_) | Line::Concluded(_) => {
                return false;
            }
        }
        true
    }

    /// Writes which of the odd lines comes next.
    pub(super) fn odd(self, index: usize) {
        self.0.push(kind::ODD);
        self.0.extend_from_slice(&(index as u32).to_le_bytes());
    }

    #[inline(always)]
    fn begin(&mut self, kind: u8, at: [u8; 5]) {
        let [a, b, c, d, e] = at;
        self.0.extend_from_slice(&[kind, a, b, c, d, e]);
    }

    /// A place, or another number of two bytes.
    #[inline(always)]
    fn place(&mut self, place: u16) {
        self.0.extend_from_slice(&place.to_le_bytes());
    }

    #[inline(never)]
    fn connect(&mut self, kind: u8, at: [u8; 5], server: Server, address: IpAddr) {
        self.begin(kind, at);
        let ([a, b], [c, d]) = (server.host.to_le_bytes(), server.port.to_le_bytes());
        self.0.extend_from_slice(&[server.protocol as u8, a, b, c, d]);
        self.address(address);
    }

    #[inline(always)]
    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                self.0.extend_from_slice(&[Family::V4 as u8, a, b, c, d]);
            }
            IpAddr::V6(address) => {
                self.0.push(Family::V6 as u8);
                self.0.extend_from_slice(&address.octets());
            }
        }
    }

    fn answer(&mut self, answer: &SrvAnswer) {
        for record in &answer.records {
            self.place(record.priority);
            self.place(record.weight);
            self.place(record.port);
            match &record.target {
                SrvTarget::Host(host) => self.name(host.as_str()),
                SrvTarget::NotOffered | SrvTarget::Invalid(_) => self.name(""),
            }
        }
        self.place(answer.additional.len() as u16);
        for (owner, address) in &answer.additional {
            self.name(owner.as_str());
            self.address(*address);
        }
    }

    fn name(&mut self, name: &str) {
        self.0.push(name.len() as u8);
        self.0.extend_from_slice(name.as_bytes());
    }
}

/// The length of a name takes a byte.
const _: () = assert!(HostName::LIMIT <= u8::MAX as usize);

/// Whether an answer names something that is no host, or is longer than any good one: then what it has
/// is shared with whoever else has it, and not copied.
fn is_odd(learned: &Result<Answer<SrvAnswer>, LookupFailure>) -> bool {
    let Ok(Answer::Found(answer)) = learned else { return false };
    answer.records.iter().any(|record| matches!(record.target, SrvTarget::Invalid(_)))
        || answer.records.len() > RECORD_LIMIT
        || answer.additional.len() > RECORD_LIMIT.saturating_mul(ADDRESS_LIMIT)
}

const _: () = assert!(RECORD_LIMIT * ADDRESS_LIMIT <= u16::MAX as usize);

/// Reads them.
pub(super) struct Packed<'a>(pub(super) &'a [u8]);

/// A line, or which of the odd ones it is.
pub(super) enum Unpacked {
    Line(Moment, Line),
    Odd(usize),
}

impl<'a> Packed<'a> {
    pub(super) fn next(&mut self) -> Option<Unpacked> {
        let kind = self.byte()?;
        if kind == kind::ODD {
            return Some(Unpacked::Odd(u32::from_le_bytes(self.array()?) as usize));
        }
        let [a, b, c, d, e] = self.array()?;
        let at = Moment::of_nanos(u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]))?;
        Some(Unpacked::Line(at, self.line(kind)?))
    }

    fn line(&mut self, kind: u8) -> Option<Line> {
        Some(match kind {
            kind::ASKED_HOST => Line::AskedHost(self.place()?, self.family()?),
            kind::ASKED_SRV => Line::AskedSrv(self.place()?),
            kind::DIALLED => Line::Dialled(self.server()?, self.address()?),
            kind::CONNECTED => Line::Connected(self.server()?, self.address()?),
            kind::EXHAUSTED => Line::Exhausted,
            kind::ANSWERED_HOST => {
                Line::AnsweredHost(self.place()?, self.family()?, self.learned(Self::addresses)?)
            }
            kind::ANSWERED_SRV => Line::AnsweredSrv(self.place()?, self.learned(Self::answer)?),
            kind::ESTABLISHED => Line::ConnectEnded(self.server()?, self.address()?, Ok(())),
            kind::NOT_CONNECTED => {
                let (server, address) = (self.server()?, self.address()?);
                let failure = NOT_CONNECTED.get(usize::from(self.byte()?))?;
                Line::ConnectEnded(server, address, Err(failure.clone()))
            }
            _ => return None,
        })
    }

    fn byte(&mut self) -> Option<u8> {
        let [byte] = self.array()?;
        Some(byte)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn place(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.array()?))
    }

    fn family(&mut self) -> Option<Family> {
        let byte = self.byte()?;
        [Family::V6, Family::V4].into_iter().find(|family| *family as u8 == byte)
    }

    fn server(&mut self) -> Option<Server> {
        let byte = self.byte()?;
        let protocol = [Protocol::Tls, Protocol::Tcp].into_iter().find(|p| *p as u8 == byte)?;
        Some(Server { protocol, host: self.place()?, port: self.place()? })
    }

    fn address(&mut self) -> Option<IpAddr> {
        Some(match self.family()? {
            Family::V4 => self.array::<4>()?.into(),
            Family::V6 => self.array::<16>()?.into(),
        })
    }

    fn learned<T>(
        &mut self,
        found: impl FnOnce(&mut Self, u16) -> Option<T>,
    ) -> Option<Result<Answer<T>, LookupFailure>> {
        let number = self.place()?;
        Some(match NOTHING_FOUND.get(usize::from(number)) {
            Some(nothing) => nothing.clone().map(Answer::Absent),
            None => {
                let count = number.wrapping_sub(NOTHING_FOUND.len() as u16);
                Ok(Answer::Found(found(self, count)?))
            }
        })
    }

    fn addresses(&mut self, count: u16) -> Option<Vec<IpAddr>> {
        (0..count).map(|_| self.address()).collect()
    }

    fn answer(&mut self, count: u16) -> Option<SrvAnswer> {
        let records = (0..count).map(|_| self.record()).collect::<Option<_>>()?;
        let additional = (0..self.place()?).map(|_| Some((self.host()?, self.address()?)));
        Some(SrvAnswer { records, additional: additional.collect::<Option<_>>()? })
    }

    fn record(&mut self) -> Option<SrvRecord> {
        let (priority, weight, port) = (self.place()?, self.place()?, self.place()?);
        let target = match self.name()? {
            "" => SrvTarget::NotOffered,
            name => SrvTarget::Host(HostName::written(name)),
        };
        Some(SrvRecord { priority, weight, port, target })
    }

    fn host(&mut self) -> Option<HostName> {
        Some(HostName::written(self.name()?))
    }

    fn name(&mut self) -> Option<&'a str> {
        let length = self.byte()?;
        let (name, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        std::str::from_utf8(name).ok()
    }
}
