//! The schema: numbered migrations from `migrations/`, applied in one transaction, a backup made before.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

/// The migrations in order; once released they only grow in number.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_store.sql"),
    include_str!("../../migrations/0002_users.sql"),
    include_str!("../../migrations/0003_auth.sql"),
    include_str!("../../migrations/0004_posts.sql"),
    include_str!("../../migrations/0005_notifications.sql"),
    include_str!("../../migrations/0006_media.sql"),
    include_str!("../../migrations/0007_conversions.sql"),
    include_str!("../../migrations/0008_chat.sql"),
    include_str!("../../migrations/0009_relations.sql"),
    include_str!("../../migrations/0010_feed.sql"),
    include_str!("../../migrations/0011_stories.sql"),
    include_str!("../../migrations/0012_discovery.sql"),
    include_str!("../../migrations/0013_assist.sql"),
    include_str!("../../migrations/0014_search.sql"),
    include_str!("../../migrations/0015_erasures.sql"),
];

/// The schema version that this program writes.
pub const SCHEMA_VERSION: usize = MIGRATIONS.len();

/// What happened to the schema on opening.
#[derive(Debug)]
pub struct Migrated {
    /// The version found; 0 for a new database.
    pub from: usize,
    /// The version now.
    pub to: usize,
    /// The copy that was made of an older database.
    pub backup: Option<PathBuf>,
}

/// Why the schema could not be brought up to date. The database is as it was.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A later release has been here.
    #[error(
        "the database was written by a newer SocialHub: its schema is version {found}, this program knows {SCHEMA_VERSION}; install the newer release, or restore the backup made before the upgrade"
    )]
    Newer {
        /// The schema version found.
        found: usize,
    },
    /// The copy of the database could not be made, so nothing was changed.
    #[error("cannot back the database up to {} before the migration", path.display())]
    Backup {
        /// Where the copy should have gone.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The copy's file could not be made or brought to the disk, so nothing was changed.
    #[error("cannot write the backup {} before the migration", path.display())]
    BackupFile {
        /// Where the copy should have gone.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A migration failed and was undone.
    #[error("a migration failed; the database is unchanged")]
    Failed(#[from] rusqlite_migration::Error),
    /// The version could not be read.
    #[error("cannot read the schema's version")]
    Version(#[from] rusqlite::Error),
}

pub(super) fn migrate(connection: &mut Connection, dir: &Path) -> Result<Migrated, MigrateError> {
    let from: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if from > SCHEMA_VERSION {
        return Err(MigrateError::Newer { found: from });
    }
    let backup = if from > 0 && from < SCHEMA_VERSION {
        Some(back_up(connection, dir, from)?)
    } else {
        None
    };
    Migrations::new(
        MIGRATIONS
            .iter()
            .map(|sql| M::up(sql).foreign_key_check())
            .collect(),
    )
    .to_latest(connection)?;
    Ok(Migrated {
        from,
        to: SCHEMA_VERSION,
        backup,
    })
}

/// Copies the database, whole and consistent, to a file that names its version, for its owner alone. The copy is on the
/// disk when this returns: the migration must not get there first.
fn back_up(connection: &Connection, dir: &Path, version: usize) -> Result<PathBuf, MigrateError> {
    let path = dir.join(format!("before-migration-from-{version}.db"));
    let failed = |source| MigrateError::BackupFile {
        path: path.clone(),
        source,
    };
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // SQLite would make it with the mode that the umask leaves.
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    if let Err(source) = connection.backup("main", &path, None) {
        return Err(MigrateError::Backup { path, source });
    }
    file.sync_all()
        .and_then(|()| File::open(dir)?.sync_all())
        .map_err(failed)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_are_sound() {
        Migrations::new(MIGRATIONS.iter().map(|sql| M::up(sql)).collect())
            .validate()
            .unwrap();
    }
}
