//! The statements over `credentials`, `sessions`, `otps` and `password_resets`.

use rusqlite::{Row, named_params};

use super::{Account, Purpose, Session, SessionStart};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::UserStatus;
use crate::id::{SessionId, UserId};
use crate::page::Page;
use crate::store::{ReadTx, WriteTx};

/// Somebody's account with what proves it is them.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) account: Account,
    pub(super) password_hash: String,
    pub(super) status: UserStatus,
}

const ACCOUNT: &str =
    "u.id, u.name, u.username, u.role, u.status, c.email, c.is_verified, c.password_hash";

fn credentials(row: &Row<'_>) -> rusqlite::Result<Credentials> {
    Ok(Credentials {
        account: Account {
            id: row.get("id")?,
            name: row.get("name")?,
            email: row.get("email")?,
            username: row.get("username")?,
            is_verified: row.get("is_verified")?,
            role: row.get("role")?,
        },
        password_hash: row.get("password_hash")?,
        status: row.get("status")?,
    })
}

pub(super) fn find(tx: &ReadTx<'_>, id: UserId) -> Result<Option<Credentials>> {
    tx.optional(
        &format!(
            "SELECT {ACCOUNT}
             FROM credentials AS c
             JOIN users AS u ON u.id = c.user_id
             WHERE c.user_id = :id"
        ),
        named_params! { ":id": id },
        credentials,
    )
}

/// Whether anybody still has a hash that was imported.
pub(super) fn has_imported_hashes(tx: &ReadTx<'_>) -> Result<bool> {
    tx.exists(
        "SELECT 1
         FROM credentials
         WHERE password_hash GLOB '$2*'",
        [],
    )
}

pub(super) fn find_by_email_key(tx: &ReadTx<'_>, key: &str) -> Result<Option<Credentials>> {
    tx.optional(
        &format!(
            "SELECT {ACCOUNT}
             FROM credentials AS c
             JOIN users AS u ON u.id = c.user_id
             WHERE c.email_key = :key"
        ),
        named_params! { ":key": key },
        credentials,
    )
}

pub(super) fn find_by_username_key(tx: &ReadTx<'_>, key: &str) -> Result<Option<Credentials>> {
    tx.optional(
        &format!(
            "SELECT {ACCOUNT}
             FROM users AS u
             JOIN credentials AS c ON c.user_id = u.id
             WHERE u.username_key = :key"
        ),
        named_params! { ":key": key },
        credentials,
    )
}

/// Writes credentials; a taken e-mail address is a UNIQUE violation.
pub(super) fn insert(
    tx: &WriteTx<'_>,
    id: UserId,
    email: &str,
    email_key: &str,
    password_hash: &str,
) -> Result<()> {
    tx.execute(
        "INSERT INTO credentials (user_id, email, email_key, password_hash, is_verified)
         VALUES (:id, :email, :email_key, :password_hash, 0)",
        named_params! { ":id": id, ":email": email, ":email_key": email_key, ":password_hash": password_hash },
    )?;
    Ok(())
}

pub(super) fn set_password(tx: &WriteTx<'_>, id: UserId, password_hash: &str) -> Result<()> {
    tx.execute(
        "UPDATE credentials SET password_hash = :password_hash WHERE user_id = :id",
        named_params! { ":id": id, ":password_hash": password_hash },
    )?;
    Ok(())
}

/// Replaces a hash by a stronger one of the same password, unless the password was changed meanwhile.
pub(super) fn upgrade_password(tx: &WriteTx<'_>, id: UserId, old: &str, new: &str) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE credentials SET password_hash = :new WHERE user_id = :id AND password_hash = :old",
        named_params! { ":id": id, ":old": old, ":new": new },
    )?;
    Ok(changed > 0)
}

/// Marks the address as proven; false when it was already.
pub(super) fn set_verified(tx: &WriteTx<'_>, id: UserId) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE credentials SET is_verified = 1 WHERE user_id = :id AND is_verified = 0",
        named_params! { ":id": id },
    )?;
    Ok(changed > 0)
}

/// Gives an address free, and with it the account's way in.
pub(super) fn delete_credentials(tx: &WriteTx<'_>, id: UserId) -> Result<()> {
    tx.execute(
        "DELETE FROM credentials WHERE user_id = :id",
        named_params! { ":id": id },
    )?;
    Ok(())
}

pub(super) fn insert_session(
    tx: &WriteTx<'_>,
    user_id: UserId,
    session: &SessionStart,
) -> Result<()> {
    tx.execute(
        "INSERT INTO sessions (id, user_id, created_at, expires_at, user_agent, ip)
         VALUES (:id, :user_id, :created_at, :expires_at, :user_agent, :ip)",
        named_params! {
            ":id": session.id, ":user_id": user_id, ":created_at": session.at, ":expires_at": session.expires_at,
            ":user_agent": session.user_agent, ":ip": session.ip,
        },
    )?;
    Ok(())
}

/// The oldest sessions of somebody beyond the newest `keep`.
pub(super) fn sessions_beyond(
    tx: &ReadTx<'_>,
    user_id: UserId,
    keep: u32,
) -> Result<Vec<SessionId>> {
    tx.all(
        "SELECT id FROM sessions WHERE user_id = :user_id ORDER BY id DESC LIMIT 100 OFFSET :keep",
        named_params! { ":user_id": user_id, ":keep": keep },
        |row| row.get("id"),
    )
}

/// One page of the sessions of somebody that stand, newest first.
pub(super) fn sessions(
    tx: &ReadTx<'_>,
    user_id: UserId,
    current: SessionId,
    now: Timestamp,
    page: &Page,
) -> Result<Vec<Session>> {
    tx.all(
        "SELECT id, created_at, expires_at, user_agent, ip
         FROM sessions
         WHERE user_id = :user_id AND id < :below AND expires_at > :now
         ORDER BY id DESC
         LIMIT :limit OFFSET :offset",
        named_params! {
            ":user_id": user_id, ":below": page.below(), ":now": now, ":limit": page.fetch(), ":offset": page.offset,
        },
        |row| {
            let id: SessionId = row.get("id")?;
            Ok(Session {
                id,
                created_at: row.get("created_at")?,
                expires_at: row.get("expires_at")?,
                user_agent: row.get("user_agent")?,
                ip: row.get("ip")?,
                is_current: id == current,
            })
        },
    )
}

pub(super) fn delete_session(tx: &WriteTx<'_>, user_id: UserId, id: SessionId) -> Result<bool> {
    let changed = tx.execute(
        "DELETE FROM sessions WHERE id = :id AND user_id = :user_id",
        named_params! { ":id": id, ":user_id": user_id },
    )?;
    Ok(changed > 0)
}

pub(super) fn delete_sessions(
    tx: &WriteTx<'_>,
    user_id: UserId,
    kept: Option<SessionId>,
) -> Result<()> {
    tx.execute(
        "DELETE FROM sessions WHERE user_id = :user_id AND id IS NOT :kept",
        named_params! { ":user_id": user_id, ":kept": kept },
    )?;
    Ok(())
}

/// Forgets what has expired: sessions, codes and permissions to reset.
pub(super) fn delete_expired(tx: &WriteTx<'_>, now: Timestamp, limit: u32) -> Result<usize> {
    let sessions = tx.execute(
        "DELETE FROM sessions
         WHERE id IN (SELECT id FROM sessions WHERE expires_at <= :now ORDER BY expires_at, id LIMIT :limit)",
        named_params! { ":now": now, ":limit": limit },
    )?;
    let otps = tx.execute(
        "DELETE FROM otps WHERE expires_at <= :now",
        named_params! { ":now": now },
    )?;
    let resets = tx.execute(
        "DELETE FROM password_resets WHERE expires_at <= :now",
        named_params! { ":now": now },
    )?;
    Ok(sessions + otps + resets)
}

/// The sessions that stand, by id, for the start.
pub(super) fn live_sessions(
    tx: &ReadTx<'_>,
    after: i64,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(SessionId, super::sessions::Live)>> {
    tx.all(
        "SELECT s.id, s.user_id, s.expires_at, u.role = 'ADMIN' AS is_admin
         FROM sessions AS s
         JOIN users AS u ON u.id = s.user_id
         WHERE s.id > :after AND s.expires_at > :now AND u.status = 'active'
         ORDER BY s.id
         LIMIT :limit",
        named_params! { ":after": after, ":now": now, ":limit": limit },
        |row| {
            let live = super::sessions::Live {
                user_id: row.get("user_id")?,
                is_admin: row.get("is_admin")?,
                expires_at: row.get("expires_at")?,
            };
            Ok((row.get("id")?, live))
        },
    )
}

/// Writes a code over the one before.
pub(super) fn put_otp(
    tx: &WriteTx<'_>,
    user_id: UserId,
    purpose: Purpose,
    code_hash: &[u8; 32],
    tries: u32,
    expires_at: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT OR REPLACE INTO otps (user_id, purpose, code_hash, tries_left, expires_at)
         VALUES (:user_id, :purpose, :code_hash, :tries, :expires_at)",
        named_params! {
            ":user_id": user_id, ":purpose": purpose.as_str(), ":code_hash": code_hash, ":tries": tries,
            ":expires_at": expires_at,
        },
    )?;
    Ok(())
}

/// The code's hash, while it is good.
pub(super) fn find_otp(
    tx: &ReadTx<'_>,
    user_id: UserId,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Option<[u8; 32]>> {
    tx.optional(
        "SELECT code_hash
         FROM otps
         WHERE user_id = :user_id AND purpose = :purpose AND tries_left > 0 AND expires_at > :now",
        named_params! { ":user_id": user_id, ":purpose": purpose.as_str(), ":now": now },
        |row| row.get("code_hash"),
    )
}

pub(super) fn count_wrong_try(tx: &WriteTx<'_>, user_id: UserId, purpose: Purpose) -> Result<()> {
    tx.execute(
        "UPDATE otps SET tries_left = tries_left - 1 WHERE user_id = :user_id AND purpose = :purpose",
        named_params! { ":user_id": user_id, ":purpose": purpose.as_str() },
    )?;
    Ok(())
}

pub(super) fn delete_otp(tx: &WriteTx<'_>, user_id: UserId, purpose: Purpose) -> Result<()> {
    tx.execute(
        "DELETE FROM otps WHERE user_id = :user_id AND purpose = :purpose",
        named_params! { ":user_id": user_id, ":purpose": purpose.as_str() },
    )?;
    Ok(())
}

pub(super) fn put_reset(
    tx: &WriteTx<'_>,
    user_id: UserId,
    token_hash: &[u8; 32],
    expires_at: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT OR REPLACE INTO password_resets (user_id, token_hash, expires_at)
         VALUES (:user_id, :token_hash, :expires_at)",
        named_params! { ":user_id": user_id, ":token_hash": token_hash, ":expires_at": expires_at },
    )?;
    Ok(())
}

/// Uses a permission to reset up; false when there is none.
pub(super) fn take_reset(
    tx: &WriteTx<'_>,
    user_id: UserId,
    token_hash: &[u8; 32],
    now: Timestamp,
) -> Result<bool> {
    let changed = tx.execute(
        "DELETE FROM password_resets
         WHERE user_id = :user_id AND token_hash = :token_hash AND expires_at > :now",
        named_params! { ":user_id": user_id, ":token_hash": token_hash, ":now": now },
    )?;
    Ok(changed > 0)
}

/// Makes codes and permissions to reset worthless: they are not to outlive a change of the password.
pub(super) fn forget_resets(tx: &WriteTx<'_>, user_id: UserId) -> Result<()> {
    delete_otp(tx, user_id, Purpose::Reset)?;
    tx.execute(
        "DELETE FROM password_resets WHERE user_id = :user_id",
        named_params! { ":user_id": user_id },
    )?;
    Ok(())
}
