//! The data directory: made on first start, one process at a time, secrets inside.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::random;

/// The file that holds the lock and the process id of its holder.
const LOCK_FILE: &str = "socialhub.lock";
/// How long another process may take to let go of the directory.
const PATIENCE: Duration = Duration::from_millis(500);
/// The file of generated secrets.
const SECRETS_FILE: &str = "secrets.toml";

/// The directory while this process owns it; dropping it gives it up.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Secrets made on first start. Whoever has them can sign in as anybody.
pub struct Secrets {
    /// Signs tokens, unless one is configured.
    pub jwt: Zeroizing<Vec<u8>>,
    /// Keys the hashes of short codes, which alone could be found by trying.
    pub pepper: Zeroizing<[u8; 32]>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretsFile {
    jwt_secret: Zeroizing<String>,
    pepper: Zeroizing<String>,
}

impl DataDir {
    /// Makes the directory if need be and locks it. Blocks, for a moment also while another process gives it up.
    pub fn open(path: &Path) -> Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the data directory {}", path.display()))?;
        let path = path
            .canonicalize()
            .with_context(|| format!("cannot find {}", path.display()))?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the secrets, or makes them.
    pub fn secrets(&self) -> Result<Secrets> {
        let path = self.path.join(SECRETS_FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let file = SecretsFile {
                    jwt_secret: Zeroizing::new(STANDARD.encode(random::bytes::<32>()?)),
                    pepper: Zeroizing::new(STANDARD.encode(random::bytes::<32>()?)),
                };
                let text = Zeroizing::new(format!(
                    "# Made on first start. Keep it secret, and keep it with your backups.\n{}",
                    toml::to_string(&file)?
                ));
                write_private(&path, text.as_bytes())?;
                text
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        // The parser's error would quote the file.
        let file: SecretsFile = toml::from_str(&text).map_err(|_secret| {
            anyhow::anyhow!("{} is damaged: restore it from a backup", path.display())
        })?;
        let pepper = Zeroizing::new(STANDARD.decode(file.pepper.as_bytes())?);
        Ok(Secrets {
            jwt: Zeroizing::new(file.jwt_secret.as_bytes().to_vec()),
            pepper: Zeroizing::new(
                pepper
                    .as_slice()
                    .try_into()
                    .with_context(|| format!("the pepper in {} is not 32 bytes", path.display()))?,
            ),
        })
    }
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match lock_patiently(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let pid = std::fs::read_to_string(&path)?;
            bail!(
                "the data directory {} is in use by another SocialHub, process {}",
                dir.display(),
                pid.trim()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    file.sync_all()?;
    Ok(file)
}

/// Tries for a moment: a process that has just ended may have begun another one, which lets go of the lock when it turns
/// into its own program.
#[expect(clippy::disallowed_methods, reason = "on a thread for what blocks")]
fn lock_patiently(file: &File) -> Result<(), TryLockError> {
    let tried = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if tried.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            locked => return locked,
        }
    }
}

/// Writes a file that only its owner can read, whole or not at all.
pub fn write_private(path: &Path, contents: &[u8]) -> Result<()> {
    let dir = path.parent().context("a file stands in a directory")?;
    let mut name = path.file_name().context("a file has a name")?.to_owned();
    name.push(".new");
    let new = dir.join(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .with_context(|| format!("cannot write {}", new.display()))?;
    file.write_all(contents)?;
    file.sync_all()?;
    std::fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))?;
    File::open(dir)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secrets_are_made_once_and_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        let first = data.secrets().unwrap();
        let again = data.secrets().unwrap();
        assert_eq!((&first.jwt, &first.pepper), (&again.jwt, &again.pepper));
        let mode = std::fs::metadata(data.path().join(SECRETS_FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_second_process_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        let refused = DataDir::open(dir.path()).unwrap_err().to_string();
        assert!(
            refused.contains(&std::process::id().to_string()),
            "{refused}"
        );
        drop(first);
        DataDir::open(dir.path()).unwrap();
    }
}
