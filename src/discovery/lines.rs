//! The lines of a trace, as they are kept: one behind the other, in a few bytes each.
//!
//! Every search under way keeps its own, and hardly any is ever read; so they are packed when they
//! are written, and a line is made again when it is read. What is rare is kept beside them as it is.

use super::line::Line;
use super::moment::Moment;
use super::packing::{Packed, Packing, Unpacked};

/// Lines, and when each was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    packed: Vec<u8>,
    /// Those that have no packed form. Boxed: most searches have none.
    #[expect(clippy::box_collection, reason = "a list is three times as large")]
    odd: Option<Box<Vec<(Moment, Line)>>>,
}

/// Where a line stands among the others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct LinePlace(usize);

impl LinePlace {
    pub(super) const START: Self = Self(0);
}

impl Lines {
    /// Bytes for the lines of an ordinary search: two SRV questions, two for the addresses of a host,
    /// what came of each, a connect, its end, and its adoption.
    const ORDINARY: usize = 224;

    pub(super) fn new() -> Self {
        Self { packed: Vec::with_capacity(Self::ORDINARY), odd: None }
    }

    /// Where the next line will stand.
    pub(super) fn end(&self) -> LinePlace {
        LinePlace(self.packed.len())
    }

    /// Writes a line. Inlined, as what it calls: each caller has one kind of line to write.
    #[inline(always)]
    pub(super) fn push(&mut self, at: Moment, line: Line) {
        if !Packing(&mut self.packed).line(at, &line) {
            self.push_odd(at, line);
        }
    }

    #[cold]
    fn push_odd(&mut self, at: Moment, line: Line) {
        let odd = self.odd.get_or_insert_default();
        Packing(&mut self.packed).odd(odd.len());
        odd.push((at, line));
    }

    /// Writes a line in front of those that stand from `place` on.
    #[inline(always)]
    pub(super) fn push_above(&mut self, place: LinePlace, at: Moment, line: Line) {
        let end = self.packed.len();
        self.push(at, line);
        if place.0 < end {
            self.move_up(place, end);
        }
    }

    /// Moves what stands from `end` on to `place`.
    #[cold]
    fn move_up(&mut self, place: LinePlace, end: usize) {
        let length = self.packed.len().saturating_sub(end);
        let moved = self.packed.get_mut(place.0..).unwrap_or_default();
        moved.rotate_right(length.min(moved.len()));
    }

    /// Gives back the room for more.
    pub(super) fn shrink(&mut self) {
        self.packed.shrink_to_fit();
    }

    /// The lines from `place` on, each made as it is read.
    pub(super) fn from(&self, place: LinePlace) -> impl Iterator<Item = (Moment, Line)> {
        let mut packed = Packed(self.packed.get(place.0..).unwrap_or_default());
        std::iter::from_fn(move || match packed.next()? {
            Unpacked::Line(at, line) => Some((at, line)),
            Unpacked::Odd(index) => self.odd.as_ref()?.get(index).cloned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::super::answer::{Absence, Answer, ConnectFailure, LookupFailure, SrvAnswer};
    use super::super::endpoint::Family;
    use super::super::entry::Conclusion;
    use super::super::line::Server;
    use super::super::order::Protocol;
    use super::super::srv::SrvRecord;
    use super::*;

    fn every_kind() -> Vec<Line> {
        let [v4, v6] = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let server = Server { protocol: Protocol::Tls, host: 65535, port: 5061 };
        let clear = Server { protocol: Protocol::Tcp, host: 0, port: 0 };
        let records = |targets: &[&str], count: usize| SrvAnswer {
            records: targets.iter().map(|target| SrvRecord::new(65535, 0, 443, target)).collect(),
            additional: vec![("sip.contoso.com".parse().unwrap(), v6); count],
        };
        let long = [["a"; 63].concat(), ["b"; 63].concat(), ["c"; 63].concat(), ["d"; 61].concat()];
        let mut lines = vec![
            Line::AskedHost(0, Family::V6),
            Line::AskedHost(65535, Family::V4),
            Line::AskedSrv(7),
            Line::Dialled(server, v4),
            Line::Dialled(clear, v6),
            Line::Connected(server, v6),
            Line::Exhausted,
            Line::AnsweredHost(1, Family::V4, Ok(Answer::Found(vec![v4, v6, v4]))),
            Line::AnsweredHost(1, Family::V4, Ok(Answer::Found(vec![]))),
            Line::AnsweredHost(1, Family::V6, Ok(Answer::Found(vec![v4; 65_528]))),
            Line::AnsweredHost(1, Family::V6, Err(LookupFailure::Other("a b".into()))),
            Line::AnsweredSrv(0, Ok(Answer::Found(records(&[], 0)))),
            Line::AnsweredSrv(1, Ok(Answer::Found(records(&[".", "a", &long.join(".")], 2)))),
            Line::AnsweredSrv(2, Ok(Answer::Found(records(&["a", "_b"], 0)))),
            Line::AnsweredSrv(3, Ok(Answer::Found(records(&["a"], 65_536)))),
            Line::AnsweredSrv(4, Err(LookupFailure::Other("".into()))),
            Line::ConnectEnded(server, v6, Ok(())),
            Line::ConnectEnded(server, v6, Err(ConnectFailure::Other("".into()))),
            Line::Noted("a".into()),
            Line::Useless("b".into()),
            Line::FinalAnswer("c".into()),
            Line::Concluded(Conclusion::StepLimit),
        ];
        use {ConnectFailure as C, LookupFailure as L};
        for failure in [C::ClosedBeforeTls, C::PeerTooOld, C::Refused, C::TimedOut, C::Unreachable]
        {
            lines.push(Line::ConnectEnded(clear, v4, Err(failure)));
        }
        for failure in
            [L::Malformed, L::Refused, L::ServerFailure, L::TimedOut, L::TooLong, L::Unreachable]
        {
            lines.push(Line::AnsweredHost(2, Family::V4, Err(failure.clone())));
            lines.push(Line::AnsweredSrv(2, Err(failure)));
        }
        for absence in [Absence::NoData, Absence::NoSuchName] {
            lines.push(Line::AnsweredHost(3, Family::V6, Ok(Answer::Absent(absence))));
            lines.push(Line::AnsweredSrv(3, Ok(Answer::Absent(absence))));
        }
        lines
    }

    #[test]
    fn every_line_reads_as_it_was_written_at_any_time() {
        let day = Duration::from_secs(86_400);
        let instants = [Duration::ZERO, Duration::from_millis(50), day * 365 * 500];
        let mut written = Lines::new();
        let mut expected = Vec::new();
        for at in instants.map(|wait| Moment::START.later(wait)) {
            for line in every_kind() {
                written.push(at, line.clone());
                expected.push((at, line));
            }
        }
        assert!(written.from(LinePlace::START).eq(expected));
    }

    #[test]
    fn a_line_is_written_above_those_that_follow_from_it() {
        let at = Moment::START;
        for line in every_kind() {
            let mut lines = Lines::new();
            lines.push(at, Line::AskedSrv(1));
            let place = lines.end();
            lines.push(at, Line::Concluded(Conclusion::HostRows));
            lines.push(at, Line::Exhausted);
            lines.push_above(place, at, line.clone());
            let after = [Line::Concluded(Conclusion::HostRows), Line::Exhausted];
            let expected = [Line::AskedSrv(1), line].into_iter().chain(after).map(|l| (at, l));
            assert!(lines.from(LinePlace::START).eq(expected));
        }
    }
}
