//! What a real client and a real server said to each other.

use zeroize::Zeroizing;

use super::hash::Key;

/// The exchange that Communicator 2007 R2 and its server had on 1 March 2010, password `Pa$$word`.
pub(super) struct Recorded {
    challenge: &'static str,
    authenticate: &'static str,
    session_key: &'static str,
    pub(super) client_challenge: [u8; 8],
    pub(super) version: [u8; 8],
    /// What was signed, and the signature.
    pub(super) request: (&'static str, &'static str),
    pub(super) response: (&'static str, &'static str),
}

pub(super) const COMMUNICATOR: Recorded = Recorded {
    challenge: "4e544c4d53535000020000000000000038000000f38298e2dd1baaf4e7e218d1000000000000000096\
        009600380000000502ce0e0000000f02000a0043004f0053004d004f000100180043004f0053004d004f002d004\
        f00430053002d00520032000400160063006f0073006d006f002e006c006f00630061006c000300300063006f00\
        73006d006f002d006f00630073002d00720032002e0063006f0073006d006f002e006c006f00630061006c00050\
        0160063006f0073006d006f002e006c006f00630061006c0000000000",
    authenticate: "4e544c4d53535000030000001800180072000000c600c6008a0000000a000a004800000008000800\
        52000000180018005a0000001000100050010000558298620502ce0e0000000f43004f0053004d004f005500730\
        06500720043004f0053004d004f002d004f00430053002d0052003200a1e92efe4e078bf7c5c0049acc6166c2d6\
        ae875cb0fdaa418dc0c800ae76eca606d2b9fbebd04731010100000000000059519a1727b9ca01d6ae875cb0fda\
        a410000000002000a0043004f0053004d004f000100180043004f0053004d004f002d004f00430053002d005200\
        32000400160063006f0073006d006f002e006c006f00630061006c000300300063006f0073006d006f002d006f0\
        0630073002d00720032002e0063006f0073006d006f002e006c006f00630061006c000500160063006f0073006d\
        006f002e006c006f00630061006c00000000000000000031cb739e1ca80a498591e8ae797115e4",
    session_key: "6742fbe37bb1946b49d86a525bd29a9b",
    client_challenge: [0xd6, 0xae, 0x87, 0x5c, 0xb0, 0xfd, 0xaa, 0x41],
    version: [5, 2, 0xce, 0x0e, 0, 0, 0, 15],
    request: (
        "<NTLM><13317733><1><SIP Communications Service><cosmo-ocs-r2.cosmo.local>\
         <4037df9284354df39065195bd57a4b14><3><REGISTER><sip:user@cosmo.local><3e49177a52>\
         <sip:user@cosmo.local><><><><>",
        "0100000029618e9651b65a7764000000",
    ),
    response: (
        "<NTLM><9616454F><1><SIP Communications Service><cosmo-ocs-r2.cosmo.local>\
         <4037df9284354df39065195bd57a4b14><3><REGISTER><sip:user@cosmo.local><3e49177a52>\
         <sip:user@cosmo.local><5E61CCD925D17E043D9A74835A88F664><><><7200><200>",
        "01000000e615438a917661be64000000",
    ),
};

impl Recorded {
    pub(super) fn challenge(&self) -> Vec<u8> {
        unhex(self.challenge)
    }

    pub(super) fn authenticate(&self) -> Vec<u8> {
        unhex(self.authenticate)
    }

    pub(super) fn session_key(&self) -> Key {
        Zeroizing::new(unhex(self.session_key).try_into().unwrap())
    }

    /// When the client answered.
    pub(super) fn time(&self) -> [u8; 8] {
        [0x59, 0x51, 0x9a, 0x17, 0x27, 0xb9, 0xca, 0x01]
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
