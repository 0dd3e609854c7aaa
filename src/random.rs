//! The door to chance: what must not be guessed.
//!
//! The other source of chance is the [`Seed`](crate::discovery::Seed), which only spreads clients
//! over servers and may be guessed. The operating system's source is not part of the core.

use data_encoding::HEXLOWER;

/// Gives bytes that nobody can guess: for Call-IDs, tags, nonces and keys.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`RandomError`] when there is no such source; then nothing is sent.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

/// The source of chance failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct RandomError;

/// `N` random bytes in hexadecimal.
pub(crate) fn hex<const N: usize>(random: &dyn Random) -> Result<String, RandomError> {
    let mut bytes = [0; N];
    random.fill(&mut bytes)?;
    Ok(HEXLOWER.encode(&bytes))
}
