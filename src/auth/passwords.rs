//! Password hashing on threads of its own: as many as there are cores, at low priority, so that a storm of log-ins
//! delays log-ins and nothing else.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use argon2::password_hash::phc::{Ident, Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use metrics::{counter, histogram};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::config;
use crate::error::{Code, Error, FieldError, Result};
use crate::random;

/// The shortest password, in characters.
pub(super) const MIN_CHARS: usize = 8;
/// The longest password, in characters.
pub(super) const MAX_CHARS: usize = 256;

/// How long a thread keeps its working memory (19 MiB by default) after the last password.
const KEEP_MEMORY: Duration = Duration::from_secs(3);

static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("../../assets/auth/common-passwords.txt")
        .lines()
        .collect()
});

/// Checks a new password: long enough, and not among the commonly leaked, in any case.
pub(super) fn check(field: &'static str, password: &str) -> Result<(), FieldError> {
    let chars = password.chars().take(MAX_CHARS + 1).count();
    if chars == 0 {
        return Err(FieldError::new(
            field,
            "required",
            format!("{field} must not be empty."),
        ));
    }
    if chars < MIN_CHARS {
        return Err(FieldError::new(
            field,
            "too_short",
            format!("{field} needs at least {MIN_CHARS} characters."),
        ));
    }
    if chars > MAX_CHARS {
        return Err(FieldError::new(
            field,
            "too_long",
            format!("{field} may have at most {MAX_CHARS} characters."),
        ));
    }
    if COMMON.contains(password.to_lowercase().as_str()) {
        return Err(FieldError::new(
            field,
            "password_leaked",
            "This password is among those that attackers try first. Please take another.",
        ));
    }
    Ok(())
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the password is right.
    pub is_right: bool,
    /// Whether the stored hash is weaker than those made today.
    pub is_outdated: bool,
}

/// The pool; cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    queue: Sender<Job>,
    /// A hash of nobody's password, compared with when there is no such person, so that both cases take the same time.
    nobody: String,
}

enum Job {
    Hash(Zeroizing<String>, oneshot::Sender<Result<String>>),
    Verify(Zeroizing<String>, String, oneshot::Sender<Result<Verdict>>),
}

impl Passwords {
    /// Starts the threads.
    pub fn start(options: &config::Auth) -> Result<Self> {
        let params = Params::new(options.argon2_memory_kib, options.argon2_passes, 1, None)
            .map_err(|error| Error::internal(error.to_string()))?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = if options.hash_threads == 0 {
            cores
        } else {
            options.hash_threads as usize
        };
        let (queue, jobs) = crossbeam_channel::bounded(options.hash_queue_capacity as usize);
        for number in 0..threads {
            let mut worker = Worker {
                params: params.clone(),
                memory: Vec::new(),
            };
            let jobs = jobs.clone();
            std::thread::Builder::new()
                .name(format!("password-{number}"))
                .spawn(move || worker.run(&jobs))
                .map_err(Error::internal)?;
        }
        let nobody = phc(&params, &random::bytes()?, &random::bytes::<32>()?)?;
        Ok(Self { queue, nobody })
    }

    /// The hash to store for a password, as a PHC string.
    pub async fn hash(&self, password: &str) -> Result<String> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(Job::Hash(Zeroizing::new(password.to_owned()), reply))?;
        answer.await.map_err(Error::internal)?
    }

    /// Compares a password with a stored hash; without one it takes as long and is wrong.
    pub async fn verify(&self, password: &str, stored: Option<String>) -> Result<Verdict> {
        let (reply, answer) = oneshot::channel();
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.clone());
        self.enqueue(Job::Verify(
            Zeroizing::new(password.to_owned()),
            stored,
            reply,
        ))?;
        let verdict = answer.await.map_err(Error::internal)??;
        Ok(Verdict {
            is_right: verdict.is_right && known,
            ..verdict
        })
    }

    fn enqueue(&self, job: Job) -> Result<()> {
        self.queue.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => {
                counter!("socialhub_passwords_refused_total").increment(1);
                Error::new(Code::Overloaded).with_retry_after(2)
            }
            TrySendError::Disconnected(_) => Error::internal("the password threads are gone"),
        })
    }
}

struct Worker {
    params: Params,
    /// Kept between passwords: to get and clear it anew costs a tenth of a hash.
    memory: Vec<Block>,
}

impl Worker {
    fn run(&mut self, jobs: &Receiver<Job>) {
        // On Linux this concerns the calling thread alone. Refused only where a sandbox forbids it; then it is no nicer.
        rustix::process::nice(10).ok();
        loop {
            match jobs.recv_timeout(KEEP_MEMORY) {
                Ok(job) => self.handle(job),
                Err(RecvTimeoutError::Timeout) => {
                    self.memory = Vec::new();
                    match jobs.recv() {
                        Ok(job) => self.handle(job),
                        Err(_closed) => return,
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn handle(&mut self, job: Job) {
        let started = std::time::Instant::now();
        // Whoever asked may have gone away; a password that nobody waits for is not hashed.
        match job {
            Job::Hash(password, reply) if !reply.is_closed() => {
                drop(reply.send(self.hash(&password)));
            }
            Job::Verify(password, stored, reply) if !reply.is_closed() => {
                drop(reply.send(self.verify(&password, &stored)));
            }
            Job::Hash(..) | Job::Verify(..) => return,
        }
        histogram!("socialhub_password_seconds").record(started.elapsed());
    }

    fn hash(&mut self, password: &str) -> Result<String> {
        let salt = random::bytes::<16>()?;
        let params = self.params.clone();
        let output = self.argon2(
            Algorithm::Argon2id,
            Version::V0x13,
            &params,
            password,
            &salt,
            32,
        )?;
        phc(&params, &salt, &output)
    }

    fn verify(&mut self, password: &str, stored: &str) -> Result<Verdict> {
        if stored.starts_with("$2") {
            // bcrypt reads no more than 72 bytes of a password; so did the original, whose hashes these are.
            let is_right = bcrypt::verify(password, stored).map_err(Error::internal)?;
            return Ok(Verdict {
                is_right,
                is_outdated: true,
            });
        }
        let broken =
            |text: &str| Error::internal(format!("a stored password hash is broken: {text}"));
        let parsed = PasswordHash::new(stored).map_err(|error| broken(&error.to_string()))?;
        let (Some(salt), Some(hash)) = (parsed.salt, parsed.hash) else {
            return Err(broken("no salt or no hash"));
        };
        let algorithm = Algorithm::new(parsed.algorithm.as_str())
            .map_err(|error| broken(&error.to_string()))?;
        let version = match parsed.version {
            Some(version) => {
                Version::try_from(version).map_err(|error| broken(&error.to_string()))?
            }
            None => Version::V0x13,
        };
        let params = Params::try_from(&parsed).map_err(|error| broken(&error.to_string()))?;
        let output = self.argon2(algorithm, version, &params, password, &salt, hash.len())?;
        let is_outdated = algorithm != Algorithm::Argon2id
            || params.m_cost() < self.params.m_cost()
            || params.t_cost() < self.params.t_cost();
        // Output compares in constant time.
        let is_right = Output::new(&output).is_ok_and(|output| output == hash);
        Ok(Verdict {
            is_right,
            is_outdated,
        })
    }

    fn argon2(
        &mut self,
        algorithm: Algorithm,
        version: Version,
        params: &Params,
        password: &str,
        salt: &[u8],
        output_len: usize,
    ) -> Result<Vec<u8>> {
        let blocks = params.block_count();
        if self.memory.len() < blocks {
            self.memory.resize(blocks, Block::default());
        }
        let memory = self.memory.get_mut(..blocks).unwrap_or_default();
        let mut output = vec![0; output_len];
        Argon2::new(algorithm, version, params.clone())
            .hash_password_into_with_memory(password.as_bytes(), salt, &mut output, memory)
            .map_err(|error| Error::internal(error.to_string()))?;
        Ok(output)
    }
}

/// The PHC string of an argon2id hash.
fn phc(params: &Params, salt: &[u8; 16], output: &[u8]) -> Result<String> {
    let invalid = |error: argon2::password_hash::phc::Error| Error::internal(error.to_string());
    let hash = PasswordHash {
        algorithm: Ident::new("argon2id").map_err(invalid)?,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params)
            .map_err(|error| Error::internal(error.to_string()))?,
        salt: Some(Salt::new(salt).map_err(invalid)?),
        hash: Some(Output::new(output).map_err(invalid)?),
    };
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick() -> config::Auth {
        config::Auth {
            argon2_memory_kib: 64,
            argon2_passes: 1,
            ..config::Auth::default()
        }
    }

    #[tokio::test]
    async fn hashes_verify_and_know_when_they_are_outdated() {
        let passwords = Passwords::start(&quick()).unwrap();
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        let right = passwords
            .verify("correct horse", Some(hash.clone()))
            .await
            .unwrap();
        assert_eq!(
            right,
            Verdict {
                is_right: true,
                is_outdated: false
            }
        );
        assert!(
            !passwords
                .verify("wrong horse", Some(hash.clone()))
                .await
                .unwrap()
                .is_right
        );
        assert!(
            !passwords
                .verify("correct horse", None)
                .await
                .unwrap()
                .is_right
        );

        let stronger = Passwords::start(&config::Auth {
            argon2_passes: 2,
            ..quick()
        })
        .unwrap();
        let verdict = stronger.verify("correct horse", Some(hash)).await.unwrap();
        assert_eq!(
            verdict,
            Verdict {
                is_right: true,
                is_outdated: true
            }
        );
    }

    #[tokio::test]
    async fn the_hash_is_what_the_field_understands() {
        use argon2::password_hash::PasswordVerifier;
        let passwords = Passwords::start(&quick()).unwrap();
        let hash = passwords.hash("correct horse").await.unwrap();
        let parsed = PasswordHash::new(&hash).unwrap();
        assert!(
            Argon2::default()
                .verify_password(b"correct horse", &parsed)
                .is_ok()
        );
    }

    #[tokio::test]
    async fn the_originals_bcrypt_hashes_verify() {
        let passwords = Passwords::start(&quick()).unwrap();
        for prefix in ["$2a$", "$2b$"] {
            let hash = bcrypt::hash("Password123!", 4)
                .unwrap()
                .replacen("$2b$", prefix, 1);
            let verdict = passwords
                .verify("Password123!", Some(hash.clone()))
                .await
                .unwrap();
            assert_eq!(
                verdict,
                Verdict {
                    is_right: true,
                    is_outdated: true
                }
            );
            assert!(
                !passwords
                    .verify("password123!", Some(hash))
                    .await
                    .unwrap()
                    .is_right
            );
        }
    }

    #[test]
    fn leaked_and_short_passwords_are_refused() {
        for good in [
            "Password123!",
            "SecurePass123!",
            "correct horse",
            "пароль с пробелами",
        ] {
            assert!(check("password", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "1234567",
            "password",
            "PassWord",
            "12345678",
            "iloveyou",
            &"x".repeat(257),
        ] {
            assert!(check("password", bad).is_err(), "{bad}");
        }
    }
}
