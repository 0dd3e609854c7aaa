//! Looks for a secret in whatever was sent or shown, as it is and disguised.

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};

/// The password of every test that looks for one.
pub const MARKER: &str = "marker-Pa55word";

/// What its hashes are: each is as good as the password. By OpenSSL: MD4 of it in UTF-16, and MD5
/// and SHA-256 of `CONTOSO\jeremy:SIP Communications Service:marker-Pa55word`.
const HASHES: [(&str, &str); 3] = [
    ("NT hash", "5f0c9be6d8efd7f4146c974ee3861d62"),
    ("Digest MD5", "990172ab39553c4fbb31ebce3bf22d59"),
    ("Digest SHA-256", SHA256),
];
const SHA256: &str = "e7e484112644ac4a4401b67efd5e4de37b665699401022ccede82db91311fd29";

/// The marker in every disguise.
pub struct Needles(Vec<(String, Vec<u8>)>);

impl Needles {
    pub fn new() -> Self {
        let utf16 = |order: fn(u16) -> [u8; 2]| MARKER.encode_utf16().flat_map(order).collect();
        let mut secrets: Vec<(&str, Vec<u8>)> = vec![
            ("password", MARKER.into()),
            ("password in UTF-16LE", utf16(u16::to_le_bytes)),
            ("password in UTF-16BE", utf16(u16::to_be_bytes)),
            ("password backwards", MARKER.bytes().rev().collect()),
            ("password in upper case", MARKER.to_uppercase().into()),
        ];
        for (name, hash) in HASHES {
            secrets.push((name, HEXLOWER.decode(hash.as_bytes()).unwrap()));
        }
        let mut needles = Vec::new();
        for (name, secret) in secrets {
            let mut add =
                |how: &str, needle: Vec<u8>| needles.push((format!("{name}{how}"), needle));
            add("", secret.clone());
            add(", hex", HEXLOWER.encode(&secret).into());
            add(", HEX", HEXUPPER.encode(&secret).into());
            for shift in 0..3 {
                add(&format!(", base64 at {shift}"), base64(&secret, shift).into());
            }
            // As a list of numbers, which is how `Debug` shows bytes.
            add(", numbers", format!("{secret:?}").trim_matches(['[', ']']).into());
        }
        Self(needles)
    }

    /// The disguises in which the secret stands in `hay`.
    pub fn found_in(&self, hay: impl AsRef<[u8]>) -> Vec<&str> {
        let hay = hay.as_ref();
        let stands = |needle: &[u8]| hay.windows(needle.len()).any(|window| window == needle);
        self.0.iter().filter(|(_, needle)| stands(needle)).map(|(name, _)| &**name).collect()
    }

    pub fn all(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, needle)| (&**name, &**needle))
    }
}

/// What of the base64 of a longer text is sure to stand there if `secret` begins `shift` bytes
/// behind a group of three.
fn base64(secret: &[u8], shift: usize) -> String {
    let padded = [&vec![0; shift][..], secret].concat();
    let text = BASE64.encode(&padded);
    let (first, last) = ((shift * 8).div_ceil(6), padded.len() * 8 / 6);
    text[first..last].to_owned()
}
