//! What changes accounts and sessions.

use serde::{Deserialize, Serialize};

use super::{Account, Purpose, SessionStart, sql};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::{Event, UserStatus};
use crate::id::{SessionId, UserId};
use crate::store::{Command, ReadTx, WriteTx, is_unique_violation};
use crate::text;
use crate::users::{self, Role};

/// Sessions of one person at once; a further log-in ends the oldest.
const MAX_SESSIONS: u32 = 500;

/// Makes an account, its profile and its first session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignUp {
    pub id: UserId,
    pub name: String,
    pub username: String,
    pub email: String,
    pub password_hash: String,
    /// An admin's account is refused when there is an admin already.
    pub role: Role,
    pub session: SessionStart,
}

impl Command for SignUp {
    const NAME: &'static str = "auth.sign_up";
    type Output = Account;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Account> {
        if self.role == Role::Admin && users::sql::has_admin(tx)? {
            return Err(Error::new(Code::InvalidSetupToken));
        }
        let at = self.session.at;
        let user = users::sql::NewUser {
            id: self.id,
            username: &self.username,
            name: &self.name,
            role: self.role,
            at,
        };
        users::sql::insert(tx, &user).map_err(users::or_username_taken)?;
        sql::insert(
            tx,
            self.id,
            &self.email,
            &text::email_key(&self.email),
            &self.password_hash,
        )
        .map_err(|error| {
            if is_unique_violation(&error, "credentials.email_key") {
                Error::new(Code::EmailTaken)
            } else {
                error
            }
        })?;
        tx.emit(
            at,
            Event::UserCreated {
                user_id: self.id,
                username: self.username.clone(),
            },
        )?;
        start_session(tx, self.id, self.role, &self.session)?;
        Ok(Account {
            id: self.id,
            name: self.name.clone(),
            email: self.email.clone(),
            username: self.username.clone(),
            is_verified: false,
            role: self.role,
        })
    }
}

/// Begins a session of somebody whose password was right.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogIn {
    pub user_id: UserId,
    /// The hash that was compared with: a password that was changed meanwhile lets nobody in.
    pub password_hash: String,
    /// A stronger hash of the same password, when the stored one is outdated.
    pub upgraded_hash: Option<String>,
    pub session: SessionStart,
}

impl Command for LogIn {
    const NAME: &'static str = "auth.log_in";
    type Output = Account;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Account> {
        let found = sql::find(tx, self.user_id)?
            .filter(|found| found.password_hash == self.password_hash)
            .ok_or(Code::InvalidCredentials)?;
        if found.status == UserStatus::Suspended {
            return Err(Error::new(Code::AccountSuspended));
        }
        if let Some(upgraded) = &self.upgraded_hash {
            sql::upgrade_password(tx, self.user_id, &self.password_hash, upgraded)?;
        }
        start_session(tx, self.user_id, found.account.role, &self.session)?;
        Ok(found.account)
    }
}

/// Ends one session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndSession {
    pub user_id: UserId,
    pub session_id: SessionId,
}

impl Command for EndSession {
    const NAME: &'static str = "auth.end_session";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        if !sql::delete_session(tx, self.user_id, self.session_id)? {
            return Err(Error::new(Code::SessionNotFound));
        }
        tx.signal(Event::SessionEnded {
            session_id: self.session_id,
            user_id: self.user_id,
        });
        Ok(())
    }
}

/// Ends all sessions of somebody but the one to keep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndSessions {
    pub user_id: UserId,
    pub kept: Option<SessionId>,
}

impl Command for EndSessions {
    const NAME: &'static str = "auth.end_sessions";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        end_sessions(tx, self.user_id, self.kept)
    }
}

/// Replaces somebody's password; their other sessions end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangePassword {
    pub user_id: UserId,
    /// The hash that the present password was compared with.
    pub old_hash: String,
    pub new_hash: String,
    pub kept: SessionId,
    pub at: Timestamp,
}

impl Command for ChangePassword {
    const NAME: &'static str = "auth.change_password";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        if !sql::upgrade_password(tx, self.user_id, &self.old_hash, &self.new_hash)? {
            return Err(Error::new(Code::InvalidCredentials));
        }
        sql::forget_resets(tx, self.user_id)?;
        end_sessions(tx, self.user_id, Some(self.kept))?;
        tx.emit(
            self.at,
            Event::PasswordChanged {
                user_id: self.user_id,
            },
        )?;
        Ok(())
    }
}

/// Keeps the hash of a code that is sent to an address; the one before is worth nothing from then on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssueOtp {
    pub email_key: String,
    pub purpose: Purpose,
    pub code_hash: [u8; 32],
    pub tries: u32,
    pub expires_at: Timestamp,
}

impl Command for IssueOtp {
    const NAME: &'static str = "auth.issue_otp";
    /// Where to send it; nowhere when the address has no account in use.
    type Output = Option<String>;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Option<String>> {
        let Some(found) = find_active(tx, &self.email_key)? else {
            return Ok(None);
        };
        sql::put_otp(
            tx,
            found.account.id,
            self.purpose,
            &self.code_hash,
            self.tries,
            self.expires_at,
        )?;
        Ok(Some(found.account.email))
    }
}

/// Compares a code. Right, it is used up, the address is proven, and for a reset the token is good from then on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckOtp {
    pub email_key: String,
    pub purpose: Purpose,
    pub code_hash: [u8; 32],
    /// For a reset: the hash of the token, and until when it is good.
    pub reset: Option<([u8; 32], Timestamp)>,
    pub at: Timestamp,
}

impl Command for CheckOtp {
    const NAME: &'static str = "auth.check_otp";
    /// Whether it was right. A wrong try is counted, so it is no error, which would undo the counting.
    type Output = bool;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<bool> {
        let Some(found) = find_active(tx, &self.email_key)? else {
            return Ok(false);
        };
        let id = found.account.id;
        let Some(expected) = sql::find_otp(tx, id, self.purpose, self.at)? else {
            return Ok(false);
        };
        // Both are keyed hashes, and blake3's comparison takes the same time wherever they differ.
        if blake3::Hash::from(expected) != blake3::Hash::from(self.code_hash) {
            sql::count_wrong_try(tx, id, self.purpose)?;
            return Ok(false);
        }
        sql::delete_otp(tx, id, self.purpose)?;
        if sql::set_verified(tx, id)? {
            tx.emit(self.at, Event::EmailVerified { user_id: id })?;
        }
        if let Some((token_hash, expires_at)) = &self.reset {
            sql::put_reset(tx, id, token_hash, *expires_at)?;
        }
        Ok(true)
    }
}

/// Sets a new password with a reset token; all sessions end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResetPassword {
    pub email_key: String,
    pub token_hash: [u8; 32],
    pub password_hash: String,
    pub at: Timestamp,
}

impl Command for ResetPassword {
    const NAME: &'static str = "auth.reset_password";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let found = find_active(tx, &self.email_key)?.ok_or(Code::InvalidResetToken)?;
        let id = found.account.id;
        if !sql::take_reset(tx, id, &self.token_hash, self.at)? {
            return Err(Error::new(Code::InvalidResetToken));
        }
        sql::set_password(tx, id, &self.password_hash)?;
        sql::forget_resets(tx, id)?;
        end_sessions(tx, id, None)?;
        tx.emit(self.at, Event::PasswordChanged { user_id: id })?;
        Ok(())
    }
}

/// Suspends, restores or deletes an account; who is not active has no session. What a suspended person wrote stays as it
/// is. What a deleted one wrote stays as well, but without their name: name, address, picture and biography go, and what was
/// theirs alone is removed afterwards (`users::erasure`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetStatus {
    pub user_id: UserId,
    pub status: UserStatus,
    pub at: Timestamp,
}

impl Command for SetStatus {
    const NAME: &'static str = "auth.set_status";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let user = users::sql::find(tx, self.user_id)?
            .filter(|user| user.status != UserStatus::Deleted)
            .ok_or(Code::UserNotFound)?;
        if user.status == self.status {
            return Ok(());
        }
        users::sql::set_status(tx, self.user_id, self.status, self.at)?;
        if self.status != UserStatus::Active {
            sql::delete_sessions(tx, self.user_id, None)?;
        }
        if self.status == UserStatus::Deleted {
            sql::forget_resets(tx, self.user_id)?;
            sql::delete_otp(tx, self.user_id, Purpose::Verify)?;
            sql::delete_credentials(tx, self.user_id)?;
            users::sql::anonymise(tx, self.user_id)?;
            users::sql::begin_erasure(tx, self.user_id)?;
            users::release_pictures(tx, self.user_id, self.at)?;
        }
        tx.emit(
            self.at,
            Event::UserStatusChanged {
                user_id: self.user_id,
                status: self.status,
            },
        )?;
        Ok(())
    }
}

/// Forgets sessions, codes and permissions to reset whose time is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PruneAuth {
    pub at: Timestamp,
    /// Sessions at most; a long backlog takes several commands.
    pub limit: u32,
}

impl Command for PruneAuth {
    const NAME: &'static str = "auth.prune";
    /// How many rows were forgotten.
    type Output = usize;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<usize> {
        sql::delete_expired(tx, self.at, self.limit)
    }
}

fn find_active(tx: &ReadTx<'_>, email_key: &str) -> Result<Option<sql::Credentials>> {
    Ok(sql::find_by_email_key(tx, email_key)?.filter(|found| found.status == UserStatus::Active))
}

fn start_session(
    tx: &WriteTx<'_>,
    user_id: UserId,
    role: Role,
    session: &SessionStart,
) -> Result<()> {
    sql::insert_session(tx, user_id, session)?;
    for session_id in sql::sessions_beyond(tx, user_id, MAX_SESSIONS)? {
        sql::delete_session(tx, user_id, session_id)?;
        tx.signal(Event::SessionEnded {
            session_id,
            user_id,
        });
    }
    tx.signal(Event::SessionStarted {
        session_id: session.id,
        user_id,
        is_admin: role == Role::Admin,
        expires_at: session.expires_at,
    });
    Ok(())
}

fn end_sessions(tx: &WriteTx<'_>, user_id: UserId, kept: Option<SessionId>) -> Result<()> {
    sql::delete_sessions(tx, user_id, kept)?;
    tx.signal(Event::SessionsEnded { user_id, kept });
    Ok(())
}
