//! Which numbers a server has used.

/// The numbers seen last. What is older than all of them counts as seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    highest: u32,
    /// Bit n stands for `highest - n`.
    seen: u128,
}

impl Window {
    /// Whether `number` is new.
    pub(super) fn admits(&self, number: u32) -> bool {
        match self.highest.checked_sub(number) {
            None => true,
            Some(behind) => self.seen.checked_shr(behind).is_some_and(|seen| seen & 1 == 0),
        }
    }

    /// Takes `number` as seen.
    pub(super) fn take(&mut self, number: u32) {
        if let Some(ahead) = number.checked_sub(self.highest) {
            self.seen = self.seen.checked_shl(ahead).unwrap_or_default() | 1;
            self.highest = number;
        } else {
            let behind = self.highest.saturating_sub(number);
            self.seen |= 1u128.checked_shl(behind).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_admitted_once_and_in_any_near_order() {
        let mut window = Window::default();
        for number in [1, 2, 5, 3, 4, 200, 130, 73, 0xffff_ffff, 0xffff_ffff - 127] {
            assert!(window.admits(number), "{number}");
            window.take(number);
            assert!(!window.admits(number), "{number}");
        }
        assert!(window.admits(0xffff_ffff - 1));
        for old in [0, 1, 200, 0xffff_ffff - 128] {
            assert!(!window.admits(old), "{old}");
        }
    }
}
