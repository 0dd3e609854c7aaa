//! The header fields of a message: where they are, and what they are called.

use smallvec::SmallVec;

use super::scan::{is_called, trim};

/// Where the lines of a header field begin, and how long its name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) line: u16,
    pub(super) name: u16,
}

/// Inline, for as many as a server's ordinary answer has. A message is moved about, so that what is
/// in it has to be small.
pub(super) type FieldList = SmallVec<[Field; 24]>;

/// The header fields in the bytes of their message.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) list: &'a [Field],
    pub(super) bytes: &'a [u8],
    pub(super) body: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn name(&self, field: &Field) -> &'a [u8] {
        let lines = self.bytes.get(usize::from(field.line)..).unwrap_or_default();
        lines.get(..usize::from(field.name)).unwrap_or_default()
    }

    /// The value of a field with its folds, without the white space around it.
    pub(super) fn value(&self, index: usize) -> &'a [u8] {
        let (field, end) = match self.list.get(index..).unwrap_or_default() {
            [] => return &[],
            [field] => (field, self.body),
            [field, next, ..] => (field, usize::from(next.line)),
        };
        let behind = usize::from(field.line).wrapping_add(field.name.into());
        let behind = self.bytes.get(behind..end).unwrap_or_default();
        behind_colon(behind).map(trim).unwrap_or_default()
    }

    /// The values of all fields of this name.
    pub(super) fn called(self, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        let name = full_name(name);
        let mut known = 0usize;
        std::iter::from_fn(move || {
            let index = self.find(name, known)?;
            known = index.wrapping_add(1);
            Some(self.value(index))
        })
    }

    /// The first field of this name behind those that are known.
    #[inline]
    fn find(&self, name: &[u8], known: usize) -> Option<usize> {
        let is_it = |field: &Field| {
            let may_be = field.name == 1 || usize::from(field.name) == name.len();
            may_be && is_called(full_name(self.name(field)), name)
        };
        Some(known.wrapping_add(self.list.get(known..)?.iter().position(is_it)?))
    }
}

/// What stands behind a colon: only SP and HTAB may stand in front of it.
pub(super) fn behind_colon(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        match rest {
            [b':', value @ ..] => return Some(value),
            [b' ' | b'\t', behind @ ..] => rest = behind,
            _ => return None,
        }
    }
}

/// The name that a compact form stands for: the IANA registry of SIP header fields.
fn full_name(name: &[u8]) -> &[u8] {
    let &[letter] = name else {
        return name;
    };
    match letter.to_ascii_lowercase() {
        b'a' => b"Accept-Contact",
        b'b' => b"Referred-By",
        b'c' => b"Content-Type",
        b'd' => b"Request-Disposition",
        b'e' => b"Content-Encoding",
        b'f' => b"From",
        b'i' => b"Call-ID",
        b'j' => b"Reject-Contact",
        b'k' => b"Supported",
        b'l' => b"Content-Length",
        b'm' => b"Contact",
        b'n' => b"Identity-Info",
        b'o' => b"Event",
        b'r' => b"Refer-To",
        b's' => b"Subject",
        b't' => b"To",
        b'u' => b"Allow-Events",
        b'v' => b"Via",
        b'x' => b"Session-Expires",
        b'y' => b"Identity",
        _ => name,
    }
}
