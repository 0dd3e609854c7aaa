//! The question whether to compress, where the caller wants it asked.

use tokio::time::{timeout, timeout_at};

use super::Client;
use crate::address::SipAddress;
use crate::channel::Channel;
use crate::clock::now;
use crate::compression::{Negotiation, Step};
use crate::discovery::Endpoint;
use crate::failure::SignInFailureKind;
use crate::random::hex;
use crate::sign_in::SignInError;
use crate::text::WireText;
use crate::transport::Connection;

impl Client {
    /// A channel over `connection`, compressed where both sides want it; and what the trace says
    /// about that, if it was asked.
    pub(super) async fn channel(
        &self,
        address: &SipAddress,
        endpoint: &Endpoint,
        connection: Box<dyn Connection>,
    ) -> Result<(Channel, Option<WireText>), Box<SignInFailureKind>> {
        let tls = connection.facts().tls.is_some();
        if !tls || !self.settings.compression.is_wanted(connection.is_slow()) {
            return Ok((Channel::new(connection), None));
        }
        // Boxed: hardly anybody wants it, and everybody would keep room for it.
        let (channel, answer) = Box::pin(self.negotiate(address, endpoint, connection)).await?;
        let said = match answer {
            Ok(()) => format!("compression on: {}", Negotiation::NAME),
            Err(declined) => format!("compression off: {declined}"),
        };
        Ok((channel, Some(said.into())))
    }

    /// Asks, whether that is wanted or not; where the server does not compress, it says why.
    pub(super) async fn negotiate(
        &self,
        address: &SipAddress,
        endpoint: &Endpoint,
        connection: Box<dyn Connection>,
    ) -> Result<(Channel, Result<(), WireText>), Box<SignInFailureKind>> {
        let settings = &*self.settings;
        let facts = connection.facts();
        let drawn =
            hex::<16>(&*settings.random).and_then(|a| Ok((a, hex::<5>(&*settings.random)?)));
        let (call_id, tag) = drawn.map_err(|error| Box::new(SignInFailureKind::NoRandom(error)))?;
        let within = settings.negotiate_within;
        let (local, peer) = (facts.local, facts.peer);
        let mut negotiation = Negotiation::new(address, local, peer, &call_id, &tag, within);
        let mut channel = Channel::new(connection);
        loop {
            match negotiation.poll_step(now()) {
                Step::Send(bytes) => match timeout(within, channel.send(&bytes)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => negotiation.lost(WireText::printed(&error)),
                    Err(_) => negotiation.lost("it does not read".into()),
                },
                Step::Wait { until } => match timeout_at(until.into(), channel.receive()).await {
                    Ok(Ok(message)) => negotiation.receive(&message),
                    Ok(Err(error)) => negotiation.lost(WireText::printed(&error)),
                    Err(_) => {}
                },
                Step::Compressed => {
                    let layout = settings.packet_header.clone();
                    let channel = channel.compressed(settings.compression_level, layout);
                    return Ok((channel, Ok(())));
                }
                Step::Plain(declined) => {
                    let why = WireText::printed(&declined);
                    return Ok((channel.uncompressed(negotiation), Err(why)));
                }
                Step::Failed(why) => {
                    let error =
                        SignInError::Lost(format!("no word about compression: {why}").into());
                    return Err(Box::new(SignInFailureKind::SignIn(endpoint.clone(), error)));
                }
            }
        }
    }
}
