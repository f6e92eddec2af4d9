//! Codes by mail: six digits from the operating system's random source, kept only as a keyed hash, good for minutes,
//! for a few tries, once. What a right code for a reset gives is a token for that alone: no session.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tracing::warn;

use super::Account;
use super::commands::{CheckOtp, IssueOtp};
use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::config;
use crate::error::{Code, Error, Result};
use crate::id::Ids;
use crate::mail::{Letter, Mailer};
use crate::random;
use crate::store::{Once, Store};
use crate::tasks::Tasks;
use crate::text;

/// Codes that are made at once; beyond it, requests are dropped, as a flood of them deserves.
const MAX_UNDER_WAY: usize = 64;

/// A wrong code is answered no sooner: a try that is counted is a write, and one for an address without an account is
/// not, which would tell which it was.
const WRONG_TAKES: Duration = Duration::from_millis(100);

/// What a code is for: one for the one is worth nothing for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// To set a new password.
    Reset,
    /// To prove an address.
    Verify,
}

impl Purpose {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Verify => "verify",
        }
    }
}

/// What allows to set a new password.
#[derive(Clone, Debug)]
pub enum Proof {
    /// What `verify-reset-otp` answered.
    Token(String),
    /// The code itself.
    Code(String),
}

/// Makes, sends and checks codes.
#[derive(Clone)]
pub struct Otps {
    store: Store,
    ids: Ids,
    mailer: Mailer,
    pepper: [u8; 32],
    code_good_for: Duration,
    reset_good_for: Duration,
    tries: u32,
    tasks: Tasks,
    under_way: Arc<Semaphore>,
}

impl Otps {
    pub(super) fn new(
        store: Store,
        ids: Ids,
        mailer: Mailer,
        pepper: [u8; 32],
        options: &config::Auth,
        tasks: Tasks,
    ) -> Self {
        Self {
            store,
            ids,
            mailer,
            pepper,
            code_good_for: Duration::from_secs(u64::from(options.otp_seconds)),
            reset_good_for: Duration::from_secs(u64::from(options.reset_seconds)),
            tries: options.otp_tries,
            tasks,
            under_way: Arc::new(Semaphore::new(MAX_UNDER_WAY)),
        }
    }

    /// How long a verified code allows the password to be set.
    pub fn reset_good_for(&self) -> Duration {
        self.reset_good_for
    }

    /// Sends a code to an address if it has an account. Done in the background, so that nobody learns from the time
    /// taken whether it has.
    pub fn request(&self, email: &str, purpose: Purpose) {
        let email_key = text::email_key(email);
        let Ok(permit) = Arc::clone(&self.under_way).try_acquire_owned() else {
            warn!("A code was not sent: too many are under way");
            return;
        };
        let this = self.clone();
        self.tasks.spawn("otp", async move {
            let _permit = permit;
            if let Err(error) = this.issue(email_key, purpose, None).await {
                warn!(error = %error, causes = error.causes(), "A code could not be sent");
            }
        });
    }

    /// Sends the code that proves one's own address. Who asks is known, and may wait for it.
    pub async fn request_verify(&self, actor: &Actor, account: &Account) -> Result<()> {
        // A repeat has no code to send: what is kept of the first one's is a hash.
        let asked_before = self.store.find_output::<IssueOtp>(actor.once.as_ref());
        if asked_before.await?.is_some() {
            return Ok(());
        }
        let permit = self.under_way.try_acquire();
        let _permit = permit.map_err(|_none| Code::Overloaded)?;
        let email_key = text::email_key(&account.email);
        self.issue(email_key, Purpose::Verify, actor.once.clone())
            .await
    }

    /// After a sign-up: asks for a proof of the address, where mail reaches it.
    pub(super) fn welcome(&self, account: &Account) {
        if self.mailer.is_by_smtp() {
            self.request(&account.email, Purpose::Verify);
        }
    }

    async fn issue(&self, email_key: String, purpose: Purpose, once: Option<Once>) -> Result<()> {
        let code = random::six_digits()?;
        let command = IssueOtp {
            code_hash: self.code_hash(&email_key, purpose, &code),
            email_key,
            purpose,
            tries: self.tries,
            expires_at: self.ids.now().plus(self.code_good_for),
        };
        if let Some(to) = self.store.submit_once(command, once).await? {
            self.mailer
                .send(letter(to, purpose, &code, self.code_good_for));
        }
        Ok(())
    }

    /// Checks the code for a reset; the token it gives.
    pub async fn check_reset(&self, email: &str, code: &str) -> Result<String> {
        let token = random::token()?;
        let expires_at = self.ids.now().plus(self.reset_good_for);
        let reset = Some((self.token_hash(&token), expires_at));
        self.check(text::email_key(email), Purpose::Reset, code, reset, None)
            .await?;
        Ok(token)
    }

    /// Checks the code that proves one's own address.
    pub async fn check_verify(&self, actor: &Actor, account: &Account, code: &str) -> Result<()> {
        self.check(
            text::email_key(&account.email),
            Purpose::Verify,
            code,
            None,
            actor.once.clone(),
        )
        .await
    }

    async fn check(
        &self,
        email_key: String,
        purpose: Purpose,
        code: &str,
        reset: Option<([u8; 32], Timestamp)>,
        once: Option<Once>,
    ) -> Result<()> {
        let answer_at = Instant::now() + WRONG_TAKES;
        let command = CheckOtp {
            code_hash: self.code_hash(&email_key, purpose, code),
            email_key,
            purpose,
            reset,
            at: self.ids.now(),
        };
        if self.store.submit_once(command, once).await? {
            return Ok(());
        }
        tokio::time::sleep_until(answer_at.into()).await;
        Err(Error::new(Code::InvalidOtp))
    }

    /// What is kept of a reset token.
    pub(super) fn token_hash(&self, token: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.pepper, token.as_bytes()).as_bytes()
    }

    fn code_hash(&self, email_key: &str, purpose: Purpose, code: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.pepper);
        for part in [email_key, purpose.as_str(), code] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

fn letter(to: String, purpose: Purpose, code: &str, good_for: Duration) -> Letter {
    let minutes = good_for.as_secs().div_ceil(60);
    let (subject, what) = match purpose {
        Purpose::Reset => ("Reset your password", "set a new password"),
        Purpose::Verify => ("Confirm your e-mail address", "confirm your e-mail address"),
    };
    let text = format!(
        "Hello,\n\nuse this code to {what}:\n\n    {code}\n\nIt is good for {minutes} minutes. If you did not ask for \
         it,\nyou can ignore this message: nobody can use the code without it.\n"
    );
    Letter {
        to,
        subject: subject.to_owned(),
        text,
    }
}
