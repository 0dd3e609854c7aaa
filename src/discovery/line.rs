//! A line of a trace, as a plan writes it.

use std::net::IpAddr;

use super::answer::{Answer, ConnectFailure, LookupFailure, SrvAnswer};
use super::endpoint::Family;
use super::entry::Conclusion;
use super::order::Protocol;
use crate::text::WireText;

/// An [`Entry`](super::entry::Entry) in which a question goes by its row of the order, and a host by
/// its place among the hosts of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    AskedHost(u16, Family),
    AskedSrv(u16),
    Dialled(Server, IpAddr),
    Connected(Server, IpAddr),
    Exhausted,
    AnsweredHost(u16, Family, Result<Answer<Vec<IpAddr>>, LookupFailure>),
    AnsweredSrv(u16, Result<Answer<SrvAnswer>, LookupFailure>),
    ConnectEnded(Server, IpAddr, Result<(), ConnectFailure>),
    Noted(WireText),
    Useless(WireText),
    FinalAnswer(WireText),
    Concluded(Conclusion),
}

/// An [`Endpoint`](super::endpoint::Endpoint) whose host goes by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) protocol: Protocol,
    pub(super) host: u16,
    pub(super) port: u16,
}
