//! The one error of the request path.
//!
//! An [`Error`] has two faces. Its [`Code`] and message are for the person and the client: stable, documented, free of
//! internals. Its source is for the log and never leaves the process. `gateway::error` turns it into the wire's shape,
//! in one place.
#![warn(missing_docs)]

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What went wrong, as a result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about it; the gateway gives each kind one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 400: the request is wrong and will stay wrong.
    Invalid,
    /// 401: say who you are.
    Unauthenticated,
    /// 403: known, and not allowed.
    Forbidden,
    /// 404: not there, or not for you to know.
    NotFound,
    /// 405: the path exists, the method does not.
    MethodNotAllowed,
    /// 409: true of the request, not of the present state.
    Conflict,
    /// 412: what the request takes for granted is not so.
    PreconditionFailed,
    /// 413: more than the server takes.
    TooLarge,
    /// 414: an address longer than the server reads.
    UriTooLong,
    /// 415: a body in a form that is not understood.
    UnsupportedType,
    /// 416: a part of a file that it does not have.
    RangeNotSatisfiable,
    /// 431: more headers than the server reads.
    HeadersTooLarge,
    /// 460: a piece of an upload was damaged on the way (tus 1.0).
    ChecksumMismatch,
    /// 422: understood, and it contradicts what was said before.
    Unprocessable,
    /// 429: too often; try again later.
    RateLimited,
    /// 500: our fault.
    Internal,
    /// 502: another server that is needed for this gave no answer of any use.
    BadGateway,
    /// 503: not now; try again later.
    Unavailable,
    /// 504: another server that is needed for this did not answer in time.
    GatewayTimeout,
    /// 507: no room left to write.
    StorageFull,
}

macro_rules! codes {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $kind:ident, $code:literal, $message:literal; )+) => {
        /// Every error code that a client can meet. The texts are defaults; an [`Error`] may say more.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $( $(#[doc = $doc])+ #[serde(rename = $code)] $variant, )+
        }

        impl Code {
            /// All codes, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// The stable name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $code, )+ }
            }

            /// What the caller can do about it.
            pub fn kind(self) -> Kind {
                match self { $( Self::$variant => Kind::$kind, )+ }
            }

            /// The text for a person when nothing more particular is known.
            pub fn message(self) -> &'static str {
                match self { $( Self::$variant => $message, )+ }
            }

            /// The documentation of the code, for the API reference.
            pub fn meaning(self) -> &'static str {
                match self { $( Self::$variant => concat!($( $doc ),+), )+ }
            }
        }
    };
}

codes! {
    /// One or more fields are missing, of the wrong type or out of range; `errors` names each.
    InvalidFields = Invalid, "invalid_fields", "Some fields are not as they should be.";
    /// The body is not the JSON or form that it claims to be.
    InvalidBody = Invalid, "invalid_body", "The body of the request could not be read.";
    /// A query parameter (`page`, `limit`, `cursor`, ...) is malformed.
    InvalidQuery = Invalid, "invalid_query", "A parameter of the address is not as it should be.";
    /// The path is not valid text.
    InvalidPath = Invalid, "invalid_path", "The address could not be read.";
    /// What came over the connection is no HTTP.
    MalformedRequest = Invalid, "malformed_request", "This request could not be read.";
    /// A post needs text or media.
    EmptyPost = Invalid, "empty_post", "A post needs a text or a picture.";
    /// A message needs a text.
    EmptyMessage = Invalid, "empty_message", "A message needs a text.";
    /// The server knows no event of that name.
    UnknownEvent = Invalid, "unknown_event", "The server does not know this event.";
    /// A file came where a text belongs.
    UnexpectedFile = Invalid, "unexpected_file", "Files do not come this way: upload them first.";
    /// An update that changes nothing.
    NothingToChange = Invalid, "nothing_to_change", "There is nothing to change in this request.";
    /// One cannot follow oneself.
    CannotFollowSelf = Invalid, "cannot_follow_self", "You cannot follow yourself.";
    /// One cannot block oneself.
    CannotBlockSelf = Invalid, "cannot_block_self", "You cannot block yourself.";
    /// One cannot mute oneself.
    CannotMuteSelf = Invalid, "cannot_mute_self", "You cannot mute yourself.";
    /// The six-digit code is wrong, expired, used, or was never sent.
    InvalidOtp = Invalid, "invalid_otp", "This code is wrong or has expired.";
    /// The setup link was used already or is not the one that was printed.
    InvalidSetupToken = Forbidden, "invalid_setup_token", "This setup link is not valid any more.";
    /// The `Idempotency-Key` is empty, too long, or not printable ASCII.
    InvalidIdempotencyKey = Invalid, "invalid_idempotency_key", "The Idempotency-Key is not valid.";
    /// No token, or one that is malformed, forged, expired or revoked.
    Unauthenticated = Unauthenticated, "unauthenticated", "Please log in.";
    /// Wrong password or unknown user: deliberately not said which.
    InvalidCredentials = Unauthenticated, "invalid_credentials", "The name or the password is wrong.";
    /// The reset token is missing, wrong, expired, used, or for another address.
    InvalidResetToken = Unauthenticated, "invalid_reset_token", "This password reset is not valid any more. Please ask for a new code.";
    /// The address of a file that is not public has no signature, a wrong one, or one that has expired.
    InvalidSignature = Forbidden, "invalid_signature", "This address is not valid any more. Please load the page again.";
    /// The caller may not do this.
    Forbidden = Forbidden, "forbidden", "You may not do this.";
    /// The two do not follow each other, or one of them wants no messages of the other's.
    CannotMessage = Forbidden, "cannot_message", "You can only write to people who follow you, and whom you follow.";
    /// The caller is banned from this room.
    BannedFromRoom = Forbidden, "banned_from_room", "You are banned from this room.";
    /// Only those who are invited come into this room.
    InvitationNeeded = Forbidden, "invitation_needed", "You need an invitation to this room.";
    /// The caller may read in this room and not write.
    MutedInRoom = Forbidden, "muted_in_room", "You may not write in this room at the moment.";
    /// Only those who keep order write in this room.
    RoomReadOnly = Forbidden, "room_read_only", "Only moderators write in this room.";
    /// The account is suspended.
    AccountSuspended = Forbidden, "account_suspended", "This account is suspended.";
    /// There is nothing at this address, or it is not for the caller to know.
    NotFound = NotFound, "not_found", "There is nothing here.";
    /// No such user.
    UserNotFound = NotFound, "user_not_found", "This person is not here.";
    /// No such post, or not visible to the caller.
    PostNotFound = NotFound, "post_not_found", "This post is not here.";
    /// No such comment, or not visible to the caller.
    CommentNotFound = NotFound, "comment_not_found", "This comment is not here.";
    /// No such notification of the caller's.
    NotificationNotFound = NotFound, "notification_not_found", "This notification is not here.";
    /// No such picture, video or recording; or it is not the caller's, or in use elsewhere.
    MediaNotFound = NotFound, "media_not_found", "This picture or video is not here.";
    /// No such upload, or it is over.
    UploadNotFound = NotFound, "upload_not_found", "This upload is not here, or it is over.";
    /// No such room, or not for the caller.
    RoomNotFound = NotFound, "room_not_found", "This room is not here.";
    /// No such message, or not in a room where the caller may read.
    MessageNotFound = NotFound, "message_not_found", "This message is not here.";
    /// This person is not in the room.
    MemberNotFound = NotFound, "member_not_found", "This person is not in this room.";
    /// No such story for the caller, or its time is over.
    StoryNotFound = NotFound, "story_not_found", "This story is not here any more.";
    /// No such highlight for the caller.
    HighlightNotFound = NotFound, "highlight_not_found", "This highlight is not here.";
    /// No such list of the caller's.
    ListNotFound = NotFound, "list_not_found", "This list is not here.";
    /// No such muted word or hashtag of the caller's.
    MutedTermNotFound = NotFound, "muted_term_not_found", "This word is not muted.";
    /// No such session of the caller's.
    SessionNotFound = NotFound, "session_not_found", "This session is not here.";
    /// No consumer of that name.
    ConsumerNotFound = NotFound, "consumer_not_found", "There is no consumer of that name.";
    /// The path exists, but not for this method; `Allow` lists those that do.
    MethodNotAllowed = MethodNotAllowed, "method_not_allowed", "This address does not take that method.";
    /// The caller is not in this room.
    NotInRoom = Conflict, "not_in_room", "You are not in this room.";
    /// There is a room of that name.
    RoomExists = Conflict, "room_exists", "There is a room of that name already.";
    /// A room has an owner, as long as there is anybody in it.
    LastOwner = Conflict, "last_owner", "A room needs an owner: make somebody else one first.";
    /// The caller shows as many stories as one may at once.
    TooManyStories = Conflict, "too_many_stories", "You show as many stories as you can at once.";
    /// The caller has as many highlights as one may.
    TooManyHighlights = Conflict, "too_many_highlights", "You have as many highlights as you can.";
    /// As many people are in a circle as may be.
    TooManyInCircle = Conflict, "too_many_in_circle", "At most 1,000 people can be chosen.";
    /// A group is as large as it may be.
    TooManyMembers = Conflict, "too_many_members", "A group has at most 50 people.";
    /// Too many invitations to this room wait for an answer.
    TooManyInvitations = Conflict, "too_many_invitations", "Too many people are invited to this room already.";
    /// As many of the caller's requests wait to be accepted as may.
    TooManyRequestsPending = Conflict, "too_many_requests_pending", "Too many people have not answered you yet.";
    /// As many messages of this room are pinned as may be.
    TooManyPins = Conflict, "too_many_pins", "Too many messages are pinned here.";
    /// The caller has left as many reactions on this message as one may.
    TooManyReactions = Conflict, "too_many_reactions", "You have left enough reactions here.";
    /// The caller is connected as often as one may be.
    TooManyConnections = Conflict, "too_many_connections", "You are connected too many times at once.";
    /// The caller blocks as many people as one may.
    TooManyBlocks = Conflict, "too_many_blocks", "You block as many people as you can. Please unblock some first.";
    /// The caller mutes as many people as one may.
    TooManyMutes = Conflict, "too_many_mutes", "You mute as many people as you can. Please unmute some first.";
    /// The caller mutes as many words and hashtags as one may.
    TooManyMutedTerms = Conflict, "too_many_muted_terms", "You mute as many words as you can. Please unmute some first.";
    /// The caller follows as many hashtags as one may.
    TooManyFollowedTags = Conflict, "too_many_followed_tags", "You follow as many hashtags as you can. Please unfollow some first.";
    /// The caller has as many lists as one may.
    TooManyLists = Conflict, "too_many_lists", "You have as many lists as you can.";
    /// A list is as long as it may be.
    TooManyListMembers = Conflict, "too_many_list_members", "A list has at most 500 people.";
    /// The caller, or their connection, is in as many rooms as may be, or has made as many.
    TooManyRooms = Conflict, "too_many_rooms", "You are in too many rooms, or have made too many.";
    /// The caller watches as many people as one connection may.
    TooManyWatched = Conflict, "too_many_watched", "These are too many people to watch at once.";
    /// The client does not read what it is sent; it was disconnected, and finds what it missed when it comes back.
    TooSlow = Unavailable, "too_slow", "Your connection could not keep up.";
    /// What is to be removed is in use: in a post, or in a profile.
    MediaInUse = Conflict, "media_in_use", "This is in use. Please remove the post, or change the profile, instead.";
    /// The `Upload-Offset` is not where the upload ends.
    UploadConflict = Conflict, "upload_conflict", "This upload has come further, or less far.";
    /// Somebody adds to the same upload just now.
    UploadBusy = Conflict, "upload_busy", "This upload is under way already.";
    /// The caller has begun as many uploads as one may.
    TooManyUploads = Conflict, "too_many_uploads", "Too many of your uploads are not finished.";
    /// A piece of an upload is not the one that its checksum is of; it was thrown away.
    ChecksumMismatch = ChecksumMismatch, "checksum_mismatch", "A piece of the upload was damaged on the way. Please send it again.";
    /// The e-mail address has an account already.
    EmailTaken = Conflict, "email_taken", "This e-mail address has an account already.";
    /// The username, or one that looks the same, is taken.
    UsernameTaken = Conflict, "username_taken", "This username, or one that looks like it, is taken.";
    /// The first request with this `Idempotency-Key` is still under way.
    IdempotencyInProgress = Conflict, "idempotency_in_progress", "The first request with this Idempotency-Key is still under way.";
    /// The file is another than `If-Match` names.
    PreconditionFailed = PreconditionFailed, "precondition_failed", "This has changed in between.";
    /// The `Range` lies behind the end of the file.
    RangeNotSatisfiable = RangeNotSatisfiable, "range_not_satisfiable", "This file is not that long.";
    /// The address is longer than the server reads.
    AddressTooLong = UriTooLong, "address_too_long", "This address is too long.";
    /// The headers are longer, or more, than the server reads.
    HeadersTooLarge = HeadersTooLarge, "headers_too_large", "This request has too many headers, or too long ones.";
    /// The body is larger than the server takes.
    BodyTooLarge = TooLarge, "body_too_large", "This is larger than the server takes.";
    /// One file of the request is larger than its kind may be.
    FileTooLarge = TooLarge, "file_too_large", "This file is larger than the server takes.";
    /// The caller's uploads take all the room that one person has.
    QuotaExceeded = TooLarge, "quota_exceeded", "Your uploads take all the room that you have here. Please remove some.";
    /// The content of a file is of no kind that the server takes, whatever its name says.
    UnsupportedFile = UnsupportedType, "unsupported_file", "This is no picture, video or recording that the server takes.";
    /// The content of a file is of another kind than its declared type.
    MismatchedFile = UnsupportedType, "mismatched_file", "This file is not of the kind that it claims to be.";
    /// The `Content-Type` is not one that this address understands.
    UnsupportedMediaType = UnsupportedType, "unsupported_media_type", "Please send JSON.";
    /// The `Idempotency-Key` was used before with a different request.
    IdempotencyMismatch = Unprocessable, "idempotency_mismatch", "This Idempotency-Key was used for a different request.";
    /// A picture, video or recording is damaged, cut off, or cannot be decoded safely.
    BrokenFile = Unprocessable, "broken_file", "This file is damaged or not complete.";
    /// Converting a video or recording took longer than it may; it is not tried again.
    ConversionTimedOut = Unprocessable, "conversion_timed_out", "Preparing this took too long.";
    /// The program that converts videos and recordings crashed on this one; it is not tried again.
    ConversionCrashed = Unprocessable, "conversion_crashed", "This could not be prepared: the program that does so crashed on it.";
    /// Converting a video or recording took too much memory or room, or failed again and again for another reason.
    ConversionFailed = Unprocessable, "conversion_failed", "This could not be prepared.";
    /// A video or recording is longer than the server takes.
    TooLong = Unprocessable, "too_long", "This is longer than the server takes.";
    /// A picture has more pixels, or an animation more frames, than the server decodes.
    TooManyPixels = Unprocessable, "too_many_pixels", "This picture is too large to be shown.";
    /// A file without content.
    EmptyFile = Invalid, "empty_file", "This file is empty.";
    /// More files than one request may bring.
    TooManyFiles = Invalid, "too_many_files", "A post may have at most 10 pictures or videos.";
    /// Too many requests; `Retry-After` says how many seconds to wait.
    RateLimited = RateLimited, "rate_limited", "That was a bit too fast. Please try again in a moment.";
    /// The room lets each member write only now and then; `Retry-After` says how many seconds to wait.
    SlowMode = RateLimited, "slow_mode", "This room is in slow mode. Please wait a moment.";
    /// Writing help declined: its provider does not write about this, or does not look at this picture.
    AssistBlocked = Unprocessable, "assist_blocked", "The writing help does not want to write about this.";
    /// Nobody has set up writing help, or not this part of it; `assist` of `/api/v1/instance` tells beforehand.
    AssistDisabled = Unavailable, "assist_disabled", "There is no writing help on this server.";
    /// What this server may spend on writing help in a month is spent.
    AssistBudgetSpent = Unavailable, "assist_budget_spent", "The writing help of this server is used up for this month.";
    /// The provider of writing help cannot be reached, is overloaded, or does not let this server ask; `Retry-After` says when to try again.
    AssistUnavailable = Unavailable, "assist_unavailable", "The writing help does not work just now. Please try again in a moment.";
    /// The provider of writing help gave no answer that can be used.
    AssistBadAnswer = BadGateway, "assist_bad_answer", "The writing help gave no answer that can be used.";
    /// The provider of writing help did not answer in time.
    AssistTimedOut = GatewayTimeout, "assist_timed_out", "The writing help took too long.";
    /// A fault of the server; the log has the details under the request id.
    Internal = Internal, "internal", "Something went wrong on our side.";
    /// More work is queued than the server can finish in time.
    Overloaded = Unavailable, "overloaded", "The server is busy. Please try again in a moment.";
    /// The request took longer than it may.
    TimedOut = Unavailable, "timed_out", "This took too long. Please try again.";
    /// A video is being made into what browsers play, and its file is not one of those itself.
    MediaProcessing = Unavailable, "media_processing", "This video is being prepared. Please try again in a moment.";
    /// The bucket that the media are in does not answer.
    MediaStoreUnavailable = Unavailable, "media_store_unavailable", "Pictures and videos cannot be reached just now. Please try again in a moment.";
    /// The server is starting or stopping.
    NotReady = Unavailable, "not_ready", "The server is starting or stopping. Please try again in a moment.";
    /// What this part of the server derives from the database is being rebuilt or repaired.
    Repairing = Unavailable, "repairing", "This part of the server is being repaired. Please try again in a moment.";
    /// No space is left to write; reading goes on.
    StorageFull = StorageFull, "storage_full", "The server's disk is full: nothing can be written until there is room.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field's name as the client wrote it.
    pub field: Cow<'static, str>,
    /// A stable name of the rule that was broken: `required`, `too_long`, ...
    pub code: Cow<'static, str>,
    /// The rule in words.
    pub message: Cow<'static, str>,
}

impl FieldError {
    /// A broken rule of one field.
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field: field.into(),
            code: code.into(),
            message: message.into(),
        }
    }
}

/// See the [module](self).
pub struct Error(Box<Inner>);

struct Inner {
    code: Code,
    message: Cow<'static, str>,
    fields: Vec<FieldError>,
    retry_after_s: Option<u32>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error with the code's own text.
    pub fn new(code: Code) -> Self {
        Self(Box::new(Inner {
            code,
            message: Cow::Borrowed(code.message()),
            fields: Vec::new(),
            retry_after_s: None,
            source: None,
        }))
    }

    /// A fault of ours; the client learns no more than that.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Code::Internal).with_source(source)
    }

    /// Fields that broke their rules; must not be empty.
    pub fn invalid_fields(fields: Vec<FieldError>) -> Self {
        debug_assert!(!fields.is_empty(), "an invalid request names its fields");
        let mut error = Self::new(Code::InvalidFields);
        if let [only] = fields.as_slice() {
            error.0.message.clone_from(&only.message);
        }
        error.0.fields = fields;
        error
    }

    /// One field that broke its rule.
    pub fn invalid_field(
        field: &'static str,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::invalid_fields(vec![FieldError::new(field, code, message)])
    }

    /// A more particular text for the person.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.message = message.into();
        self
    }

    /// The cause, for the log alone.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// When to try again, in whole seconds (`Retry-After`, RFC 9110 section 10.2.3).
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        self.0.code.kind()
    }

    /// The text for the person.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The fields that broke their rules.
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// When to try again, in whole seconds.
    pub fn retry_after_s(&self) -> Option<u32> {
        match self.kind() {
            Kind::Unavailable | Kind::RateLimited => Some(self.0.retry_after_s.unwrap_or(1)),
            _ => self.0.retry_after_s,
        }
    }

    /// The whole chain of causes in one line, for the log. What a library's error repeats of its own cause stands there
    /// once.
    pub fn causes(&self) -> String {
        let mut chain = String::new();
        let mut next = self.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !chain.contains(&text) {
                if !chain.is_empty() {
                    chain.push_str(": ");
                }
                chain.push_str(&text);
            }
            next = cause.source();
        }
        chain
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        for field in self.fields() {
            write!(f, " [{}: {}]", field.field, field.code)?;
        }
        let causes = self.causes();
        if causes.is_empty() {
            Ok(())
        } else {
            write!(f, " ({causes})")
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_snake_case_and_unique() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} stands twice");
            assert!(
                code.as_str()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'_')
            );
            assert!(!code.meaning().trim().is_empty());
        }
    }

    #[test]
    fn display_does_not_repeat_the_source() {
        let error = Error::internal("disk on fire");
        assert!(!error.to_string().contains("fire"));
        assert_eq!(error.causes(), "disk on fire");
    }

    #[test]
    fn what_an_error_repeats_of_its_cause_is_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("refused by 127.0.0.1")]
        struct Refused;
        #[derive(Debug, thiserror::Error)]
        #[error("could not connect")]
        struct Connect(#[source] Refused);
        #[derive(Debug, thiserror::Error)]
        #[error("Generic S3 error: {0} after 3 retries")]
        struct Repeats(#[source] Connect);
        let error = Error::internal(Repeats(Connect(Refused)));
        assert_eq!(
            error.causes(),
            "Generic S3 error: could not connect after 3 retries: refused by 127.0.0.1"
        );
    }
}
