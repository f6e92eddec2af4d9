//! Who somebody is: accounts, passwords, sessions, tokens, codes by mail.
//!
//! * `passwords`: hashing, off the async threads and bounded;
//! * `tokens`: what a token says and that it is ours;
//! * `sessions`: whether it still stands, in memory;
//! * `otp`: codes by mail, for an address or a new password;
//! * `commands`, `sql`: what is kept.

mod commands;
mod otp;
mod passwords;
mod sessions;
mod sql;
mod tokens;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::datadir::Secrets;
use crate::error::{Code, Error, FieldError, Result};
use crate::event::UserStatus;
use crate::id::{Ids, SessionId, UserId};
use crate::mail::Mailer;
use crate::page::{Cursor, Page, Slice};
use crate::random;
use crate::store::{Registry, Store};
use crate::tasks::Tasks;
use crate::text;
use crate::users::{self, Role};

pub use commands::{
    ChangePassword, CheckOtp, EndSession, EndSessions, IssueOtp, LogIn, PruneAuth, ResetPassword,
    SetStatus, SignUp,
};
pub use otp::{Proof, Purpose};
pub use passwords::Passwords;
pub use tokens::Claims;

/// An e-mail address has no more (RFC 5321 section 4.5.3.1), a username far fewer.
const MAX_IDENTIFIER_CHARS: usize = 254;

/// A wrong log-in is answered no sooner while there are hashes from an import: these take another time to compare than
/// none at all, which would tell who has an account.
const REFUSAL_TAKES: Duration = Duration::from_millis(250);

/// Sessions that one pruning command forgets at most.
const PRUNE_LIMIT: u32 = 1_000;

/// An account as its owner sees it (contract, section 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The person's id.
    pub id: UserId,
    /// The name they go by.
    pub name: String,
    /// Their address, as typed.
    pub email: String,
    /// Their unique name, as typed.
    pub username: String,
    /// Whether the address is proven to be theirs.
    pub is_verified: bool,
    /// What they may do.
    pub role: Role,
}

/// A session as its owner sees it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// When they logged in.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// What the client called itself.
    #[schema(required)]
    pub user_agent: Option<String>,
    /// The address that they logged in from.
    #[schema(required)]
    pub ip: Option<String>,
    /// Whether it is the one that asks.
    pub is_current: bool,
}

/// A session to begin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionStart {
    pub id: SessionId,
    pub at: Timestamp,
    pub expires_at: Timestamp,
    pub user_agent: Option<String>,
    pub ip: Option<String>,
}

/// What the edge knows of a client.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub user_agent: Option<String>,
    pub ip: Option<String>,
}

/// What somebody signs up with, as they typed it.
#[derive(Clone, Debug)]
pub struct SignUpDraft {
    pub name: String,
    pub email: String,
    pub username: String,
    pub password: Zeroizing<String>,
}

/// The outcome of a sign-up or log-in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub account: Account,
    /// To be sent as `Authorization: Bearer`.
    pub token: String,
}

/// The domain's handle.
#[derive(Clone)]
pub struct Auth {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    ids: Ids,
    passwords: Passwords,
    tokens: tokens::Tokens,
    sessions: Arc<sessions::Sessions>,
    otps: otp::Otps,
    session_length: Duration,
    is_behind_tls: bool,
    /// The secret of the one-time link that makes the first admin; none when there is an admin.
    setup_token: Option<Zeroizing<String>>,
}

/// Adds the domain's commands.
pub fn register(registry: &mut Registry) {
    registry.add::<SignUp>();
    registry.add::<LogIn>();
    registry.add::<EndSession>();
    registry.add::<EndSessions>();
    registry.add::<ChangePassword>();
    registry.add::<IssueOtp>();
    registry.add::<CheckOtp>();
    registry.add::<ResetPassword>();
    registry.add::<SetStatus>();
    registry.add::<PruneAuth>();
}

impl Auth {
    /// Loads the sessions that stand and starts the password threads.
    pub async fn start(
        store: Store,
        ids: Ids,
        config: &Config,
        secrets: &Secrets,
        mailer: Mailer,
        tasks: &Tasks,
    ) -> Result<Self> {
        let options = &config.auth;
        let sessions = Arc::new(sessions::Sessions::default());
        // Before the rows are read, so that nothing that is committed meanwhile is missed.
        let following = Arc::clone(&sessions);
        store.observe(Box::new(move |events| following.follow(events)));
        load_sessions(&store, &sessions, ids.now()).await?;
        let has_admin = store.read(users::sql::has_admin).await?;
        let setup_token = if has_admin {
            None
        } else {
            Some(Zeroizing::new(random::token()?))
        };
        let secret = options
            .jwt_secret
            .as_deref()
            .map_or(secrets.jwt.as_slice(), str::as_bytes);
        Ok(Self {
            shared: Arc::new(Shared {
                passwords: Passwords::start(options)?,
                tokens: tokens::Tokens::new(secret),
                otps: otp::Otps::new(
                    store.clone(),
                    ids.clone(),
                    mailer,
                    *secrets.pepper,
                    options,
                    tasks.clone(),
                ),
                session_length: Duration::from_secs(u64::from(options.session_hours) * 3600),
                sessions,
                is_behind_tls: config.public_url().starts_with("https:"),
                setup_token,
                store,
                ids,
            }),
        })
    }

    /// The secret of the one-time setup link, while there is no admin.
    pub fn setup_token(&self) -> Option<&str> {
        self.shared.setup_token.as_ref().map(|token| token.as_str())
    }

    /// Whether people reach the server by https, so that a cookie need never travel in the open.
    pub fn is_behind_tls(&self) -> bool {
        self.shared.is_behind_tls
    }

    /// How long a token is still good by itself, in seconds.
    pub fn seconds_left(&self, claims: &Claims) -> i64 {
        claims.exp.saturating_sub(self.shared.ids.now().as_secs())
    }

    /// Makes an account and logs it in.
    pub async fn sign_up(&self, draft: SignUpDraft, client: Client) -> Result<SignedIn> {
        self.make_account(draft, Role::User, client).await
    }

    /// Makes the first admin's account, with the secret of the setup link. Works once: as soon as there is an admin,
    /// the link is worth nothing.
    pub async fn set_up(
        &self,
        token: &str,
        draft: SignUpDraft,
        client: Client,
    ) -> Result<SignedIn> {
        let expected = self
            .shared
            .setup_token
            .as_ref()
            .ok_or(Code::InvalidSetupToken)?;
        let same = blake3::hash(expected.as_bytes()) == blake3::hash(token.as_bytes());
        if !same || self.shared.store.read(users::sql::has_admin).await? {
            return Err(Error::new(Code::InvalidSetupToken));
        }
        self.make_account(draft, Role::Admin, client).await
    }

    async fn make_account(
        &self,
        draft: SignUpDraft,
        role: Role,
        client: Client,
    ) -> Result<SignedIn> {
        let mut wrong: Vec<FieldError> = Vec::new();
        let mut keep = |checked: Result<String, FieldError>| {
            checked
                .map_err(|field| wrong.push(field))
                .unwrap_or_default()
        };
        let name = keep(text::display_name("name", &draft.name));
        let email = keep(text::email("email", &draft.email));
        let username = keep(text::username("username", &draft.username));
        keep(passwords::check("password", &draft.password).map(|()| String::new()));
        if !wrong.is_empty() {
            return Err(Error::invalid_fields(wrong));
        }
        self.refuse_taken(&email, &username).await?;
        let password_hash = self.shared.passwords.hash(&draft.password).await?;
        let session = self.new_session(client);
        let command = SignUp {
            id: self.shared.ids.next(),
            name,
            username,
            email,
            password_hash,
            role,
            session: session.clone(),
        };
        let account = self.shared.store.submit(command).await?;
        self.shared.otps.welcome(&account);
        self.signed_in(account, &session)
    }

    /// Saves the hashing where the conflict is known beforehand; the command decides.
    async fn refuse_taken(&self, email: &str, username: &str) -> Result<()> {
        let email_key = text::email_key(email);
        let (key, skeleton) = (
            text::username_key(username),
            text::username_skeleton(username),
        );
        self.shared
            .store
            .read(move |tx| {
                if sql::find_by_email_key(tx, &email_key)?.is_some() {
                    return Err(Error::new(Code::EmailTaken));
                }
                if users::sql::is_username_taken(tx, &key, &skeleton)? {
                    return Err(Error::new(Code::UsernameTaken));
                }
                Ok(())
            })
            .await
    }

    /// Logs in by e-mail address or username. Unknown names and wrong passwords get one answer, and take one time.
    pub async fn log_in(
        &self,
        identifier: &str,
        password: &str,
        client: Client,
    ) -> Result<SignedIn> {
        let refuse_at = Instant::now() + REFUSAL_TAKES;
        let identifier = identifier_key(identifier).unwrap_or_default();
        let found = self
            .shared
            .store
            .read(move |tx| {
                if identifier.contains('@') {
                    sql::find_by_email_key(tx, &identifier)
                } else {
                    sql::find_by_username_key(tx, &identifier)
                }
            })
            .await?;
        let stored = found.as_ref().map(|found| found.password_hash.clone());
        // A longer one cannot be right, and costs nothing to refuse.
        let password = if password.len() > 4 * passwords::MAX_CHARS {
            ""
        } else {
            password
        };
        let verdict = self.shared.passwords.verify(password, stored).await?;
        let Some(found) = found.filter(|_| verdict.is_right) else {
            if self.shared.store.read(sql::has_imported_hashes).await? {
                tokio::time::sleep_until(refuse_at.into()).await;
            }
            return Err(Error::new(Code::InvalidCredentials));
        };
        let upgraded_hash = if verdict.is_outdated {
            Some(self.shared.passwords.hash(password).await?)
        } else {
            None
        };
        let session = self.new_session(client);
        let command = LogIn {
            user_id: found.account.id,
            password_hash: found.password_hash,
            upgraded_hash,
            session: session.clone(),
        };
        let account = self.shared.store.submit(command).await?;
        self.signed_in(account, &session)
    }

    /// Who a token stands for. Touches no store.
    pub fn authenticate(&self, token: &str) -> Result<(Arc<Claims>, Actor)> {
        let now = self.shared.ids.now();
        let claims = self.shared.tokens.read(token, now)?;
        let session = self
            .shared
            .sessions
            .find(claims.jti, now)
            .filter(|session| session.user_id == claims.id)
            .ok_or(Code::Unauthenticated)?;
        let actor = Actor {
            user_id: session.user_id,
            session_id: claims.jti,
            is_admin: session.is_admin,
            once: None,
        };
        Ok((claims, actor))
    }

    /// Whether a session stands.
    pub fn is_live(&self, session: SessionId) -> bool {
        let now = self.shared.ids.now();
        self.shared.sessions.find(session, now).is_some()
    }

    /// One's own account.
    pub async fn account(&self, actor: &Actor) -> Result<Account> {
        let id = actor.user_id;
        let found = self.shared.store.read(move |tx| sql::find(tx, id)).await?;
        Ok(found.ok_or(Code::UserNotFound)?.account)
    }

    /// Ends the session that asks.
    pub async fn log_out(&self, actor: &Actor) -> Result<()> {
        self.end_session(actor, actor.session_id).await
    }

    /// One's own sessions, newest first.
    pub async fn sessions(&self, actor: &Actor, page: Page) -> Result<Slice<Session>> {
        let (user_id, current) = (actor.user_id, actor.session_id);
        let now = self.shared.ids.now();
        self.shared
            .store
            .read(move |tx| {
                let rows = sql::sessions(tx, user_id, current, now, &page)?;
                Ok(page.cut(rows, |session| Cursor::id(session.id.get())))
            })
            .await
    }

    /// Ends one of one's own sessions.
    pub async fn end_session(&self, actor: &Actor, session_id: SessionId) -> Result<()> {
        let command = EndSession {
            user_id: actor.user_id,
            session_id,
        };
        self.shared
            .store
            .submit_once(command, actor.once.clone())
            .await
    }

    /// Ends all of one's sessions but the one that asks.
    pub async fn end_other_sessions(&self, actor: &Actor) -> Result<()> {
        let command = EndSessions {
            user_id: actor.user_id,
            kept: Some(actor.session_id),
        };
        self.shared
            .store
            .submit_once(command, actor.once.clone())
            .await
    }

    /// Replaces one's password; other sessions end.
    pub async fn change_password(&self, actor: &Actor, present: &str, new: &str) -> Result<()> {
        passwords::check("newPassword", new).map_err(|field| Error::invalid_fields(vec![field]))?;
        // A repeat of a change that was made would not know the present password any more.
        if self
            .shared
            .store
            .find_output::<ChangePassword>(actor.once.as_ref())
            .await?
            .is_some()
        {
            return Ok(());
        }
        let id = actor.user_id;
        let found = self
            .shared
            .store
            .read(move |tx| sql::find(tx, id))
            .await?
            .ok_or(Code::UserNotFound)?;
        let verdict = self
            .shared
            .passwords
            .verify(present, Some(found.password_hash.clone()))
            .await?;
        if !verdict.is_right {
            return Err(Error::invalid_field(
                "password",
                "wrong_password",
                "This is not your present password.",
            ));
        }
        let command = ChangePassword {
            user_id: id,
            old_hash: found.password_hash,
            new_hash: self.shared.passwords.hash(new).await?,
            kept: actor.session_id,
            at: self.shared.ids.now(),
        };
        self.shared
            .store
            .submit_once(command, actor.once.clone())
            .await
    }

    /// Codes by mail.
    pub fn otps(&self) -> &otp::Otps {
        &self.shared.otps
    }

    /// Sets a new password for the account of an address, with what proves the right to do so. All sessions end.
    pub async fn reset_password(&self, email: &str, new: &str, proof: Proof) -> Result<()> {
        passwords::check("newPassword", new).map_err(|field| Error::invalid_fields(vec![field]))?;
        let email_key = text::email_key(email);
        let token = match proof {
            Proof::Token(token) => token,
            Proof::Code(code) => self.shared.otps.check_reset(email, &code).await?,
        };
        let command = ResetPassword {
            email_key,
            token_hash: self.shared.otps.token_hash(&token),
            password_hash: self.shared.passwords.hash(new).await?,
            at: self.shared.ids.now(),
        };
        self.shared.store.submit(command).await
    }

    /// Suspends, restores or deletes an account. Admins only, and not their own.
    pub async fn set_status(
        &self,
        actor: &Actor,
        user_id: UserId,
        status: UserStatus,
    ) -> Result<()> {
        if !actor.is_admin || actor.user_id == user_id {
            return Err(Error::new(Code::Forbidden));
        }
        let command = SetStatus {
            user_id,
            status,
            at: self.shared.ids.now(),
        };
        self.shared
            .store
            .submit_once(command, actor.once.clone())
            .await
    }

    /// Forgets what has expired; called now and then.
    pub async fn prune(&self) -> Result<()> {
        let at = self.shared.ids.now();
        self.shared.sessions.sweep(at);
        while self
            .shared
            .store
            .submit(PruneAuth {
                at,
                limit: PRUNE_LIMIT,
            })
            .await?
            >= PRUNE_LIMIT as usize
        {}
        Ok(())
    }

    fn new_session(&self, client: Client) -> SessionStart {
        let at = self.shared.ids.now();
        // A client may call itself anything; keep a line of it.
        let user_agent = client
            .user_agent
            .map(|text| text.chars().filter(|c| !c.is_control()).take(200).collect());
        SessionStart {
            id: self.shared.ids.next(),
            at,
            expires_at: at.plus(self.shared.session_length),
            user_agent,
            ip: client.ip,
        }
    }

    fn signed_in(&self, account: Account, session: &SessionStart) -> Result<SignedIn> {
        let token =
            self.shared
                .tokens
                .issue(&account, session.id, session.at, session.expires_at)?;
        Ok(SignedIn { account, token })
    }
}

/// What a name typed at log-in is looked up as; none when it is too long to be anybody's.
pub fn identifier_key(typed: &str) -> Option<String> {
    let typed = typed.trim();
    if typed.chars().take(MAX_IDENTIFIER_CHARS + 1).count() > MAX_IDENTIFIER_CHARS {
        None
    } else if typed.contains('@') {
        Some(text::email_key(typed))
    } else {
        Some(text::username_key(typed))
    }
}

async fn load_sessions(store: &Store, sessions: &sessions::Sessions, now: Timestamp) -> Result<()> {
    const LIMIT: u32 = 5_000;
    let mut after = 0;
    loop {
        let rows = store
            .read(move |tx| sql::live_sessions(tx, after, now, LIMIT))
            .await?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        after = last.get();
        sessions.fill(rows);
    }
}
