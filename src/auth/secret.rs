//! Who signs in, and what only they know.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::text::WireText;

/// A password.
///
/// Clones share it, so that it is in memory once. It is wiped when the last one is dropped, and no
/// `Debug`, `Display` or error of this crate shows it.
///
/// ```
/// use sip_signin::auth::Password;
/// let password = Password::new("Passw0rd!");
/// assert_eq!(format!("{password:?}"), "Password(..)");
/// assert_eq!(password.reveal(), "Passw0rd!");
/// ```
#[derive(Clone)]
pub struct Password(Arc<Zeroizing<String>>);

impl Password {
    /// Keeps `password`. A `String` is taken over as it is, so that no copy stays behind.
    pub fn new(password: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(password.into())))
    }

    /// The password itself: only for the mechanism that proves it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl From<String> for Password {
    fn from(password: String) -> Self {
        Self::new(password)
    }
}

impl From<&str> for Password {
    fn from(password: &str) -> Self {
        Self::new(password)
    }
}

/// An account, as a person types it: `CONTOSO\jeremy`, `jeremy@contoso.com` or `jeremy`.
///
/// It need not look like the sign-in address. Clones share their text.
///
/// ```
/// use sip_signin::auth::Account;
/// let account: Account = r"CONTOSO\jeremy".parse()?;
/// assert_eq!((account.domain(), account.user()), ("CONTOSO", "jeremy"));
/// // A user principal name is one name; no domain is cut off it.
/// let account: Account = "jeremy@contoso.com".parse()?;
/// assert_eq!((account.domain(), account.user()), ("", "jeremy@contoso.com"));
/// # Ok::<(), sip_signin::auth::AccountError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Account {
    typed: Arc<str>,
    /// Where the user begins.
    user: usize,
}

impl Account {
    /// The longest input, in bytes without the space around it.
    pub const LIMIT: usize = 512;

    /// The domain in front of the backslash; empty when there is none, which is legal: the server
    /// then looks the user up where it will.
    pub fn domain(&self) -> &str {
        self.typed.get(..self.user.saturating_sub(1)).unwrap_or_default()
    }

    /// The user: all of it when there is no backslash.
    pub fn user(&self) -> &str {
        self.typed.get(self.user..).unwrap_or_default()
    }

    /// The user and the domain of a principal name, `jeremy` and `contoso.com`.
    pub fn principal(&self) -> Option<(&str, &str)> {
        self.user().rsplit_once('@').filter(|_| self.domain().is_empty())
    }

    /// All of it, as it was typed.
    pub fn typed(&self) -> String {
        self.typed.to_string()
    }

    fn read(text: &str) -> Result<Self, AccountErrorKind> {
        use AccountErrorKind as Kind;
        if text.is_empty() {
            return Err(Kind::Empty);
        }
        if text.len() > Self::LIMIT {
            return Err(Kind::TooLong);
        }
        let (domain, user) = match text.split_once('\\') {
            Some(("", _)) => return Err(Kind::NoDomain),
            Some(parts) => parts,
            None => ("", text),
        };
        let wrong = |c: &char| c.is_control() || matches!(c, '\\' | ':' | '"');
        if let Some(c) = domain.chars().chain(user.chars()).find(wrong) {
            return Err(Kind::Character(c));
        }
        match user.rsplit_once('@') {
            Some(("", _)) => return Err(Kind::NoUser),
            Some((_, "")) => return Err(Kind::NoDomain),
            None if user.is_empty() => return Err(Kind::NoUser),
            _ => {}
        }
        Ok(Self { typed: text.into(), user: text.len().saturating_sub(user.len()) })
    }
}

impl FromStr for Account {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        let text = text.trim();
        Self::read(text).map_err(|kind| AccountError { text: text.into(), kind })
    }
}

/// As it was typed, shown as [`WireText`].
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.domain().is_empty() {
            write!(f, "{}\\", WireText::new(self.domain()))?;
        }
        WireText::new(self.user()).fmt(f)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// A text that is no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an account: {kind}")]
pub struct AccountError {
    /// The text that was read.
    pub text: WireText,
    /// The rule it breaks.
    pub kind: AccountErrorKind,
}

/// The rule that a text breaks which should be an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountErrorKind {
    /// A character that no account has: a control character, a colon, a quote, a second backslash.
    #[error("{} cannot be part of it", .0.escape_default())]
    Character(char),
    /// Nothing.
    #[error("it is empty")]
    Empty,
    /// Nothing in front of the backslash or behind the `@`.
    #[error("its domain is empty")]
    NoDomain,
    /// Nothing behind the backslash or in front of the `@`.
    #[error("its user is empty")]
    NoUser,
    /// More than [`Account::LIMIT`] bytes.
    #[error("it is longer than {} bytes", Account::LIMIT)]
    TooLong,
}

/// An account and its password.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Who.
    pub account: Account,
    /// The proof.
    pub password: Password,
    /// Whether the user agreed that they are saved, once a server has accepted them.
    pub save: bool,
}

impl Credentials {
    /// `account` with its password; not to be saved.
    pub fn new(account: Account, password: impl Into<Password>) -> Self {
        Self { account, password: password.into(), save: false }
    }

    /// The same, and the user agreed that they are saved once a server has accepted them.
    #[must_use]
    pub fn to_save(self) -> Self {
        Self { save: true, ..self }
    }

    /// Whether a server would be told the same.
    pub fn are(&self, others: &Self) -> bool {
        self.account == others.account && self.password.reveal() == others.password.reveal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AccountErrorKind as Kind;

    #[test]
    fn an_account_is_read_in_each_of_its_forms() {
        for (text, domain, user, principal) in [
            (r"CONTOSO\jeremy", "CONTOSO", "jeremy", None),
            (r" contoso.com\jeremy ", "contoso.com", "jeremy", None),
            (r".\jeremy", ".", "jeremy", None),
            (r"A\b@c", "A", "b@c", None),
            ("jeremy@contoso.com", "", "jeremy@contoso.com", Some(("jeremy", "contoso.com"))),
            ("a@b@c", "", "a@b@c", Some(("a@b", "c"))),
            ("jeremy", "", "jeremy", None),
            ("jérémie müller", "", "jérémie müller", None),
        ] {
            let account: Account = text.parse().unwrap();
            assert_eq!((account.domain(), account.user()), (domain, user), "{text}");
            assert_eq!(account.principal(), principal, "{text}");
        }
    }

    #[test]
    fn what_is_no_account_is_refused_with_the_reason() {
        for (text, kind) in [
            ("", Kind::Empty),
            (" ", Kind::Empty),
            (r"\jeremy", Kind::NoDomain),
            (r"CONTOSO\", Kind::NoUser),
            ("@contoso.com", Kind::NoUser),
            ("jeremy@", Kind::NoDomain),
            (r"A\@c", Kind::NoUser),
            (r"A\b\c", Kind::Character('\\')),
            ("sip:jeremy@contoso.com", Kind::Character(':')),
            ("je\r\nremy", Kind::Character('\r')),
            ("je\"remy", Kind::Character('"')),
        ] {
            assert_eq!(text.parse::<Account>().unwrap_err().kind, kind, "{text}");
        }
        let at = |length: usize| "a".repeat(length).parse::<Account>();
        assert!(at(Account::LIMIT).is_ok());
        assert_eq!(at(Account::LIMIT + 1).unwrap_err().kind, Kind::TooLong);
    }

    #[test]
    fn what_is_shown_is_the_account_and_never_the_password() {
        let account: Account = "A\\b\u{202e}c".parse().unwrap();
        assert_eq!(account.to_string(), r"A\b\u{202e}c");
        let credentials = Credentials::new(account, "marker-5ecret".to_owned());
        let shown = format!("{credentials:?} {credentials:#?}");
        assert!(shown.contains("Password(..)"), "{shown}");
        assert!(!shown.contains("marker"), "{shown}");
    }
}
