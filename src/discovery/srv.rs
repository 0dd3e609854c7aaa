//! SRV records, and the order that RFC 2782 draws from them.

use std::fmt;

use crate::name::HostName;
use crate::text::WireText;

/// One SRV record: where a service may be found. [RFC 2782]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SrvRecord {
    /// Lower is tried first.
    pub priority: u16,
    /// Inside one priority, the share of clients that should come here.
    pub weight: u16,
    /// The port, 0 to 65535; 0 is no port that can be connected to.
    pub port: u16,
    /// The host.
    pub target: SrvTarget,
}

impl SrvRecord {
    /// A record as it stands in a zone file: `0 0 5061 sip.contoso.com`.
    pub fn new(priority: u16, weight: u16, port: u16, target: &str) -> Self {
        Self { priority, weight, port, target: SrvTarget::read(target) }
    }
}

/// What an SRV record points at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum SrvTarget {
    /// A host name; whether it may be trusted is not yet said.
    Host(HostName),
    /// A name that no host can have, as it came.
    Invalid(WireText),
    /// The root, `.`: the service is decidedly not available at this domain. [RFC 2782]
    NotOffered,
}

impl SrvTarget {
    /// Reads a target; what is no host name is kept as [`SrvTarget::Invalid`], as much of it as is
    /// ever shown, so that it has its place among others also when a trace is read back.
    pub fn read(text: &str) -> Self {
        match HostName::parse(text) {
            _ if text == "." => Self::NotOffered,
            Ok(name) => Self::Host(name),
            Err(_) => {
                let shown = Self::Invalid(text.into()).to_string();
                Self::Invalid(WireText::read_back(&shown).unwrap_or(text.into()))
            }
        }
    }
}

/// The seed of every draw of a search: an ordinary value, so that a search can be run again.
///
/// It only spreads clients over servers of one priority; a predictable one is harmless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Seed(pub u64);

impl Seed {
    /// A stream of draws for one row of the search order, the same whatever other rows drew.
    pub(crate) fn draws(self, row: usize) -> impl FnMut(u32) -> u32 {
        // SplitMix64 (Steele, Lea, Flood 2014): its output is part of what a trace replays, so it
        // must never change with the version of a library.
        let mut state = self.0 ^ (row as u64).wrapping_mul(0xd134_2543_de82_ef95);
        move |highest| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            let range = u128::from(highest).saturating_add(1);
            (u128::from(z).saturating_mul(range) >> 64) as u32
        }
    }
}

/// Puts records into the order in which a client contacts them. [RFC 2782, "Weight"]
///
/// Duplicates go, ties are sorted (weight 0 first, then target, then port), so that the order in
/// which the records came never matters. Then by priority, ascending, and inside a priority by
/// draws: `draw(sum)` returns a uniform number from 0 to `sum` inclusive, and the first record whose
/// running sum of weights reaches it comes next.
///
/// ```
/// use sip_signin::discovery::{SrvRecord, order_srv};
/// let mut records = vec![
///     SrvRecord::new(0, 10, 5061, "b.contoso.com"),
///     SrvRecord::new(0, 0, 5061, "a.contoso.com"),
/// ];
/// order_srv(&mut records, |_highest| 1);
/// assert_eq!(records[0].weight, 10);
/// ```
pub fn order_srv(records: &mut Vec<SrvRecord>, mut draw: impl FnMut(u32) -> u32) {
    if records.len() < 2 {
        return;
    }
    fn tie(r: &SrvRecord) -> (u16, bool, &SrvTarget, u16, u16) {
        (r.priority, r.weight != 0, &r.target, r.port, r.weight)
    }
    records.sort_unstable_by(|a, b| tie(a).cmp(&tie(b)));
    records.dedup();
    let mut rest = records.as_mut_slice();
    while let Some(first) = rest.first() {
        let priority = first.priority;
        let (group, _) = rest.split_at(rest.partition_point(|r| r.priority == priority));
        let sum = group.iter().map(|r| u32::from(r.weight)).fold(0, u32::saturating_add);
        let drawn = if group.len() > 1 { draw(sum).min(sum) } else { 0 };
        let mut running = 0u32;
        let chosen = group.iter().position(|r| {
            running = running.saturating_add(u32::from(r.weight));
            running >= drawn
        });
        // The chosen one moves to the front; the others keep their order.
        if let Some(head) = rest.get_mut(..=chosen.unwrap_or(0)) {
            head.rotate_right(1);
        }
        rest = rest.get_mut(1..).unwrap_or_default();
    }
}

impl fmt::Display for SrvTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => name.fmt(f),
            Self::Invalid(text) if text.raw().is_empty() => f.write_str("-"),
            Self::Invalid(text) => text.word().fmt(f),
            Self::NotOffered => f.write_str("."),
        }
    }
}

/// As in a zone file: priority, weight, port, target.
impl fmt::Display for SrvRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.priority, self.weight, self.port, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first record for each possible draw.
    fn first_for_each_draw(records: &[(u16, &str)]) -> Vec<String> {
        let sum: u32 = records.iter().map(|r| u32::from(r.0)).sum();
        let first = |drawn| {
            let record = |r: &(u16, &str)| SrvRecord::new(0, r.0, 5061, r.1);
            let mut records: Vec<_> = records.iter().map(record).collect();
            let mut draws = vec![drawn];
            order_srv(&mut records, |_| draws.pop().unwrap_or(0));
            records[0].target.to_string()
        };
        (0..=sum).map(first).collect()
    }

    /// By hand from RFC 2782: running sums in list order, the first that reaches the draw.
    #[test]
    fn the_first_whose_running_sum_reaches_the_draw_comes_next() {
        assert_eq!(first_for_each_draw(&[(0, "a"), (10, "b")])[..3], ["a", "b", "b"]);
        assert_eq!(first_for_each_draw(&[(0, "a"), (10, "b")])[10], "b");
        assert_eq!(first_for_each_draw(&[(1, "a"), (3, "b")]), ["a", "a", "b", "b", "b"]);
        assert_eq!(first_for_each_draw(&[(3, "a"), (1, "b")]), ["a", "a", "a", "a", "b"]);
        assert_eq!(first_for_each_draw(&[(0, "b"), (0, "a")]), ["a"]);
    }

    #[test]
    fn priority_comes_before_weight_and_duplicates_go() {
        let mut records = vec![
            SrvRecord::new(20, 65535, 5061, "late"),
            SrvRecord::new(10, 0, 443, "early"),
            SrvRecord::new(10, 0, 443, "early"),
            SrvRecord::new(10, 0, 5061, "early"),
        ];
        order_srv(&mut records, |highest| highest);
        let shown: Vec<_> = records.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10 0 443 early", "10 0 5061 early", "20 65535 5061 late"]);
    }

    #[test]
    fn the_sum_shrinks_as_records_are_taken() {
        let mut asked = Vec::new();
        let mut records = vec![
            SrvRecord::new(0, 10, 1, "a"),
            SrvRecord::new(0, 20, 1, "b"),
            SrvRecord::new(0, 70, 1, "c"),
        ];
        order_srv(&mut records, |highest| {
            asked.push(highest);
            highest
        });
        assert_eq!(asked, [100, 30]);
        let shown: Vec<_> = records.iter().map(|r| r.target.to_string()).collect();
        assert_eq!(shown, ["c", "b", "a"]);
    }

    #[test]
    fn draws_are_uniform_from_nought_to_the_highest_inclusive() {
        let mut draw = Seed(7).draws(0);
        let mut seen = [0u32; 4];
        for _ in 0..40_000 {
            seen[draw(3) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| (9_500..10_500).contains(&n)), "{seen:?}");
        assert_eq!(Seed(7).draws(0)(u32::MAX), Seed(7).draws(0)(u32::MAX));
        assert_ne!(Seed(7).draws(0)(u32::MAX), Seed(7).draws(1)(u32::MAX));
    }

    /// The generator's published outputs for the seed 1234567; the other rows computed apart. They
    /// must never change, or old traces play differently.
    #[test]
    fn draws_are_splitmix64s_own() {
        let drawn = |row| {
            let mut draw = Seed(1_234_567).draws(row);
            [draw(u32::MAX), draw(u32::MAX), draw(u32::MAX)]
        };
        let published =
            [6_457_827_717_110_365_317u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(drawn(0), published.map(|output| (output >> 32) as u32));
        assert_eq!(drawn(1), [3_060_484_337, 1_768_995_153, 252_484_044]);
        assert_eq!(drawn(2), [237_337_504, 26_889_596, 2_296_917_250]);
    }

    #[test]
    fn a_target_is_a_host_or_the_root_or_invalid() {
        for (text, target) in [
            ("SIP.contoso.com.", SrvTarget::Host(HostName::parse("sip.contoso.com").unwrap())),
            (".", SrvTarget::NotOffered),
            ("_sip.contoso.com", SrvTarget::Invalid("_sip.contoso.com".into())),
            ("192.0.2.10.", SrvTarget::Invalid("192.0.2.10.".into())),
            ("", SrvTarget::Invalid("-".into())),
            ("a b", SrvTarget::Invalid("a b".into())),
        ] {
            assert_eq!(SrvTarget::read(text), target);
        }
        let long = SrvTarget::read(&"\u{e9}".repeat(99)).to_string();
        assert!(long.ends_with("..."));
        assert_eq!(SrvTarget::read(WireText::read_back(&long).unwrap().raw()).to_string(), long);
    }
}
