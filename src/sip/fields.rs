//! The header fields of a message: where they are, and what they are called.

use smallvec::SmallVec;

use super::scan::{is_called, trim};

/// Where the lines of a header field begin, and how long its name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) line: u16,
    pub(super) name: u16,
}

impl Field {
    /// A head is short enough for 16 bits.
    pub(super) fn new(line: usize, name: usize) -> Self {
        Self { line: line as u16, name: name as u16 }
    }
}

/// Inline, for as many as a server's ordinary answer has. A message is moved about, so that what is
/// in it has to be small.
pub(super) type FieldList = SmallVec<[Field; 20]>;

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

    /// The value of a field with its folds, without the white space around it; `next` are the fields
    /// behind it.
    #[inline]
    pub(super) fn value(&self, field: &Field, next: &[Field]) -> &'a [u8] {
        let behind = usize::from(field.line).wrapping_add(field.name.into());
        let end = next.first().map_or(self.body, |next| next.line.into());
        let behind = self.bytes.get(behind..end).unwrap_or_default();
        behind_colon(behind).map(trim).unwrap_or_default()
    }

    /// Each field, and its value.
    pub(super) fn each(self) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> {
        self.list.iter().enumerate().map(move |(index, field)| {
            let next = self.list.get(index.wrapping_add(1)..).unwrap_or_default();
            (self.name(field), self.value(field, next))
        })
    }

    /// The values of all fields of this name.
    #[inline]
    pub(super) fn called(mut self, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        let name = full_name(name);
        std::iter::from_fn(move || self.next_called(name))
    }

    /// Leaves those behind the next field of this name, and gives its value.
    #[inline(always)]
    pub(super) fn next_called(&mut self, name: &[u8]) -> Option<&'a [u8]> {
        while let [field, next @ ..] = self.list {
            self.list = next;
            if self.is_called(field, name) {
                return Some(self.value(field, next));
            }
        }
        None
    }

    #[inline]
    fn is_called(&self, field: &Field, name: &[u8]) -> bool {
        let may_be = field.name == 1 || usize::from(field.name) == name.len();
        may_be && is_called(full_name(self.name(field)), name)
    }
}

/// What stands behind a colon: only SP and HTAB may stand in front of it.
#[inline]
pub(super) fn behind_colon(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [b':', value @ ..] => Some(value),
        [b' ' | b'\t', behind @ ..] => behind_space(behind),
        _ => None,
    }
}

/// The same for who puts white space there. Hardly anybody does.
#[cold]
fn behind_space(rest: &[u8]) -> Option<&[u8]> {
    let space = rest.iter().take_while(|&byte| matches!(byte, b' ' | b'\t')).count();
    rest.get(space..)?.strip_prefix(b":")
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
