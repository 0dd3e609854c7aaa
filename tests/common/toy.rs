//! A mechanism for servers of a few lines: one token, and one signature that is the server's.

use sip_signin::auth::{
    Identity, Mechanism, MechanismError, MechanismErrorKind, MechanismProvider, MechanismStep,
};
use sip_signin::sip::Scheme;
use sip_signin::{Now, Random};

/// Answers NTLM challenges with any password. What it signs is never what it takes for a signature
/// of the server's.
#[derive(Clone, Copy)]
pub struct Toy {
    /// The only signature of the server's that is right.
    pub signature: &'static str,
    /// Whether it says nothing at first, as NTLM does.
    pub begins_empty: bool,
}

impl MechanismProvider for Toy {
    fn scheme(&self) -> Scheme {
        Scheme::Ntlm
    }

    fn takes(&self, identity: Identity<'_>) -> bool {
        matches!(identity, Identity::Supplied(_))
    }

    fn start(&self, _: &str, _: Identity<'_>) -> Result<Box<dyn Mechanism>, MechanismError> {
        Ok(Box::new(*self))
    }
}

impl Mechanism for Toy {
    fn step(
        &mut self,
        token: Option<&[u8]>,
        _: Now,
        _: &dyn Random,
    ) -> Result<MechanismStep, MechanismError> {
        Ok(match token {
            None if self.begins_empty => MechanismStep::Continue(Vec::new()),
            _ => MechanismStep::Done(Some(b"proof".to_vec())),
        })
    }

    fn sign(&mut self, _: &[u8]) -> Result<Vec<u8>, MechanismError> {
        Ok(b"ours".to_vec())
    }

    fn verify(&mut self, _: &[u8], signature: &[u8]) -> Result<(), MechanismError> {
        let right = signature == self.signature.as_bytes();
        if right { Ok(()) } else { Err(MechanismErrorKind::Signature.into()) }
    }
}
