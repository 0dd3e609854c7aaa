//! What a server says of itself in a challenge, and what the client adds to it.

use std::borrow::Cow;

use super::NtlmError;

/// A sequence of AV_PAIRs, without the one that ends it. [MS-NLMP section 2.2.2.1]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TargetInfo<'a> {
    pairs: Vec<Pair<'a>>,
}

type Pair<'a> = (u16, Cow<'a, [u8]>);

const END: u16 = 0;
const FLAGS: u16 = 6;
const TIME_STAMP: u16 = 7;
const TARGET_NAME: u16 = 9;
const CHANNEL_BINDINGS: u16 = 10;

/// The message has a MIC: a bit of the pair `FLAGS`.
const HAS_MIC: u32 = 2;

impl<'a> TargetInfo<'a> {
    /// How many pairs a challenge and its answer have, as a rule.
    const ORDINARY: usize = 9;

    /// Reads pairs up to the one that ends them; it must be there.
    pub(super) fn read(mut bytes: &'a [u8]) -> Result<Self, NtlmError> {
        let mut info = Self { pairs: Vec::with_capacity(Self::ORDINARY) };
        loop {
            let (id, rest) = bytes.split_first_chunk().ok_or(NtlmError::TargetInfo)?;
            let (length, rest) = rest.split_first_chunk().ok_or(NtlmError::TargetInfo)?;
            let (id, length) = (u16::from_le_bytes(*id), u16::from_le_bytes(*length));
            let cut = rest.split_at_checked(length.into());
            let (value, rest) = cut.ok_or(NtlmError::TargetInfo)?;
            if id == END {
                break;
            }
            let wrong_length = match id {
                FLAGS => length != 4,
                TIME_STAMP => length != 8,
                _ => false,
            };
            if wrong_length || info.get(id).is_some() {
                return Err(NtlmError::TargetInfo);
            }
            info.pairs.push((id, Cow::Borrowed(value)));
            bytes = rest;
        }
        Ok(info)
    }

    /// What time it is for the server, as it stands in the message.
    pub(super) fn time_stamp(&self) -> Option<[u8; 8]> {
        self.get(TIME_STAMP)?.try_into().ok()
    }

    /// What the client answers to a challenge with a time stamp: it promises a MIC, and says that it
    /// was neither given a name of the server nor a channel to bind to. [MS-NLMP section 3.1.5.2.1]
    ///
    /// The server's own pairs keep their places.
    #[must_use]
    pub(super) fn promising_mic(mut self) -> Self {
        let flags = self.get(FLAGS).and_then(|value| value.try_into().ok());
        let flags = flags.map_or(0, u32::from_le_bytes) | HAS_MIC;
        self.set(FLAGS, Cow::Owned(flags.to_le_bytes().into()));
        self.set(CHANNEL_BINDINGS, Cow::Borrowed(&[0; 16]));
        self.set(TARGET_NAME, Cow::Borrowed(&[]));
        self
    }

    /// What a server says of itself: names, and what time it is.
    #[cfg(feature = "lab")]
    pub(super) fn of(names: impl IntoIterator<Item = (u16, Vec<u8>)>, time_stamp: [u8; 8]) -> Self {
        let pairs = names.into_iter().chain([(TIME_STAMP, time_stamp.to_vec())]);
        Self { pairs: pairs.map(|(id, value)| (id, Cow::Owned(value))).collect() }
    }

    /// Whether the client said that its message has a MIC.
    #[cfg(feature = "lab")]
    pub(super) fn promises_mic(&self) -> bool {
        let flags = self.get(FLAGS).and_then(|value| value.try_into().ok());
        flags.map_or(0, u32::from_le_bytes) & HAS_MIC != 0
    }

    /// The pairs and their end.
    pub(super) fn write(&self) -> Vec<u8> {
        let end = (END, Cow::Borrowed(&[][..]));
        let mut bytes = Vec::with_capacity(256);
        for (id, value) in self.pairs.iter().chain([&end]) {
            // No value is longer: it came in a message, with a length of 16 bits.
            let length = u16::try_from(value.len()).unwrap_or_default();
            bytes.extend(id.to_le_bytes());
            bytes.extend(length.to_le_bytes());
            bytes.extend_from_slice(value);
        }
        bytes
    }

    fn get(&self, id: u16) -> Option<&[u8]> {
        let found = self.pairs.iter().find(|(other, _)| *other == id);
        found.map(|(_, value)| &**value)
    }

    fn set(&mut self, id: u16, value: Cow<'a, [u8]>) {
        match self.pairs.iter_mut().find(|(other, _)| *other == id) {
            Some((_, old)) => *old = value,
            None => self.pairs.push((id, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &[u8] = &[1, 0, 2, 0, b'S', 0];
    const STAMP: &[u8] = &[7, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    const FLAGS_4: &[u8] = &[6, 0, 4, 0, 4, 0, 0, 0];
    const END: &[u8] = &[0; 4];

    #[test]
    fn what_is_read_is_written_again_and_nothing_behind_the_end() {
        for pieces in [&[END][..], &[NAME, END], &[STAMP, NAME, FLAGS_4, END]] {
            let bytes = pieces.concat();
            let info = TargetInfo::read(&bytes).unwrap();
            assert_eq!(info.write(), bytes);
            let longer = [&*bytes, &[9, 9, 9]].concat();
            assert_eq!(TargetInfo::read(&longer).unwrap(), info);
        }
        let stamped = [STAMP, END].concat();
        let info = TargetInfo::read(&stamped).unwrap();
        assert_eq!(info.time_stamp(), Some([1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(TargetInfo::read(END).unwrap().time_stamp(), None);
    }

    #[test]
    fn the_promise_changes_pairs_in_place_and_adds_the_missing_ones() {
        let promise =
            |pieces: &[&[u8]]| TargetInfo::read(&pieces.concat()).unwrap().promising_mic().write();
        let bindings = [&[10, 0, 16, 0][..], &[0; 16]].concat();
        let no_name: &[u8] = &[9, 0, 0, 0];
        let flags: &[u8] = &[6, 0, 4, 0, 2, 0, 0, 0];
        assert_eq!(promise(&[STAMP, END]), [STAMP, flags, &bindings, no_name, END].concat());
        let both: &[u8] = &[6, 0, 4, 0, 6, 0, 0, 0];
        assert_eq!(promise(&[flags, STAMP, END])[..8], *flags, "it was promised already");
        let named: &[u8] = &[9, 0, 2, 0, b'x', 0];
        assert_eq!(
            promise(&[named, FLAGS_4, STAMP, END]),
            [no_name, both, STAMP, &bindings, END].concat()
        );
    }

    #[test]
    fn broken_pairs_are_refused() {
        let whole = [NAME, FLAGS_4, STAMP, END].concat();
        for length in 0..whole.len() {
            assert_eq!(TargetInfo::read(&whole[..length]), Err(NtlmError::TargetInfo), "{length}");
        }
        for pieces in [
            &[NAME, NAME, END][..],
            &[&[7, 0, 4, 0, 1, 2, 3, 4], END],
            &[&[6, 0, 2, 0, 1, 2], END],
            &[&[1, 0, 255, 255, 0], END],
        ] {
            assert_eq!(TargetInfo::read(&pieces.concat()), Err(NtlmError::TargetInfo));
        }
    }
}
