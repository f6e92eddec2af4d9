//! A directory of this machine: where contents are kept, or what is remembered of a bucket.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::backend::{Backend, Key, Listed, Opened, place};
use super::{BlobHash, io};
use crate::error::Result;
use crate::tasks::{blocking, blocking_in_turn};

#[derive(Clone, Debug)]
pub(super) struct Directory {
    root: Arc<Path>,
}

/// A file that may be had again from elsewhere.
#[derive(Debug)]
pub(super) struct Replaceable {
    pub(super) path: PathBuf,
    pub(super) hash: BlobHash,
    /// None for what can be made again at once.
    pub(super) key: Option<Key>,
    pub(super) size_bytes: u64,
    /// When it was last read, as far as the file system notes that.
    pub(super) used: SystemTime,
}

impl Directory {
    /// Makes it if need be, and throws away what was under way there. Blocks.
    pub(super) fn open(root: &Path) -> std::io::Result<Self> {
        let incoming = root.join("incoming");
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        for part in ["incoming", "originals", "made", "variants", "uploads"] {
            make_dir(&root.join(part))?;
        }
        Ok(Self { root: root.into() })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.path())
    }

    pub(super) fn variants(&self, hash: BlobHash) -> PathBuf {
        self.root.join("variants").join(place(hash))
    }

    /// The files of all variants of one content. Blocks.
    pub(super) fn variants_of(&self, hash: BlobHash) -> Vec<PathBuf> {
        let mut found = Vec::new();
        each_file(&self.variants(hash), &mut |path, _| {
            found.push(path.to_owned());
        });
        found
    }

    /// Puts a file of this file system to its place, and to the disk. Blocks.
    pub(super) fn adopt(&self, key: &Key, file: &Path) -> std::io::Result<()> {
        let path = self.path(key);
        let dir = path.parent().unwrap_or(&self.root);
        let new: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
        make_dir(dir)?;
        File::open(file)?.sync_all()?;
        fs::rename(file, &path)?;
        sync_dir(dir)?;
        // Those above know of a new one only then.
        for above in new.iter().filter_map(|dir| dir.parent()) {
            sync_dir(above)?;
        }
        Ok(())
    }

    /// Brings the name of something that is there to the disk, and the names above it. Blocks.
    pub(super) fn sync(&self, key: &Key) -> std::io::Result<()> {
        let path = self.path(key);
        let above = path.ancestors().skip(1);
        for dir in above.take_while(|dir| dir.starts_with(&self.root)) {
            sync_dir(dir)?;
        }
        Ok(())
    }

    /// Opens what is there. Blocks.
    pub(super) fn open_here(&self, key: &Key) -> std::io::Result<Option<Opened>> {
        open_file(&self.path(key))
    }

    /// What there is of one content. Blocks.
    pub(super) fn parts(&self, hash: BlobHash) -> Vec<Listed> {
        let original = self.root.join("originals").join(place(hash));
        let mut found = Vec::new();
        self.walk(&original, &mut found);
        self.walk(&self.root.join("made").join(place(hash)), &mut found);
        found
    }

    /// The files of a share that may be had again. Blocks.
    pub(super) fn replaceable(&self, share: u8) -> Vec<Replaceable> {
        let mut found = Vec::new();
        for kind in ["originals", "made", "variants"] {
            let dir = self.root.join(kind).join(format!("{share:02x}"));
            each_file(&dir, &mut |path, data| {
                let Some(relative) = self.relative(path) else {
                    return;
                };
                let key = Key::parse(relative);
                let hash = match &key {
                    Some(key) => key.hash,
                    None => match relative.split('/').nth(3).and_then(BlobHash::from_hex) {
                        Some(hash) if kind == "variants" => hash,
                        _ => return,
                    },
                };
                let times = [data.accessed(), data.modified()];
                let used = times.into_iter().flatten().max();
                found.push(Replaceable {
                    path: path.to_owned(),
                    hash,
                    key,
                    size_bytes: data.len(),
                    used: used.unwrap_or(SystemTime::UNIX_EPOCH),
                });
            });
        }
        found
    }

    fn relative<'a>(&self, path: &'a Path) -> Option<&'a str> {
        path.strip_prefix(&*self.root).ok()?.to_str()
    }

    fn walk(&self, path: &Path, found: &mut Vec<Listed>) {
        each_file(path, &mut |path, data| {
            if let Some(key) = self.relative(path).and_then(Key::parse) {
                found.push(Listed {
                    key,
                    size_bytes: data.len(),
                    modified: data.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                });
            }
        });
    }
}

impl Backend for Directory {
    fn name(&self) -> &'static str {
        "the disk"
    }

    fn put<'a>(&'a self, key: &'a Key, file: &'a Path) -> BoxFuture<'a, Result<()>> {
        let (this, key, file) = (self.clone(), key.clone(), file.to_owned());
        blocking_in_turn(move || this.adopt(&key, &file).map_err(io)).boxed()
    }

    fn fetch<'a>(&'a self, key: &'a Key, file: &'a Path) -> BoxFuture<'a, Result<bool>> {
        let (from, to) = (self.path(key), file.to_owned());
        let link = move || match fs::hard_link(from, to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io(error)),
        };
        blocking_in_turn(link).boxed()
    }

    fn open<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Opened>>> {
        let (this, key) = (self.clone(), key.clone());
        blocking(move || this.open_here(&key).map_err(io)).boxed()
    }

    fn remove(&self, hash: BlobHash) -> BoxFuture<'_, Result<()>> {
        let this = self.clone();
        let remove = move || {
            let original = this.root.join("originals").join(place(hash));
            // The original last: a crash between leaves something to be found by.
            for result in [
                fs::remove_dir_all(this.variants(hash)),
                fs::remove_dir_all(this.root.join("made").join(place(hash))),
                fs::remove_file(original),
            ] {
                match result {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
                    Ok(()) | Err(_) => {}
                }
            }
            Ok(())
        };
        blocking_in_turn(remove).boxed()
    }

    fn list(&self, share: u8) -> BoxFuture<'_, Result<Vec<Listed>>> {
        let this = self.clone();
        let list = move || {
            let mut found = Vec::new();
            for kind in ["originals", "made"] {
                let dir = this.root.join(kind).join(format!("{share:02x}"));
                this.walk(&dir, &mut found);
            }
            Ok(found)
        };
        blocking_in_turn(list).boxed()
    }
}

/// Opens a file; none when it is not there. Blocks.
pub(super) fn open_file(path: &Path) -> std::io::Result<Option<Opened>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let size_bytes = file.metadata()?.len();
    let file = Arc::new(file);
    Ok(Some(Opened::File { file, size_bytes }))
}

/// Calls `each` for every file at or below a path; what goes away meanwhile is not there.
fn each_file(path: &Path, each: &mut impl FnMut(&Path, &fs::Metadata)) {
    let Ok(data) = fs::symlink_metadata(path) else {
        return;
    };
    if data.is_file() {
        each(path, &data);
    } else if data.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            each_file(&entry.path(), each);
        }
    }
}

pub(super) fn make_dir(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(super) fn sync_dir(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}
