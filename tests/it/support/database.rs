//! The database as SQLite itself reads it, without the store: for what a test checks beneath the surface.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use socialhub::store;

/// Every row of every table, in the order of its key.
pub(crate) type Tables = BTreeMap<String, Vec<Vec<Value>>>;

/// A connection to the database in a data directory, for reading.
pub(crate) fn connect(data_dir: &Path) -> Connection {
    open(data_dir, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// A connection that may write what no command would.
pub(crate) fn connect_to_write(data_dir: &Path) -> Connection {
    open(
        data_dir,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "a witness that owes nothing to the store"
)]
fn open(data_dir: &Path, flags: OpenFlags) -> Connection {
    Connection::open_with_flags(
        data_dir.join(store::FILE),
        flags | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .unwrap()
}

/// All that the database in a data directory holds, tables of SQLite's own included.
pub(crate) fn tables(data_dir: &Path) -> Tables {
    let connection = connect(data_dir);
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' UNION SELECT 'sqlite_schema'";
    strings(&connection, names)
        .into_iter()
        .map(|name| {
            let rows = rows(&connection, &format!("SELECT * FROM \"{name}\""));
            (name, rows)
        })
        .collect()
}

/// What a statement answers.
pub(crate) fn rows(connection: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare(sql).unwrap();
    let width = statement.column_count();
    statement
        .query_map([], |row| (0..width).map(|column| row.get(column)).collect())
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap()
}

/// The first column of what a statement answers.
pub(crate) fn strings(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap()
}

/// Fails unless SQLite finds the file whole and every reference answered.
#[track_caller]
pub(crate) fn assert_sound(connection: &Connection) {
    assert_eq!(strings(connection, "PRAGMA integrity_check"), ["ok"]);
    assert_eq!(
        rows(connection, "PRAGMA foreign_key_check"),
        Vec::<Vec<Value>>::new()
    );
}

/// The one text that a query finds.
pub(crate) fn text(connection: &Connection, query: &str) -> String {
    connection.query_row(query, [], |row| row.get(0)).unwrap()
}

/// Holds the lock that the server's writer needs, until it is dropped.
pub(crate) struct Hold {
    connection: Connection,
}

impl Hold {
    pub(crate) fn new(data_dir: &Path) -> Self {
        let connection = connect_to_write(data_dir);
        connection
            .busy_timeout(super::PATIENCE)
            .and_then(|()| connection.execute_batch("BEGIN IMMEDIATE"))
            .unwrap();
        Self { connection }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.connection.execute_batch("ROLLBACK").unwrap();
    }
}
