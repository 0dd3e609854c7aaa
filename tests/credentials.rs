//! Where credentials come from, in which order, and what becomes of them: against registrars of the
//! lab, which check every proof.
#![cfg(all(feature = "digest", feature = "keyring", feature = "ntlm"))]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use keyring_core::mock;
use sip_signin::auth::{
    Credentials, Identity, Mechanism, MechanismError, MechanismErrorKind, MechanismProvider,
    MechanismStep,
};
use sip_signin::lab::{Lab, Server};
use sip_signin::sign_in::{CredentialRequest, Mechanisms, SignInError};
use sip_signin::sip::Scheme;
use sip_signin::{
    CredentialSource, CredentialStore, FixedCredentials, KeyringStore, NoCredentials, Now, Random,
    SavePassword, SavedCredentials, SignInFailure, SignInFailureKind, SignedIn, SipAddress,
    StoreError, Verdict,
};

const RIGHT: &str = "Passw0rd!";
const WRONG: &str = "of last year";

fn address() -> SipAddress {
    "sip:jeremy@contoso.com".parse().unwrap()
}

fn credentials(password: &str) -> Credentials {
    Credentials::new(r"CONTOSO\jeremy".parse().unwrap(), password)
}

/// What happened, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A store in memory; a broken one keeps what it has.
#[derive(Clone)]
struct Memory {
    kept: Arc<Mutex<Option<Credentials>>>,
    broken: Arc<Mutex<bool>>,
    diary: Diary,
}

impl Memory {
    fn with(kept: Option<Credentials>, diary: &Diary) -> Self {
        let kept = Arc::new(Mutex::new(kept));
        Self { kept, broken: Arc::default(), diary: diary.clone() }
    }

    fn password(&self) -> Option<String> {
        self.kept.lock().unwrap().as_ref().map(|kept| kept.password.reveal().to_owned())
    }

    fn change(&self, to: Option<&Credentials>) -> Result<(), StoreError> {
        if *self.broken.lock().unwrap() {
            return Err(StoreError::new("locked"));
        }
        *self.kept.lock().unwrap() = to.map(|c| Credentials { save: false, ..c.clone() });
        Ok(())
    }
}

#[async_trait]
impl CredentialStore for Memory {
    async fn load(&self, address: &SipAddress) -> Result<Option<Credentials>, StoreError> {
        self.diary.note(format!("load {address}"));
        Ok(self.kept.lock().unwrap().clone())
    }

    async fn save(&self, _: &SipAddress, credentials: &Credentials) -> Result<(), StoreError> {
        self.diary.note("save");
        self.change(Some(credentials))
    }

    async fn forget(&self, _: &SipAddress) -> Result<(), StoreError> {
        self.diary.note("forget");
        self.change(None)
    }
}

/// Somebody at the keyboard, who types this and then knows nothing more.
struct Person {
    types: Mutex<Vec<Credentials>>,
    diary: Diary,
}

impl Person {
    fn typing<const N: usize>(types: [Credentials; N], diary: &Diary) -> Self {
        let types = types.into_iter().rev().collect();
        Self { types: Mutex::new(types), diary: diary.clone() }
    }
}

#[async_trait]
impl CredentialSource for Person {
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
        self.diary.note(format!("ask {:?} {}", request.reason, request.scheme));
        assert_eq!(request.address, address());
        assert_eq!(request.realm.raw(), "SIP Communications Service");
        assert_eq!(request.target.as_ref().unwrap().raw(), "sip.contoso.com");
        self.types.lock().unwrap().pop()
    }

    async fn judged(&self, _: &SipAddress, credentials: &Credentials, verdict: Verdict) {
        self.diary.note(format!("{verdict:?} {}", credentials.password.reveal()));
    }
}

/// A ticket of the user who is logged on, which the lab does not take.
struct Ticket(Diary);

impl MechanismProvider for Ticket {
    fn scheme(&self) -> Scheme {
        Scheme::Kerberos
    }

    fn takes(&self, identity: Identity<'_>) -> bool {
        matches!(identity, Identity::CurrentUser)
    }

    fn start(&self, _: &str, _: Identity<'_>) -> Result<Box<dyn Mechanism>, MechanismError> {
        self.0.note("ticket");
        Ok(Box::new(Self(self.0.clone())))
    }
}

impl Mechanism for Ticket {
    fn step(
        &mut self,
        _: Option<&[u8]>,
        _: Now,
        _: &dyn Random,
    ) -> Result<MechanismStep, MechanismError> {
        Ok(MechanismStep::Continue(b"ticket".to_vec()))
    }

    fn sign(&mut self, _: &[u8]) -> Result<Vec<u8>, MechanismError> {
        Err(MechanismErrorKind::NotReady.into())
    }

    fn verify(&mut self, _: &[u8], _: &[u8]) -> Result<(), MechanismError> {
        Err(MechanismErrorKind::NotReady.into())
    }
}

/// One sign-in at a registrar that offers Kerberos and NTLM; and how many proofs it was shown.
async fn sign_in(
    current_user: bool,
    source: &dyn CredentialSource,
    diary: &Diary,
) -> (Result<SignedIn, SignInFailure>, usize) {
    let server = Server::tls("sip.contoso.com");
    let lab = Lab::builder().domain("contoso.com").internal(server);
    let lab = lab.account(r"CONTOSO\jeremy", RIGHT, address().to_string()).start().await.unwrap();
    let mechanisms = Mechanisms::default().first(Ticket(diary.clone()));
    let client = lab.client().current_user(current_user).mechanisms(mechanisms).build();
    let outcome = client.sign_in(&address(), source).await;
    let heard: String =
        lab.seen().iter().map(|seen| String::from_utf8_lossy(&seen.sip).into_owned()).collect();
    // The last token of NTLM is the one that is signed.
    (outcome, heard.matches("Authorization: NTLM").count() / 2)
}

fn is_rejected(outcome: &Result<SignedIn, SignInFailure>) -> bool {
    let Err(failure) = outcome else { return false };
    matches!(failure.kind(), SignInFailureKind::SignIn(_, SignInError::Rejected(_)))
}

#[tokio::test]
async fn who_is_logged_on_then_what_is_saved_then_the_person() {
    let diary = Diary::default();
    let store = Memory::with(Some(credentials(WRONG)), &diary);
    let person = Person::typing([credentials(RIGHT).to_save()], &diary);
    let source = SavedCredentials::new(store.clone(), SavePassword::Allow).then(person);
    let (outcome, proofs) = sign_in(true, &source, &diary).await;
    outcome.unwrap();
    assert_eq!(
        diary.take(),
        [
            "ticket",
            "load sip:jeremy@contoso.com",
            // It is looked up once more, so that nothing newer is forgotten.
            "load sip:jeremy@contoso.com",
            "forget",
            &format!("Rejected {WRONG}"),
            "ask Rejected NTLM",
            "save",
            &format!("Accepted {RIGHT}"),
        ]
    );
    assert_eq!(proofs, 2, "each password was proved once");
    assert_eq!(store.password().unwrap(), RIGHT);

    // The next time nobody is asked; nor is the ticket, where the policy forbids it.
    sign_in(false, &source, &diary).await.0.unwrap();
    assert_eq!(diary.take(), ["load sip:jeremy@contoso.com", &format!("Accepted {RIGHT}")]);
}

#[tokio::test]
async fn only_what_was_accepted_is_saved_and_only_where_policy_and_person_agree() {
    for (policy, typed, saved) in [
        (SavePassword::Allow, credentials(RIGHT).to_save(), true),
        (SavePassword::Allow, credentials(RIGHT), false),
        (SavePassword::Forbid, credentials(RIGHT).to_save(), false),
        (SavePassword::Allow, credentials(WRONG).to_save(), false),
    ] {
        let diary = Diary::default();
        let store = Memory::with(None, &diary);
        let right = typed.password.reveal() == RIGHT;
        let source = SavedCredentials::new(store.clone(), policy)
            .then(Person::typing([typed.clone()], &diary));
        let (outcome, _) = sign_in(false, &source, &diary).await;
        assert_eq!(outcome.is_ok(), right, "{policy:?} {typed:?}");
        assert_eq!(store.password().is_some(), saved, "{policy:?} {typed:?}");
    }
    // Nor is what was saved used where saving is forbidden.
    let diary = Diary::default();
    let store = Memory::with(Some(credentials(RIGHT)), &diary);
    let source = SavedCredentials::new(store, SavePassword::Forbid).then(NoCredentials);
    let failure = sign_in(false, &source, &diary).await.0.unwrap_err();
    assert!(matches!(failure.kind(), SignInFailureKind::SignIn(_, SignInError::CredentialsNeeded)));
    assert!(diary.take().is_empty(), "the store is not even opened");
}

/// Otherwise a program that starts with the system would lock its user's account.
#[tokio::test]
async fn a_saved_password_that_was_rejected_is_never_sent_again() {
    let diary = Diary::default();
    let store = Memory::with(Some(credentials(WRONG)), &diary);
    let source = SavedCredentials::new(store.clone(), SavePassword::Allow);
    let (outcome, proofs) = sign_in(false, &source, &diary).await;
    assert!(is_rejected(&outcome));
    assert_eq!((proofs, store.password()), (1, None));
    assert_eq!(source.fault(), None);

    // Not even if the store cannot forget it.
    let store = Memory::with(Some(credentials(WRONG)), &diary);
    *store.broken.lock().unwrap() = true;
    let source = SavedCredentials::new(store.clone(), SavePassword::Allow);
    let mut proofs = 0;
    for _ in 0..5 {
        proofs += sign_in(false, &source, &diary).await.1;
    }
    assert_eq!((proofs, store.password().as_deref()), (1, Some(WRONG)));

    // What is newer than what was rejected is not forgotten.
    let store = Memory::with(Some(credentials("newer")), &diary);
    let source = SavedCredentials::new(store.clone(), SavePassword::Allow);
    source.judged(&address(), &credentials(WRONG), Verdict::Rejected).await;
    assert_eq!(store.password().as_deref(), Some("newer"));
}

#[tokio::test]
async fn a_store_that_cannot_forget_is_left_alone_in_the_end() {
    let diary = Diary::default();
    let store = Memory::with(None, &diary);
    *store.broken.lock().unwrap() = true;
    let source = SavedCredentials::new(store.clone(), SavePassword::Allow);
    for (stuck, given) in [(0..1023, true), (1022..1024, false)] {
        for number in stuck {
            let wrong = credentials(&format!("wrong {number}"));
            *store.kept.lock().unwrap() = Some(wrong.clone());
            source.judged(&address(), &wrong, Verdict::Rejected).await;
        }
        *store.kept.lock().unwrap() = Some(credentials(RIGHT));
        assert_eq!(sign_in(false, &source, &diary).await.0.is_ok(), given);
    }
}

#[tokio::test]
async fn a_store_that_fails_leaves_the_person_and_says_why() {
    struct Locked;
    #[async_trait]
    impl CredentialStore for Locked {
        async fn load(&self, _: &SipAddress) -> Result<Option<Credentials>, StoreError> {
            Err(StoreError::new("locked"))
        }
        async fn save(&self, _: &SipAddress, _: &Credentials) -> Result<(), StoreError> {
            Err(StoreError::new("locked"))
        }
        async fn forget(&self, _: &SipAddress) -> Result<(), StoreError> {
            Err(StoreError::new("locked"))
        }
    }
    let diary = Diary::default();
    let saved = Arc::new(SavedCredentials::new(Locked, SavePassword::Allow));
    let source = Arc::clone(&saved).then(Person::typing([credentials(RIGHT).to_save()], &diary));
    sign_in(false, &source, &diary).await.0.unwrap();
    assert_eq!(saved.fault(), Some(StoreError::new("locked")));
    assert_eq!(saved.fault().unwrap().to_string(), "the store of credentials: locked");
}

#[tokio::test]
async fn fixed_credentials_that_are_rejected_give_way_to_the_next_source() {
    let diary = Diary::default();
    let person = Person::typing([credentials(WRONG), credentials(RIGHT)], &diary);
    let source = FixedCredentials::new(credentials("fixed")).then(person);
    let (outcome, proofs) = sign_in(false, &source, &diary).await;
    outcome.unwrap();
    assert_eq!(proofs, 3);
    assert_eq!(
        diary.take(),
        [
            "Rejected fixed",
            "ask Rejected NTLM",
            &format!("Rejected {WRONG}"),
            "ask Rejected NTLM",
            &format!("Accepted {RIGHT}"),
        ]
    );
}

/// The one test that sets the store of the process.
#[tokio::test]
async fn the_keyring_keeps_an_account_with_its_password() {
    let keyring = KeyringStore::new("sip-signin");
    let fault = |result: Result<Option<Credentials>, StoreError>| result.unwrap_err().to_string();
    assert!(fault(keyring.load(&address()).await).contains("No default store"));

    keyring_core::set_default_store(mock::Store::new().unwrap());
    assert!(keyring.load(&address()).await.unwrap().is_none());
    keyring.forget(&address()).await.unwrap();
    for (account, password) in
        [(r"CONTOSO\jeremy", RIGHT), ("jérémie@contoso.com", "ü\n\u{1f511}\n"), ("jeremy", "")]
    {
        let credentials = Credentials::new(account.parse().unwrap(), password).to_save();
        keyring.save(&address(), &credentials).await.unwrap();
        let kept = keyring.load(&address()).await.unwrap().unwrap();
        assert!(kept.are(&credentials) && !kept.save, "{kept:?}");
        let other = "sip:vadim@contoso.com".parse().unwrap();
        assert!(keyring.load(&other).await.unwrap().is_none());
    }
    keyring.forget(&address()).await.unwrap();
    assert!(keyring.load(&address()).await.unwrap().is_none());

    // What somebody else put there is no account of ours, and is not shown.
    let entry = keyring_core::Entry::new("sip-signin", "jeremy@contoso.com").unwrap();
    for foreign in [&b"marker-secret"[..], b"a\\b\\c\nmarker-secret", b"\xff\nmarker-secret"] {
        entry.set_secret(foreign).unwrap();
        let shown = fault(keyring.load(&address()).await);
        assert!(shown.contains("not written by this library"), "{shown}");
        assert!(!shown.contains("marker"), "{shown}");
    }
    let mock: &mock::Cred = entry.as_any().downcast_ref().unwrap();
    mock.set_error(keyring_core::Error::BadEncoding(b"marker-secret".to_vec()));
    let shown = fault(keyring.load(&address()).await);
    assert!(shown.contains("cannot be read") && !shown.contains("marker"), "{shown}");
}
