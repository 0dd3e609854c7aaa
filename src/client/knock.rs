//! The first question alone: a REGISTER without credentials, and what answers it.

use std::net::SocketAddr;

use tokio::time::timeout;

use super::Client;
use crate::channel::{Channel, ChannelError};
use crate::discovery::{Endpoint, LastServer, Trace};
use crate::failure::SignInFailureKind;
use crate::sign_in::SignInError;
use crate::sip::{Answer, Message, Register, Remedy, Response, ServerRefusal};
use crate::text::WireText;
use crate::transport::Connection;

impl Client {
    /// Sends the first REGISTER and waits for its final answer.
    pub(super) async fn knock(
        &self,
        trace: &Trace,
        endpoint: &Endpoint,
        peer: SocketAddr,
        connection: Box<dyn Connection>,
        said: &mut Option<WireText>,
    ) -> Result<Challenged, Knock> {
        let settings = &*self.settings;
        let local = connection.facts().local;
        let register = self.register(trace.address(), endpoint, local)?;
        let (mut channel, compression) =
            self.channel(trace.address(), endpoint, connection).await?;
        *said = compression;
        let exchange =
            timeout(settings.rules.answer_within, exchange(&mut channel, &register)).await;
        let response = exchange.unwrap_or(Err(SignInError::NoAnswer))?;
        let kind = match Answer::to_first_register(&response) {
            Answer::Refused(refusal) if refusal.remedy == Remedy::AnotherServer => {
                return Err(Knock::Next(WireText::printed(&refusal), Some(Box::new(refusal))));
            }
            Answer::Refused(refusal) => SignInFailureKind::Refused(endpoint.clone(), refusal),
            Answer::Redirected(to) => SignInFailureKind::Redirected(endpoint.clone(), to),
            Answer::Unauthenticated if !settings.rules.allow_unauthenticated => {
                SignInFailureKind::Unauthenticated(endpoint.clone())
            }
            answer => {
                let (endpoint, trace) = (endpoint.clone(), trace.clone());
                return Ok(Challenged {
                    endpoint,
                    peer,
                    answer,
                    response,
                    register,
                    channel,
                    trace,
                });
            }
        };
        Err(Knock::Final(Box::new(kind)))
    }
}

/// A server that was found, was checked, and has answered the first REGISTER.
#[derive(Debug)]
#[non_exhaustive]
pub struct Challenged {
    /// Protocol, host and port.
    pub endpoint: Endpoint,
    /// The address that answered.
    pub peer: SocketAddr,
    /// What it answered: a challenge with every scheme that it accepts, or, where the caller allows
    /// it, that it let us in unauthenticated.
    pub answer: Answer,
    /// The same as it came.
    pub response: Response,
    /// The dialog: the next REGISTER is [`Register::next`].
    pub register: Register,
    /// The connection.
    pub channel: Channel,
    /// How it was found.
    pub trace: Trace,
}

impl Challenged {
    /// The server that answered, to be remembered until the next time; `None` if it is not to be:
    /// it spoke clear text, or has no name.
    pub fn last_server(&self) -> Option<LastServer> {
        LastServer::of(&self.endpoint, self.peer.ip())
    }
}

/// Why nobody opened.
pub(super) enum Knock {
    /// Another server may do better.
    Next(WireText, Option<Box<ServerRefusal>>),
    /// None would.
    Final(Box<SignInFailureKind>),
}

impl From<SignInError> for Knock {
    fn from(error: SignInError) -> Self {
        Self::Next(WireText::printed(&error), None)
    }
}

impl From<Box<SignInFailureKind>> for Knock {
    fn from(kind: Box<SignInFailureKind>) -> Self {
        match &*kind {
            SignInFailureKind::SignIn(_, error) if error.remedy() == Remedy::AnotherServer => {
                Self::Next(WireText::printed(error), None)
            }
            _ => Self::Final(kind),
        }
    }
}

/// Sends `register` and reads until its final answer.
pub(super) async fn exchange(
    channel: &mut Channel,
    register: &Register,
) -> Result<Response, SignInError> {
    let lost = |error: ChannelError| match error {
        ChannelError::Garbage(error) => SignInError::Garbage(WireText::printed(&error)),
        error => SignInError::Lost(WireText::printed(&error)),
    };
    channel.send(&register.write()).await.map_err(lost)?;
    for _ in 0..=Client::PASSED_OVER_LIMIT {
        if let Message::Response(response) = channel.receive().await.map_err(lost)?
            && response.answers(register)
            && response.status() >= 200
        {
            return Ok(response);
        }
    }
    Err(SignInError::Garbage("nothing but other messages".into()))
}
