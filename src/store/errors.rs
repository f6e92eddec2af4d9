//! What an error of SQLite means to a caller.

use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE, SQLITE_IOERR_SHMSIZE};

use crate::error::{Code, Error};

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let code = match error.sqlite_error_code() {
            // The index of the log beside the database had no room to grow: SQLite has no code of its own for that.
            _ if extended_code(&error) == Some(SQLITE_IOERR_SHMSIZE) => Code::StorageFull,
            Some(ErrorCode::DiskFull) => Code::StorageFull,
            Some(ErrorCode::OperationInterrupted) => Code::TimedOut,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Code::Overloaded,
            _ => Code::Internal,
        };
        Self::new(code).with_source(error)
    }
}

fn extended_code(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|failure| failure.extended_code)
}

/// Whether a UNIQUE constraint or index over this column (`table.column`) refused the row. Turning that into a conflict
/// needs no question asked before, and cannot race.
pub fn is_unique_violation(error: &Error, column: &str) -> bool {
    use std::error::Error as _;
    let Some(rusqlite::Error::SqliteFailure(failure, Some(text))) =
        error.source().and_then(|source| source.downcast_ref())
    else {
        return false;
    };
    matches!(
        failure.extended_code,
        SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY
    ) && text.split([' ', ',']).any(|word| word == column)
}
