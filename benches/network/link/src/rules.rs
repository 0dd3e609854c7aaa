//! What befalls a packet. The rules, one on each line:
//!
//! | | |
//! |---|---|
//! | `rtt MS` | the round trip, half of it each way |
//! | `loss PERCENT SEED` | so many packets are lost, both ways, independently |
//! | `drop ADDRESS` | packets to it vanish |
//! | `servfail NAME TYPE` | the answer to that question becomes SERVFAIL |
//! | `slow NAME TYPE MS` | the answer to that question comes so much later |

use std::error::Error;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice, UdpSlice};
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

#[derive(Default)]
pub struct Rules {
    one_way: Duration,
    /// Of a million packets.
    lost: u64,
    chance: u64,
    black_holes: Vec<IpAddr>,
    answers: Vec<(Name, RecordType, Fault)>,
}

#[derive(Clone, Copy)]
enum Fault {
    ServFail,
    Slow(Duration),
}

impl FromStr for Rules {
    type Err = Box<dyn Error>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let millis =
            |text: &str| Ok::<_, Self::Err>(Duration::from_secs_f64(text.parse::<f64>()? / 1000.0));
        let mut rules = Self::default();
        for line in text.lines() {
            match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                [] => {}
                ["rtt", time] => rules.one_way = millis(time)? / 2,
                ["loss", percent, seed] => {
                    rules.lost = (percent.parse::<f64>()? * 10_000.0) as u64;
                    rules.chance = seed.parse()?;
                }
                ["drop", address] => rules.black_holes.push(address.parse()?),
                ["servfail", name, kind] => {
                    rules.answers.push((Name::from_ascii(name)?, kind.parse()?, Fault::ServFail));
                }
                ["slow", name, kind, time] => {
                    let fault = Fault::Slow(millis(time)?);
                    rules.answers.push((Name::from_ascii(name)?, kind.parse()?, fault));
                }
                _ => return Err(format!("no rule: {line}").into()),
            }
        }
        Ok(rules)
    }
}

impl Rules {
    /// How long the packet travels, and as what else it arrives; `None` if it is lost.
    pub fn judge(&mut self, packet: &[u8]) -> Option<(Duration, Option<Vec<u8>>)> {
        let sliced = SlicedPacket::from_ip(packet).ok()?;
        let (from, to): (IpAddr, IpAddr) = match sliced.net? {
            NetSlice::Ipv4(ip) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            NetSlice::Ipv6(ip) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            NetSlice::Arp(_) => return None,
        };
        if self.black_holes.contains(&to) || self.draw() % 1_000_000 < self.lost {
            return None;
        }
        let Some(TransportSlice::Udp(udp)) = sliced.transport else {
            return Some((self.one_way, None));
        };
        match self.fault_of(&udp) {
            None => Some((self.one_way, None)),
            Some((Fault::Slow(time), _)) => Some((self.one_way + time, None)),
            Some((Fault::ServFail, question)) => {
                let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) else { return None };
                let mut failure =
                    Message::response(question.metadata.id, question.metadata.op_code);
                failure.add_queries(question.queries);
                failure.metadata.response_code = ResponseCode::ServFail;
                let bytes = failure.to_vec().ok()?;
                let headers = PacketBuilder::ipv4(from.octets(), to.octets(), 64)
                    .udp(udp.source_port(), udp.destination_port());
                let mut changed = Vec::new();
                headers.write(&mut changed, &bytes).ok()?;
                Some((self.one_way, Some(changed)))
            }
        }
    }

    /// What befalls an answer of DNS, and the answer.
    fn fault_of(&self, udp: &UdpSlice<'_>) -> Option<(Fault, Message)> {
        if udp.source_port() != 53 {
            return None;
        }
        let message = Message::from_vec(udp.payload()).ok()?;
        if message.metadata.message_type != MessageType::Response {
            return None;
        }
        let question = message.queries.first()?;
        let same = |(name, kind, _): &&(Name, RecordType, Fault)| {
            question.name.to_ascii().trim_end_matches('.').eq_ignore_ascii_case(&name.to_ascii())
                && question.query_type == *kind
        };
        let (_, _, fault) = self.answers.iter().find(same)?;
        Some((*fault, message))
    }

    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
