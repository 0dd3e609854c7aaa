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

/// Texts of so many random bytes each, in hexadecimal; drawn at once, for each draw may be a system
/// call.
#[cfg(feature = "driver")]
pub(crate) fn hexes<const N: usize>(
    random: &dyn Random,
    lengths: [usize; N],
) -> Result<[String; N], RandomError> {
    let mut bytes = vec![0; lengths.iter().sum()];
    random.fill(&mut bytes)?;
    let digits = HEXLOWER.encode(&bytes);
    let mut rest = &*digits;
    Ok(lengths.map(|length| {
        let digits = length.saturating_mul(2);
        let (text, behind) = rest.split_at_checked(digits).unwrap_or((rest, ""));
        rest = behind;
        text.to_owned()
    }))
}

#[cfg(all(test, feature = "driver"))]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    /// Each byte is the number of the draw and its place in it.
    #[derive(Default)]
    struct Numbered(AtomicU8);

    impl Random for Numbered {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
            let draw = self.0.fetch_add(0x10, Ordering::Relaxed);
            bytes.iter_mut().zip(draw..).for_each(|(byte, number)| *byte = number);
            Ok(())
        }
    }

    #[test]
    fn texts_that_are_drawn_at_once_share_no_byte() {
        let random = Numbered::default();
        let texts = ["000102", "", "03", "0405"].map(String::from);
        assert_eq!(hexes(&random, [3, 0, 1, 2]), Ok(texts));
        assert_eq!(hex::<2>(&random), Ok("1011".into()), "it was one draw");
    }
}
