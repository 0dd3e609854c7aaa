//! Shows where a password comes from: from a store where one is saved, otherwise from the terminal,
//! without an echo. Leaves out the store of the operating system: this one is gone with the program
//! (`KeyringStore`, feature `keyring`, is a lasting one).
//!
//! It signs in twice to the lab, a Communicator deployment on loopback, whose only account is
//! `CONTOSO\jeremy` with the password `Passw0rd!`. Where there is no terminal, it says what it would
//! ask for, and answers with that password itself.

use std::error::Error;
use std::io::{IsTerminal, stdin};
use std::sync::Mutex;

use async_trait::async_trait;
use sip_signin::auth::Credentials;
use sip_signin::lab::Lab;
use sip_signin::sign_in::{AskReason, CredentialRequest};
use sip_signin::{
    CredentialSource, CredentialStore, SavePassword, SavedCredentials, SipAddress, StoreError,
};

const ACCOUNT: &str = r"CONTOSO\jeremy";
const PASSWORD: &str = "Passw0rd!";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address: SipAddress = "sip:jeremy@contoso.com".parse()?;
    let lab = Lab::ordinary("contoso.com").account(ACCOUNT, PASSWORD, address.to_string());
    let lab = lab.start().await?;
    let client = lab.client().build();
    let source = SavedCredentials::new(Memory::default(), SavePassword::Allow).then(Terminal);
    for time in ["first", "second"] {
        println!("The {time} time:");
        match client.sign_in(&address, &source).await {
            Ok(signed_in) => println!("  signed in at {}\n", signed_in.endpoint),
            Err(failure) => println!("  {failure}\n"),
        }
    }
    Ok(())
}

/// Asks at the terminal.
struct Terminal;

#[async_trait]
impl CredentialSource for Terminal {
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
        match request.reason {
            AskReason::FirstTime => {}
            AskReason::Expired => println!("  The last sign-in has expired."),
            _ => println!("  {} does not believe this password.", request.endpoint),
        }
        println!("  {} asks for the password of {ACCOUNT} ({}).", request.endpoint, request.scheme);
        if !stdin().is_terminal() {
            println!("  Here is no terminal: {PASSWORD} is typed without you.");
            let typed = (request.reason != AskReason::Rejected).then_some(PASSWORD)?;
            return Some(Credentials::new(ACCOUNT.parse().ok()?, typed).to_save());
        }
        // Reading blocks, so it gets a thread of its own. What was typed moves into a `Password`,
        // which is wiped when it is dropped; nothing typed at all ends the sign-in.
        let read = || rpassword::prompt_password("  Password: ");
        #[expect(clippy::disallowed_methods, reason = "a program may spawn; a library may not")]
        let typed = tokio::task::spawn_blocking(read).await.ok()?.ok()?;
        let credentials = Credentials::new(ACCOUNT.parse().ok()?, typed);
        (!credentials.password.reveal().is_empty()).then(|| credentials.to_save())
    }
}

/// A store that lasts as long as the program.
#[derive(Default)]
struct Memory(Mutex<Option<(SipAddress, Credentials)>>);

impl Memory {
    fn put(&self, kept: Option<(SipAddress, Credentials)>) -> Result<(), StoreError> {
        *self.0.lock().map_err(|_| StoreError::new("broken"))? = kept;
        Ok(())
    }
}

#[async_trait]
impl CredentialStore for Memory {
    async fn load(&self, address: &SipAddress) -> Result<Option<Credentials>, StoreError> {
        let kept = self.0.lock().map_err(|_| StoreError::new("broken"))?.clone();
        let found = kept.filter(|(of, _)| of == address).map(|(_, credentials)| credentials);
        println!("  {}", if found.is_some() { "A password is saved." } else { "None is saved." });
        Ok(found)
    }

    async fn save(&self, address: &SipAddress, given: &Credentials) -> Result<(), StoreError> {
        println!("  The password was accepted, and is saved.");
        self.put(Some((address.clone(), Credentials { save: false, ..given.clone() })))
    }

    async fn forget(&self, _: &SipAddress) -> Result<(), StoreError> {
        println!("  The saved password was rejected, and is forgotten.");
        self.put(None)
    }
}
