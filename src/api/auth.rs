//! Accounts and sessions (contract, section 2).

use std::fmt::Write;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use super::paging::PageQuery;
use super::users::ProfileBody;
use super::{Done, SharedDomains};
use crate::auth::{
    Account, Auth, Claims, Client, Proof, Purpose, Session, SignUpDraft, SignedIn, identifier_key,
};
use crate::error::{Code, Error, Result};
use crate::gateway::{self, Body, Caller, ClientIp, ErrorBody, Limits, Path, Query, cookie};
use crate::id::{SessionId, UserId};
use crate::page::MAX_LIMIT;
use crate::text;
use crate::users::{Person, Profile, Users};

/// The cookie in which browsers carry the permission to reset a password.
const RESET_COOKIE: &str = "resetToken";

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(sign_up))
        .routes(routes!(log_in))
        .routes(routes!(verify_user))
        .routes(routes!(check_username))
        .routes(routes!(me))
        .routes(routes!(log_out))
        .routes(routes!(sessions, end_other_sessions))
        .routes(routes!(end_session))
        .routes(routes!(change_password))
        .routes(routes!(request_password_reset))
        .routes(routes!(verify_reset_otp))
        .routes(routes!(reset_password))
        .routes(routes!(request_verification))
        .routes(routes!(verify_email))
        .routes(routes!(search))
        .routes(routes!(profile))
        .routes(routes!(update_profile))
}

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct SignUpBody {
    /// 1 to 50 characters.
    #[schema(min_length = 1, max_length = 50, example = "Ada Lovelace")]
    name: String,
    #[schema(format = Email, max_length = 254, example = "ada@example.org")]
    email: String,
    /// 3 to 30 letters, digits, `_`, `.`, `-`.
    #[schema(min_length = 3, max_length = 30, example = "ada")]
    username: String,
    /// 8 to 256 characters, none of the commonly leaked.
    #[schema(value_type = String, min_length = 8, max_length = 256, example = "correct horse battery staple")]
    password: Zeroizing<String>,
}

impl From<SignUpBody> for SignUpDraft {
    fn from(body: SignUpBody) -> Self {
        Self {
            name: body.name,
            email: body.email,
            username: body.username,
            password: body.password,
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct SignedInReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    user: Account,
    /// To be sent as `Authorization: Bearer`.
    token: String,
}

impl SignedInReply {
    pub(super) fn new(message: &'static str, signed_in: SignedIn) -> Self {
        Self {
            success: true,
            message,
            user: signed_in.account,
            token: signed_in.token,
        }
    }
}

/// What is worth keeping of a client with its session.
pub(super) fn client(ip: ClientIp, headers: &HeaderMap) -> Client {
    Client {
        user_agent: headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        ip: Some(ip.0.to_string()),
    }
}

/// Sign up
#[utoipa::path(
    post, path = "/api/v1/auth/signup", tag = "auth", request_body = SignUpBody,
    responses(
        (status = 201, description = "The account, logged in.", body = SignedInReply),
        (status = 409, description = "`email_taken` or `username_taken`.", body = ErrorBody),
    )
)]
async fn sign_up(
    State(auth): State<Auth>,
    axum::Extension(ip): axum::Extension<ClientIp>,
    headers: HeaderMap,
    Body(body): Body<SignUpBody>,
) -> Result<(StatusCode, Json<SignedInReply>)> {
    let signed_in = auth.sign_up(body.into(), client(ip, &headers)).await?;
    Ok((
        StatusCode::CREATED,
        Json(SignedInReply::new("Welcome!", signed_in)),
    ))
}

/// One of `identifier`, `email` and `username` says who; the first of them counts.
#[derive(Deserialize, utoipa::ToSchema)]
struct LogInBody {
    /// The e-mail address or the username.
    #[schema(max_length = 254, example = "ada")]
    identifier: Option<String>,
    /// Another name for `identifier`.
    email: Option<String>,
    /// Another name for `identifier`.
    username: Option<String>,
    #[schema(value_type = String, example = "correct horse battery staple")]
    password: Zeroizing<String>,
}

/// Log in
#[utoipa::path(
    post, path = "/api/v1/auth/login", tag = "auth", request_body = LogInBody,
    responses(
        (status = 200, description = "The account, with a token.", body = SignedInReply),
        (status = 401, description = "`invalid_credentials`: wrong password or unknown name.", body = ErrorBody),
        (status = 403, description = "`account_suspended`.", body = ErrorBody),
    )
)]
async fn log_in(
    State(auth): State<Auth>,
    State(limits): State<Limits>,
    axum::Extension(ip): axum::Extension<ClientIp>,
    headers: HeaderMap,
    Body(body): Body<LogInBody>,
) -> Result<Json<SignedInReply>> {
    let identifier = body
        .identifier
        .or(body.email)
        .or(body.username)
        .ok_or_else(|| Error::invalid_field("identifier", "required", "identifier is required."))?;
    if let Some(key) = identifier_key(&identifier) {
        limits.check_identifier(&key)?;
    }
    let signed_in = auth
        .log_in(&identifier, &body.password, client(ip, &headers))
        .await?;
    Ok(Json(SignedInReply::new("Welcome back!", signed_in)))
}

/// Check a token
///
/// For gateways: 200 with the token's claims as ASCII JSON in `x-user-payload`, or 401; both without a body.
#[utoipa::path(
    get, path = "/api/v1/auth/verify-user", tag = "auth",
    responses(
        (status = 200, description = "The token stands.", headers(("x-user-payload" = String))),
        (status = 401, description = "It does not."),
    ),
    security(("token" = []))
)]
async fn verify_user(caller: Result<Caller>) -> Result<Response> {
    match caller {
        Ok(caller) => Ok((
            [(
                HeaderName::from_static("x-user-payload"),
                payload(&caller.claims)?,
            )],
            (),
        )
            .into_response()),
        Err(_refused) => Ok(StatusCode::UNAUTHORIZED.into_response()),
    }
}

/// The claims as JSON that fits into a header: everything beyond ASCII escaped.
fn payload(claims: &Claims) -> Result<HeaderValue> {
    let json = serde_json::to_string(claims).map_err(Error::internal)?;
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(ascii, "\\u{unit:04x}").map_err(Error::internal)?;
            }
        }
    }
    HeaderValue::from_str(&ascii).map_err(Error::internal)
}

#[derive(Serialize, utoipa::ToSchema)]
struct AvailableReply {
    /// Whether the username can be had.
    available: bool,
    message: &'static str,
}

/// Whether a username can be had
#[utoipa::path(
    post, path = "/api/v1/auth/check/{username}", tag = "auth", params(("username" = String, Path)),
    responses((status = 200, description = "Whether it can.", body = AvailableReply))
)]
async fn check_username(
    State(users): State<Users>,
    Path(username): Path<String>,
) -> Result<Json<AvailableReply>> {
    let username = text::username("username", &username)
        .map_err(|field| Error::invalid_fields(vec![field]))?;
    let available = users.is_username_free(&username).await?;
    let message = if available {
        "This username is free."
    } else {
        "This username, or one that looks like it, is taken."
    };
    Ok(Json(AvailableReply { available, message }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct AccountReply {
    #[schema(example = true)]
    success: bool,
    user: Account,
}

/// One's own account
#[utoipa::path(
    get, path = "/api/v1/auth/me", tag = "auth", security(("token" = [])),
    responses((status = 200, description = "The account.", body = AccountReply))
)]
async fn me(State(auth): State<Auth>, caller: Caller) -> Result<Json<AccountReply>> {
    Ok(Json(AccountReply {
        success: true,
        user: auth.account(&caller.actor).await?,
    }))
}

/// Log out
///
/// Ends the session of this token alone.
#[utoipa::path(
    post, path = "/api/v1/auth/logout", tag = "auth", security(("token" = [])),
    responses((
        status = 200, description = "The token is worth nothing any more; its cookie is cleared.", body = Done,
        headers(("set-cookie" = String))
    ))
)]
async fn log_out(State(auth): State<Auth>, caller: Caller) -> Result<Response> {
    auth.log_out(&caller.actor).await?;
    let cookie = [(header::SET_COOKIE, super::cookie::cleared()?)];
    Ok((cookie, Done::new("You are logged out.")).into_response())
}

#[derive(Serialize, utoipa::ToSchema)]
struct SessionsReply {
    #[schema(example = true)]
    success: bool,
    /// Newest first.
    sessions: Vec<Session>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// One's own sessions
#[utoipa::path(
    get, path = "/api/v1/auth/sessions", tag = "auth", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of those that stand.", body = SessionsReply))
)]
async fn sessions(
    State(auth): State<Auth>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<SessionsReply>> {
    let slice = auth
        .sessions(&caller.actor, query.parse_with(MAX_LIMIT)?)
        .await?;
    Ok(Json(SessionsReply {
        success: true,
        next_cursor: slice.next_cursor(),
        sessions: slice.items,
    }))
}

/// End all other sessions
#[utoipa::path(
    delete, path = "/api/v1/auth/sessions", tag = "auth", security(("token" = [])),
    responses((status = 200, description = "Only this one stands.", body = Done))
)]
async fn end_other_sessions(State(auth): State<Auth>, caller: Caller) -> Result<Json<Done>> {
    auth.end_other_sessions(&caller.actor).await?;
    Ok(Done::new("All other sessions are ended."))
}

/// End a session
#[utoipa::path(
    delete, path = "/api/v1/auth/sessions/{id}", tag = "auth", security(("token" = [])),
    params(("id" = SessionId, Path)),
    responses((status = 200, description = "Its token is worth nothing any more.", body = Done))
)]
async fn end_session(
    State(auth): State<Auth>,
    caller: Caller,
    Path(id): Path<SessionId>,
) -> Result<Json<Done>> {
    auth.end_session(&caller.actor, id).await?;
    Ok(Done::new("The session is ended."))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChangePasswordBody {
    /// The present one.
    #[schema(value_type = String)]
    password: Zeroizing<String>,
    /// 8 to 256 characters, none of the commonly leaked.
    #[schema(value_type = String, min_length = 8, max_length = 256)]
    new_password: Zeroizing<String>,
}

/// Change one's password
///
/// All other sessions end.
#[utoipa::path(
    post, path = "/api/v1/auth/password", tag = "auth", security(("token" = [])), request_body = ChangePasswordBody,
    responses((status = 200, description = "The new one is good from now on.", body = Done))
)]
async fn change_password(
    State(auth): State<Auth>,
    caller: Caller,
    Body(body): Body<ChangePasswordBody>,
) -> Result<Json<Done>> {
    auth.change_password(&caller.actor, &body.password, &body.new_password)
        .await?;
    Ok(Done::new("Your password is changed."))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct RequestResetBody {
    #[schema(format = Email, max_length = 254, example = "ada@example.org")]
    email: String,
}

/// Ask for a password reset
///
/// Sends a code of six digits to the address, if it has an account; the answer is the same if not.
#[utoipa::path(
    post, path = "/api/v1/auth/request-password-reset", tag = "auth", request_body = RequestResetBody,
    responses((status = 200, description = "Said in any case.", body = Done))
)]
async fn request_password_reset(
    State(auth): State<Auth>,
    State(limits): State<Limits>,
    Body(body): Body<RequestResetBody>,
) -> Result<Json<Done>> {
    let email = valid_email(&body.email)?;
    if limits.allows_code(&text::email_key(&email)) {
        auth.otps().request(&email, Purpose::Reset);
    }
    Ok(Done::new(
        "If this address has an account, a code is on its way to it.",
    ))
}

fn valid_email(raw: &str) -> Result<String> {
    text::email("email", raw).map_err(|field| Error::invalid_fields(vec![field]))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct OtpBody {
    /// Six digits, as text.
    #[schema(example = "012345")]
    otp: String,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct ResetTokenReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    /// Allows to set a new password, once, within minutes. It is no session.
    reset_token: String,
}

/// Check the code for a password reset
#[utoipa::path(
    post, path = "/api/v1/auth/verify-reset-otp/{email}", tag = "auth", request_body = OtpBody,
    params(("email" = String, Path)),
    responses((
        status = 200, description = "It was right; the token is also set as a cookie.", body = ResetTokenReply,
        headers(("set-cookie" = String))
    ))
)]
async fn verify_reset_otp(
    State(auth): State<Auth>,
    Path(email): Path<String>,
    Body(body): Body<OtpBody>,
) -> Result<Response> {
    let reset_token = auth.otps().check_reset(&email, &body.otp).await?;
    let good_for = auth.otps().reset_good_for().as_secs();
    let cookie = reset_cookie(&auth, &reset_token, good_for)?;
    let reply = ResetTokenReply {
        success: true,
        message: "Now choose a new password.",
        reset_token,
    };
    Ok(([(header::SET_COOKIE, cookie)], Json(reply)).into_response())
}

fn reset_cookie(auth: &Auth, token: &str, seconds: u64) -> Result<HeaderValue> {
    let secure = if auth.is_behind_tls() { "; Secure" } else { "" };
    HeaderValue::from_str(&format!(
        "{RESET_COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}"
    ))
    .map_err(Error::internal)
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct ResetPasswordBody {
    #[schema(format = Email, max_length = 254, example = "ada@example.org")]
    email: String,
    /// 8 to 256 characters, none of the commonly leaked.
    #[schema(value_type = String, min_length = 8, max_length = 256)]
    new_password: Zeroizing<String>,
    /// What `verify-reset-otp` answered; may also come as a cookie or as bearer token.
    reset_token: Option<String>,
    /// Or the code itself.
    otp: Option<String>,
}

/// Set a new password
///
/// With the token of `verify-reset-otp` (in the body, as cookie, or as bearer token) or with the code itself. All
/// sessions end.
#[utoipa::path(
    post, path = "/api/v1/auth/reset-password", tag = "auth", request_body = ResetPasswordBody,
    responses(
        (status = 200, description = "The new one is good from now on.", body = Done),
        (status = 401, description = "`invalid_reset_token`.", body = ErrorBody),
    )
)]
async fn reset_password(
    State(auth): State<Auth>,
    headers: HeaderMap,
    Body(body): Body<ResetPasswordBody>,
) -> Result<Response> {
    let email = valid_email(&body.email)?;
    let proof = match (body.reset_token, body.otp) {
        (Some(token), _) => Proof::Token(token),
        (None, Some(code)) => Proof::Code(code),
        (None, None) => Proof::Token(reset_token(&headers).ok_or(Code::InvalidResetToken)?),
    };
    auth.reset_password(&email, &body.new_password, proof)
        .await?;
    Ok((
        [(header::SET_COOKIE, reset_cookie(&auth, "", 0)?)],
        Done::new("Your new password is good from now on."),
    )
        .into_response())
}

/// The reset token in the cookie, or else as bearer token.
fn reset_token(headers: &HeaderMap) -> Option<String> {
    cookie(headers, RESET_COOKIE)
        .or_else(|| gateway::carried_token(headers))
        .map(ToOwned::to_owned)
}

/// Ask for a code that proves one's e-mail address
#[utoipa::path(
    post, path = "/api/v1/auth/request-verification", tag = "auth", security(("token" = [])),
    responses((status = 200, description = "It is on its way.", body = Done))
)]
async fn request_verification(
    State(auth): State<Auth>,
    State(limits): State<Limits>,
    caller: Caller,
) -> Result<Json<Done>> {
    let account = auth.account(&caller.actor).await?;
    if limits.allows_code(&text::email_key(&account.email)) {
        auth.otps().request_verify(&caller.actor, &account).await?;
    }
    Ok(Done::new("A code is on its way to your address."))
}

/// Prove one's e-mail address
#[utoipa::path(
    post, path = "/api/v1/auth/verify-email", tag = "auth", security(("token" = [])), request_body = OtpBody,
    responses((status = 200, description = "`isVerified` is true from now on.", body = Done))
)]
async fn verify_email(
    State(auth): State<Auth>,
    caller: Caller,
    Body(body): Body<OtpBody>,
) -> Result<Json<Done>> {
    let account = auth.account(&caller.actor).await?;
    auth.otps()
        .check_verify(&caller.actor, &account, &body.otp)
        .await?;
    Ok(Done::new("Your address is verified."))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchQuery {
    /// The beginning of a username, or of a word of a name; 1 to 100 characters.
    #[serde(default)]
    #[param(required, min_length = 1)]
    pub(super) query: String,
}

/// A person as the original's account search gave them.
#[derive(Serialize, utoipa::ToSchema)]
struct FoundAccount {
    #[serde(flatten)]
    person: Person,
    /// Always null: an address is its owner's business.
    #[schema(required)]
    email: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct FoundAccountsReply {
    #[schema(example = true)]
    success: bool,
    /// At most twenty.
    users: Vec<FoundAccount>,
    /// Always null: the list is whole.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Search people
#[utoipa::path(
    get, path = "/api/v1/auth/search", tag = "auth", security(("token" = [])), params(SearchQuery, PageQuery),
    responses((status = 200, description = "Those found.", body = FoundAccountsReply))
)]
async fn search(
    State(users): State<Users>,
    caller: Caller,
    Query(query): Query<SearchQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<FoundAccountsReply>> {
    page.parse()?;
    let people = users.search(caller.id(), &query.query).await?;
    let users = people
        .into_iter()
        .map(|person| FoundAccount {
            person,
            email: None,
        })
        .collect();
    Ok(Json(FoundAccountsReply {
        success: true,
        users,
        next_cursor: None,
    }))
}

/// A profile as the original's account route gave it.
#[derive(Serialize, utoipa::ToSchema)]
struct FoundProfile {
    #[serde(flatten)]
    profile: Profile,
    /// The address, for oneself alone; else null.
    #[schema(required)]
    email: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct FoundProfileReply {
    #[schema(example = true)]
    success: bool,
    user: FoundProfile,
}

/// Somebody's profile
#[utoipa::path(
    get, path = "/api/v1/auth/profile/{userId}", tag = "auth", security(("token" = [])),
    params(("userId" = UserId, Path)),
    responses((status = 200, description = "The profile.", body = FoundProfileReply))
)]
async fn profile(
    State(auth): State<Auth>,
    State(users): State<Users>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<FoundProfileReply>> {
    let profile = users.profile(caller.id(), id).await?;
    let email = if id == caller.id() {
        Some(auth.account(&caller.actor).await?.email)
    } else {
        None
    };
    Ok(Json(FoundProfileReply {
        success: true,
        user: FoundProfile { profile, email },
    }))
}

/// Change one's profile
#[utoipa::path(
    patch, path = "/api/v1/auth/profile", tag = "auth", security(("token" = [])), request_body = ProfileBody,
    responses(
        (status = 200, description = "The profile as it is now.", body = FoundProfileReply),
        (status = 409, description = "`username_taken`.", body = ErrorBody),
    )
)]
async fn update_profile(
    State(auth): State<Auth>,
    State(users): State<Users>,
    caller: Caller,
    Body(body): Body<ProfileBody>,
) -> Result<Json<FoundProfileReply>> {
    let profile = users.update_profile(&caller.actor, body.into()).await?;
    let email = Some(auth.account(&caller.actor).await?.email);
    Ok(Json(FoundProfileReply {
        success: true,
        user: FoundProfile { profile, email },
    }))
}
