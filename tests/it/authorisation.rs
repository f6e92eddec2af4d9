//! Who may do what: one row for each operation of the API. An operation without a row fails, and so does a row without
//! its operation.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, PASSWORD, Person, Server, pictures};

/// What `{id}` in a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Id {
    /// There is none.
    None,
    /// The owner themselves.
    User,
    /// A post of the owner's.
    Post,
    /// A comment of the owner's, beneath a post of theirs.
    Comment,
    /// A session of the owner's.
    Session,
    /// A notification of the owner's.
    Notification,
    /// An upload of the owner's that nothing has.
    Upload,
    /// A picture of a public post.
    Picture,
    /// A conversation of the owner's with somebody else.
    Conversation,
    /// A room that only its members know of, which the owner made.
    HiddenRoom,
    /// A message of the owner's there.
    Message,
    /// A word that the owner mutes.
    Mute,
    /// A list of the owner's.
    List,
    /// A story of the owner's for everybody.
    Story,
    /// A highlight of the owner's with it.
    Highlight,
}

/// Method, path, what its `{id}` is, body (`$fresh` is a new name, `$password` everybody's, `$owner` the owner's id), and the statuses for
/// nobody, a stranger, the owner, and an admin.
type Row = (&'static str, &'static str, Id, &'static str, [u16; 4]);

const CREDENTIALS: &str = r#"{"identifier": "owner", "password": "$password"}"#;
const SIGN_UP: &str = r#"{"name": "N", "email": "$fresh@example.org", "username": "$fresh", "password": "$password"}"#;
const SET_UP: &str = r#"{"token": "x", "name": "N", "email": "$fresh@example.org", "username": "$fresh", "password": "$password"}"#;
const SAME_PASSWORD: &str = r#"{"password": "$password", "newPassword": "$password"}"#;
const NO_RESET: &str =
    r#"{"email": "owner@example.org", "newPassword": "$password", "resetToken": "x"}"#;
const CONTENT: &str = r#"{"content": "Hello"}"#;
const NO_CODE: &str = r#"{"otp": "------"}"#;

const EMOJI: &str = r#"{"emoji": "👍"}"#;

/// A form with a picture.
const PICTURE: &str = "$picture";

const ROWS: &[Row] = &[
    // Chat.
    ("GET", "/api/v1/chat/health", Id::None, "", [200; 4]),
    (
        "GET",
        "/api/v1/chat/{roomId}/history",
        Id::Conversation,
        "",
        [401, 403, 200, 403],
    ),
    (
        "POST",
        "/api/v1/chat/{roomId}/message",
        Id::Conversation,
        r#"{"message": "Hello"}"#,
        [401, 403, 200, 403],
    ),
    (
        "GET",
        "/api/v1/chat/{roomId}/users",
        Id::Conversation,
        "",
        [401, 403, 200, 403],
    ),
    (
        "POST",
        "/api/v1/chat/conversations/{roomId}/read",
        Id::Conversation,
        "{}",
        [401, 403, 200, 403],
    ),
    (
        "GET",
        "/api/v1/chat/chatable-users",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/chat/chatable-users/{userId}",
        Id::None,
        "",
        [401, 403, 200, 403],
    ),
    (
        "GET",
        "/api/v1/chat/conversations",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/chat/unread-count",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/chat/socket-info",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PATCH",
        "/api/v1/chat/messages/{messageId}",
        Id::Message,
        r#"{"message": "Hi"}"#,
        [401, 404, 200, 404],
    ),
    (
        "DELETE",
        "/api/v1/chat/messages/{messageId}",
        Id::Message,
        "",
        [401, 404, 200, 404],
    ),
    (
        "POST",
        "/api/v1/chat/messages/{messageId}/reactions",
        Id::Message,
        EMOJI,
        [401, 404, 200, 404],
    ),
    (
        "DELETE",
        "/api/v1/chat/messages/{messageId}/reactions",
        Id::Message,
        EMOJI,
        [401, 404, 200, 404],
    ),
    (
        "GET",
        "/api/v1/chat/conversations/{roomId}",
        Id::Conversation,
        "",
        [401, 403, 200, 403],
    ),
    (
        "DELETE",
        "/api/v1/chat/conversations/{roomId}",
        Id::Conversation,
        "",
        [401, 403, 200, 403],
    ),
    (
        "GET",
        "/api/v1/chat/conversations/{roomId}/messages",
        Id::Conversation,
        "",
        [401, 403, 200, 403],
    ),
    (
        "POST",
        "/api/v1/chat/conversations/{roomId}/messages",
        Id::Conversation,
        r#"{"message": "Hello"}"#,
        [401, 403, 200, 403],
    ),
    (
        "GET",
        "/api/v1/chat/conversations/{roomId}/media",
        Id::Conversation,
        "",
        [401, 403, 200, 403],
    ),
    (
        "POST",
        "/api/v1/chat/conversations/{roomId}/delivered",
        Id::Conversation,
        "{}",
        [401, 403, 200, 403],
    ),
    (
        "POST",
        "/api/v1/chat/conversations/{roomId}/accept",
        Id::Conversation,
        "",
        [401, 403, 200, 403],
    ),
    (
        "POST",
        "/api/v1/chat/conversations/{roomId}/decline",
        Id::Conversation,
        "",
        [401, 403, 200, 403],
    ),
    (
        "GET",
        "/api/v1/chat/conversations/{roomId}/search?q=hello",
        Id::Conversation,
        "",
        [401, 403, 200, 403],
    ),
    // Search.
    (
        "GET",
        "/api/v1/search?q=hello",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/search/suggest?q=he",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/admin/search",
        Id::None,
        "",
        [401, 403, 403, 200],
    ),
    (
        "POST",
        "/api/v1/admin/search/verify",
        Id::None,
        "",
        [401, 403, 403, 202],
    ),
    (
        "POST",
        "/api/v1/admin/search/rebuild",
        Id::None,
        "",
        [401, 403, 403, 202],
    ),
    (
        "GET",
        "/api/v1/chat/settings",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PATCH",
        "/api/v1/chat/settings",
        Id::None,
        r#"{"whoMayMessage": "mutuals"}"#,
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/chat/conversations",
        Id::None,
        r#"{"userIds": ["1"]}"#,
        [401, 404, 404, 404],
    ),
    (
        "POST",
        "/api/v1/chat/conversations/start",
        Id::None,
        r#"{"targetUserId": "1"}"#,
        [401, 404, 404, 404],
    ),
    (
        "GET",
        "/api/v1/chat/rooms",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/chat/rooms",
        Id::None,
        r#"{"title": "Gardeners"}"#,
        [401, 201, 201, 201],
    ),
    (
        "GET",
        "/api/v1/chat/rooms/directory",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/chat/invitations",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/chat/rooms/{roomId}",
        Id::HiddenRoom,
        "",
        [401, 404, 200, 404],
    ),
    (
        "PATCH",
        "/api/v1/chat/rooms/{roomId}",
        Id::HiddenRoom,
        r#"{"topic": "Roses"}"#,
        [401, 404, 200, 404],
    ),
    (
        "DELETE",
        "/api/v1/chat/rooms/{roomId}",
        Id::HiddenRoom,
        "",
        [401, 404, 200, 404],
    ),
    (
        "POST",
        "/api/v1/chat/rooms/{roomId}/join",
        Id::HiddenRoom,
        "",
        [401, 404, 200, 404],
    ),
    (
        "GET",
        "/api/v1/chat/rooms/{roomId}/members",
        Id::HiddenRoom,
        "",
        [401, 404, 200, 404],
    ),
    (
        "POST",
        "/api/v1/chat/rooms/{roomId}/members",
        Id::HiddenRoom,
        r#"{"userIds": ["1"]}"#,
        [401, 404, 403, 404],
    ),
    (
        "PATCH",
        "/api/v1/chat/rooms/{roomId}/members/{userId}",
        Id::HiddenRoom,
        r#"{"role": "owner"}"#,
        [401, 404, 200, 404],
    ),
    (
        "DELETE",
        "/api/v1/chat/rooms/{roomId}/members/{userId}",
        Id::HiddenRoom,
        "",
        [401, 404, 200, 404],
    ),
    (
        "GET",
        "/api/v1/chat/rooms/{roomId}/invitations",
        Id::HiddenRoom,
        "",
        [401, 404, 200, 404],
    ),
    (
        "POST",
        "/api/v1/chat/rooms/{roomId}/invitations",
        Id::HiddenRoom,
        r#"{"userId": "1"}"#,
        [401, 404, 404, 404],
    ),
    (
        "DELETE",
        "/api/v1/chat/rooms/{roomId}/invitations/{userId}",
        Id::HiddenRoom,
        "",
        [401, 404, 404, 404],
    ),
    (
        "GET",
        "/api/v1/chat/rooms/{roomId}/sanctions",
        Id::HiddenRoom,
        "",
        [401, 404, 200, 404],
    ),
    (
        "PUT",
        "/api/v1/chat/rooms/{roomId}/mutes/{userId}",
        Id::HiddenRoom,
        "{}",
        [401, 404, 403, 404],
    ),
    (
        "DELETE",
        "/api/v1/chat/rooms/{roomId}/mutes/{userId}",
        Id::HiddenRoom,
        "",
        [401, 404, 403, 404],
    ),
    (
        "PUT",
        "/api/v1/chat/rooms/{roomId}/bans/{userId}",
        Id::HiddenRoom,
        "{}",
        [401, 404, 403, 404],
    ),
    (
        "DELETE",
        "/api/v1/chat/rooms/{roomId}/bans/{userId}",
        Id::HiddenRoom,
        "",
        [401, 404, 403, 404],
    ),
    (
        "GET",
        "/api/v1/chat/rooms/{roomId}/pins",
        Id::HiddenRoom,
        "",
        [401, 404, 200, 404],
    ),
    (
        "GET",
        "/api/v1/chat/messages/{messageId}",
        Id::Message,
        "",
        [401, 404, 200, 404],
    ),
    (
        "GET",
        "/api/v1/chat/messages/{messageId}/edits",
        Id::Message,
        "",
        [401, 404, 200, 404],
    ),
    (
        "PUT",
        "/api/v1/chat/messages/{messageId}/pin",
        Id::Message,
        "",
        [401, 404, 200, 404],
    ),
    (
        "DELETE",
        "/api/v1/chat/messages/{messageId}/pin",
        Id::Message,
        "",
        [401, 404, 200, 404],
    ),
    (
        "GET",
        "/api/v1/chat/presence?ids=1",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/posts/batch?ids=1",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    // Home.
    ("GET", "/api/v1/feed", Id::None, "", [401, 200, 200, 200]),
    ("GET", "/api/v1/feed/health", Id::None, "", [200; 4]),
    (
        "GET",
        "/api/v1/feed/personalized",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/feed/trending",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/trending/posts",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/trending/tags",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/feed/settings",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PATCH",
        "/api/v1/feed/settings",
        Id::None,
        r#"{"order": "latest"}"#,
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/feed/local",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    ("GET", "/api/v1/tags", Id::None, "", [401, 200, 200, 200]),
    (
        "GET",
        "/api/v1/tags/following",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/tags/{tag}",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/tags/{tag}/posts",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/tags/{tag}/follow",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "DELETE",
        "/api/v1/tags/{tag}/follow",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    // How people are found.
    (
        "GET",
        "/api/v1/suggestions",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "DELETE",
        "/api/v1/suggestions/{userId}",
        Id::User,
        "",
        [401, 200, 404, 200],
    ),
    (
        "GET",
        "/api/v1/directory",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/discovery/settings",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PUT",
        "/api/v1/discovery/settings",
        Id::None,
        r#"{"isListed": true, "isSuggested": true, "isSyndicated": true}"#,
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/by-username/{username}/posts.atom",
        Id::User,
        "",
        [200; 4],
    ),
    (
        "GET",
        "/api/v1/users/by-username/{username}/posts.rss",
        Id::User,
        "",
        [200; 4],
    ),
    (
        "GET",
        "/api/v1/tags/{tag}/posts.atom",
        Id::None,
        "",
        [200; 4],
    ),
    (
        "GET",
        "/api/v1/tags/{tag}/posts.rss",
        Id::None,
        "",
        [200; 4],
    ),
    ("GET", "/api/v1/mutes", Id::None, "", [401, 200, 200, 200]),
    (
        "POST",
        "/api/v1/mutes",
        Id::None,
        r#"{"kind": "word", "text": "rain"}"#,
        [401, 201, 201, 201],
    ),
    (
        "DELETE",
        "/api/v1/mutes/{id}",
        Id::Mute,
        "",
        [401, 404, 200, 404],
    ),
    ("GET", "/api/v1/lists", Id::None, "", [401, 200, 200, 200]),
    (
        "POST",
        "/api/v1/lists",
        Id::None,
        r#"{"title": "Friends"}"#,
        [401, 201, 201, 201],
    ),
    (
        "GET",
        "/api/v1/lists/{id}",
        Id::List,
        "",
        [401, 404, 200, 404],
    ),
    (
        "PATCH",
        "/api/v1/lists/{id}",
        Id::List,
        r#"{"title": "Friends"}"#,
        [401, 404, 200, 404],
    ),
    (
        "DELETE",
        "/api/v1/lists/{id}",
        Id::List,
        "",
        [401, 404, 200, 404],
    ),
    (
        "GET",
        "/api/v1/lists/{id}/members",
        Id::List,
        "",
        [401, 404, 200, 404],
    ),
    (
        "POST",
        "/api/v1/lists/{id}/members",
        Id::List,
        r#"{"userIds": ["$owner"]}"#,
        [401, 404, 200, 404],
    ),
    (
        "DELETE",
        "/api/v1/lists/{id}/members/{userId}",
        Id::List,
        "",
        [401, 404, 200, 404],
    ),
    (
        "GET",
        "/api/v1/lists/{id}/posts",
        Id::List,
        "",
        [401, 404, 200, 404],
    ),
    ("GET", "/api/v1/stories", Id::None, "", [401, 200, 200, 200]),
    (
        "POST",
        "/api/v1/stories",
        Id::None,
        r#"{"text": "Good morning"}"#,
        [401, 201, 201, 201],
    ),
    (
        "GET",
        "/api/v1/stories/{storyId}",
        Id::Story,
        "",
        [401, 200, 200, 200],
    ),
    (
        "DELETE",
        "/api/v1/stories/{storyId}",
        Id::Story,
        "",
        [401, 404, 200, 200],
    ),
    (
        "POST",
        "/api/v1/stories/{storyId}/view",
        Id::Story,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/stories/{storyId}/viewers",
        Id::Story,
        "",
        [401, 404, 200, 404],
    ),
    (
        "POST",
        "/api/v1/stories/{storyId}/replies",
        Id::Story,
        r#"{"message": "Hello"}"#,
        [401, 403, 403, 403],
    ),
    (
        "PUT",
        "/api/v1/stories/{storyId}/reaction",
        Id::Story,
        EMOJI,
        [401, 403, 403, 403],
    ),
    (
        "DELETE",
        "/api/v1/stories/{storyId}/reaction",
        Id::Story,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/{userId}/stories",
        Id::User,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/{userId}/highlights",
        Id::User,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/stories/close-friends",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PUT",
        "/api/v1/stories/close-friends/{userId}",
        Id::User,
        "",
        [401, 200, 404, 200],
    ),
    (
        "DELETE",
        "/api/v1/stories/close-friends/{userId}",
        Id::User,
        "",
        [401, 200, 404, 200],
    ),
    (
        "GET",
        "/api/v1/stories/hidden-from",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PUT",
        "/api/v1/stories/hidden-from/{userId}",
        Id::User,
        "",
        [401, 200, 404, 200],
    ),
    (
        "DELETE",
        "/api/v1/stories/hidden-from/{userId}",
        Id::User,
        "",
        [401, 200, 404, 200],
    ),
    (
        "POST",
        "/api/v1/highlights",
        Id::Story,
        r#"{"title": "Kept", "storyIds": ["$story"]}"#,
        [401, 404, 201, 404],
    ),
    (
        "GET",
        "/api/v1/highlights/{highlightId}",
        Id::Highlight,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PATCH",
        "/api/v1/highlights/{highlightId}",
        Id::Highlight,
        r#"{"title": "Kept"}"#,
        [401, 404, 200, 404],
    ),
    (
        "DELETE",
        "/api/v1/highlights/{highlightId}",
        Id::Highlight,
        "",
        [401, 404, 200, 404],
    ),
    (
        "GET",
        "/api/v1/feed/{userId}",
        Id::User,
        "",
        [401, 403, 200, 403],
    ),
    (
        "DELETE",
        "/api/v1/feed/{userId}",
        Id::User,
        "",
        [401, 403, 200, 403],
    ),
    (
        "POST",
        "/api/v1/feed/regenerate/{userId}",
        Id::User,
        r#"{"followingIds": []}"#,
        [401, 403, 200, 403],
    ),
    (
        "POST",
        "/api/v1/feed/batch-regenerate",
        Id::None,
        r#"{"userIds": ["$owner"]}"#,
        [401, 403, 200, 403],
    ),
    (
        "POST",
        "/api/v1/feed/post",
        Id::None,
        r#"{"authorId": "$owner", "postId": "1"}"#,
        [401, 403, 404, 403],
    ),
    (
        "POST",
        "/api/v1/feed/cache-followers",
        Id::None,
        r#"{"userId": "$owner", "followerIds": []}"#,
        [401, 403, 200, 403],
    ),
    (
        "POST",
        "/api/v1/feed/cache-following",
        Id::None,
        r#"{"userId": "$owner", "followingIds": []}"#,
        [401, 403, 200, 403],
    ),
    // Pictures.
    (
        "POST",
        "/api/v1/media",
        Id::None,
        PICTURE,
        [401, 201, 201, 201],
    ),
    ("GET", "/api/v1/media", Id::None, "", [401, 200, 200, 200]),
    (
        "GET",
        "/api/v1/media/{id}",
        Id::Upload,
        "",
        [401, 404, 200, 404],
    ),
    (
        "PATCH",
        "/api/v1/media/{id}",
        Id::Upload,
        r#"{"alt": "A"}"#,
        [401, 404, 200, 404],
    ),
    (
        "DELETE",
        "/api/v1/media/{id}",
        Id::Upload,
        "",
        [401, 404, 200, 404],
    ),
    ("GET", "/media/{id}", Id::Picture, "", [200; 4]),
    ("GET", "/media/{id}/{name}", Id::Picture, "", [200; 4]),
    (
        "GET",
        "/media/{id}/hls/{key}/{file}",
        Id::Picture,
        "",
        [404; 4],
    ),
    ("GET", "/media/avatars/{name}", Id::None, "", [200; 4]),
    (
        "PUT",
        "/api/v1/users/profile/avatar",
        Id::None,
        PICTURE,
        [401, 200, 200, 200],
    ),
    (
        "DELETE",
        "/api/v1/users/profile/avatar",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PUT",
        "/api/v1/users/profile/banner",
        Id::None,
        PICTURE,
        [401, 200, 200, 200],
    ),
    (
        "DELETE",
        "/api/v1/users/profile/banner",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    // Open to everybody.
    ("POST", "/api/v1/auth/signup", Id::None, SIGN_UP, [201; 4]),
    (
        "POST",
        "/api/v1/auth/login",
        Id::None,
        CREDENTIALS,
        [200; 4],
    ),
    (
        "POST",
        "/api/v1/auth/check/{username}",
        Id::None,
        "",
        [200; 4],
    ),
    (
        "POST",
        "/api/v1/auth/request-password-reset",
        Id::None,
        r#"{"email": "owner@example.org"}"#,
        [200; 4],
    ),
    (
        "POST",
        "/api/v1/auth/verify-reset-otp/{email}",
        Id::None,
        NO_CODE,
        [400; 4],
    ),
    (
        "POST",
        "/api/v1/auth/reset-password",
        Id::None,
        NO_RESET,
        [401; 4],
    ),
    ("POST", "/api/v1/setup", Id::None, SET_UP, [403; 4]),
    ("GET", "/api/v1/instance", Id::None, "", [200; 4]),
    // Writing help, which is off here.
    (
        "POST",
        "/api/v1/posts/generate-content",
        Id::None,
        r#"{"topic": "gardens", "tone": "casual"}"#,
        [401, 503, 503, 503],
    ),
    (
        "POST",
        "/api/v1/posts/generate-caption",
        Id::None,
        r#"{"topic": "gardens"}"#,
        [401, 503, 503, 503],
    ),
    (
        "POST",
        "/api/v1/assist/alt-text",
        Id::None,
        r#"{"mediaId": "1"}"#,
        [401, 503, 503, 503],
    ),
    (
        "GET",
        "/api/v1/admin/assist",
        Id::None,
        "",
        [401, 403, 403, 200],
    ),
    // Everybody's own.
    (
        "GET",
        "/api/v1/auth/verify-user",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    ("GET", "/api/v1/auth/me", Id::None, "", [401, 200, 200, 200]),
    (
        "POST",
        "/api/v1/auth/logout",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/auth/cookie",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    ("DELETE", "/api/v1/auth/cookie", Id::None, "", [200; 4]),
    (
        "GET",
        "/api/v1/auth/sessions",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "DELETE",
        "/api/v1/auth/sessions",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "DELETE",
        "/api/v1/auth/sessions/{id}",
        Id::Session,
        "",
        [401, 404, 200, 404],
    ),
    (
        "POST",
        "/api/v1/auth/password",
        Id::None,
        SAME_PASSWORD,
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/auth/request-verification",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/auth/verify-email",
        Id::None,
        NO_CODE,
        [401, 400, 400, 400],
    ),
    (
        "GET",
        "/api/v1/auth/search?query=own",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/auth/profile/{userId}",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PATCH",
        "/api/v1/auth/profile",
        Id::None,
        r#"{"bio": "B"}"#,
        [401, 200, 200, 200],
    ),
    // People.
    (
        "GET",
        "/api/v1/users/profile",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PATCH",
        "/api/v1/users/profile",
        Id::None,
        r#"{"bio": "B"}"#,
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/profile/{userId}",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/by-username/{username}",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/search?query=own",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/counts",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/followers",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/followers/list",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/followers/{userId}",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/following",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/following/list",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/following/{userId}",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/mutuals",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/users/{id}/mute",
        Id::User,
        r#"{"until": null}"#,
        [401, 200, 400, 200],
    ),
    (
        "DELETE",
        "/api/v1/users/{id}/mute",
        Id::User,
        "",
        [401, 200, 400, 200],
    ),
    (
        "GET",
        "/api/v1/users/muted",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/users/{id}/block",
        Id::User,
        "",
        [401, 200, 400, 200],
    ),
    // What the last row did is taken back by this one.
    (
        "DELETE",
        "/api/v1/users/{id}/block",
        Id::User,
        "",
        [401, 200, 400, 200],
    ),
    (
        "GET",
        "/api/v1/users/blocked",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/users/mutuals/{userId}",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/users/follow/{id}",
        Id::User,
        "",
        [401, 200, 400, 200],
    ),
    (
        "POST",
        "/api/v1/users/unfollow/{id}",
        Id::User,
        "",
        [401, 200, 400, 200],
    ),
    (
        "DELETE",
        "/api/v1/users/unfollow/{id}",
        Id::User,
        "",
        [401, 200, 400, 200],
    ),
    // What happens.
    ("GET", "/api/v1/stream", Id::None, "", [401, 200, 200, 200]),
    // Posts.
    ("GET", "/api/v1/posts", Id::None, "", [401, 200, 200, 200]),
    (
        "POST",
        "/api/v1/posts",
        Id::None,
        CONTENT,
        [401, 201, 201, 201],
    ),
    (
        "GET",
        "/api/v1/posts/getall",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/posts/test",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/posts/user/{userId}",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/posts/{id}",
        Id::Post,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PATCH",
        "/api/v1/posts/{id}",
        Id::Post,
        CONTENT,
        [401, 404, 200, 404],
    ),
    (
        "DELETE",
        "/api/v1/posts/{id}",
        Id::Post,
        "",
        [401, 404, 200, 200],
    ),
    (
        "GET",
        "/api/v1/posts/{id}/history",
        Id::Post,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/posts/{id}/likes",
        Id::Post,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/posts/like/{id}",
        Id::Post,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PATCH",
        "/api/v1/posts/like/{id}",
        Id::Post,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/posts/{id}/like",
        Id::Post,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/posts/dislike/{id}",
        Id::Post,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PATCH",
        "/api/v1/posts/dislike/{id}",
        Id::Post,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/posts/{id}/dislike",
        Id::Post,
        "",
        [401, 200, 200, 200],
    ),
    // Comments.
    (
        "GET",
        "/api/v1/posts/comment/{id}",
        Id::Post,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/posts/comment/{id}",
        Id::Post,
        CONTENT,
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/posts/{id}/comment",
        Id::Post,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/posts/{id}/comment",
        Id::Post,
        CONTENT,
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/posts/{id}/comments",
        Id::Post,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/posts/{id}/comments",
        Id::Post,
        CONTENT,
        [401, 200, 200, 200],
    ),
    (
        "PATCH",
        "/api/v1/posts/comment/{id}",
        Id::Comment,
        CONTENT,
        [401, 403, 200, 403],
    ),
    (
        "DELETE",
        "/api/v1/posts/comment/{id}",
        Id::Comment,
        "",
        [401, 403, 200, 200],
    ),
    (
        "GET",
        "/api/v1/posts/comments/{id}/replies",
        Id::Comment,
        "",
        [401, 200, 200, 200],
    ),
    (
        "POST",
        "/api/v1/posts/comments/{id}/like",
        Id::Comment,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PUT",
        "/api/v1/posts/comments/{id}/like",
        Id::Comment,
        "",
        [401, 200, 200, 200],
    ),
    (
        "DELETE",
        "/api/v1/posts/comments/{id}/like",
        Id::Comment,
        "",
        [401, 200, 200, 200],
    ),
    // Notifications.
    (
        "GET",
        "/api/v1/notify/notifications",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/notifications",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "DELETE",
        "/api/v1/notifications",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "GET",
        "/api/v1/notifications/unread/count",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PATCH",
        "/api/v1/notifications/read-all",
        Id::None,
        "",
        [401, 200, 200, 200],
    ),
    (
        "PATCH",
        "/api/v1/notifications/{id}/read",
        Id::Notification,
        "",
        [401, 404, 200, 404],
    ),
    (
        "DELETE",
        "/api/v1/notifications/{id}",
        Id::Notification,
        "",
        [401, 404, 200, 404],
    ),
    // For admins.
    (
        "PATCH",
        "/api/v1/admin/users/{id}/status",
        Id::User,
        r#"{"status": "active"}"#,
        [401, 403, 403, 200],
    ),
    (
        "GET",
        "/api/v1/admin/events",
        Id::None,
        "",
        [401, 403, 403, 200],
    ),
    (
        "POST",
        "/api/v1/admin/events/consumers/{name}/replay",
        Id::None,
        r#"{"from": 1}"#,
        [401, 403, 403, 200],
    ),
    (
        "GET",
        "/api/v1/admin/events/consumers/{name}/dead-letters",
        Id::None,
        "",
        [401, 403, 403, 200],
    ),
    // There is none.
    (
        "DELETE",
        "/api/v1/admin/events/consumers/{name}/dead-letters/{seq}",
        Id::None,
        "",
        [401, 403, 403, 404],
    ),
    (
        "POST",
        "/api/v1/admin/events/consumers/{name}/dead-letters/{seq}/retry",
        Id::None,
        "",
        [401, 403, 403, 404],
    ),
];

/// Four kinds of people, and the things of one of them.
struct World {
    server: Server,
    stranger: Person,
    owner: Person,
    admin: Person,
    visibility: &'static str,
    made: usize,
}

impl World {
    async fn new(visibility: &'static str) -> Self {
        let server = Server::start().await;
        Self {
            admin: server.set_up("admin").await,
            owner: server.sign_up("owner").await,
            stranger: server.sign_up("stranger").await,
            server,
            visibility,
            made: 0,
        }
    }

    /// The callers in the order of a row's statuses; each with a session of its own, which the request may end.
    async fn callers(&self) -> [Client; 4] {
        [
            Client::clone(&self.server),
            self.server.log_in(&self.stranger).await.client,
            self.server.log_in(&self.owner).await.client,
            self.server.log_in(&self.admin).await.client,
        ]
    }

    /// A new thing of the owner's.
    async fn make(&self, id: Id) -> String {
        let owner = &self.server.log_in(&self.owner).await;
        match id {
            Id::None => String::new(),
            Id::User => owner.id.clone(),
            Id::Post => owner.write_for("Hello", self.visibility).await,
            Id::Comment => {
                let post = owner.write_for("Hello", self.visibility).await;
                owner.comment(&post, None, "Well").await
            }
            Id::Session => {
                let list = self.server.log_in(owner).await.get("/auth/sessions").await;
                first_id(&list.expect(200)["sessions"])
            }
            Id::Upload => {
                let media = pictures::upload(owner, "/api/v1/media").await.expect(201);
                media["media"]["id"].as_str().unwrap().to_owned()
            }
            Id::Picture => {
                let post = pictures::upload(owner, "/posts").await.expect(201);
                first_id(&post["post"]["media"])
            }
            Id::Mute => {
                let body = json!({ "kind": "word", "text": "rain" });
                let made = owner.post("/api/v1/mutes", body).await.expect(201);
                made["mute"]["id"].as_str().unwrap().to_owned()
            }
            Id::List => {
                let body = json!({ "title": "Friends" });
                let made = owner.post("/api/v1/lists", body).await.expect(201);
                made["list"]["id"].as_str().unwrap().to_owned()
            }
            Id::Story => self.tell_story(owner).await,
            Id::Highlight => {
                let story = self.tell_story(owner).await;
                let body = json!({ "title": "Kept", "storyIds": [story] });
                let made = owner.post("/api/v1/highlights", body).await.expect(201);
                made["highlight"]["id"].as_str().unwrap().to_owned()
            }
            Id::Conversation => self.converse(owner).await.0,
            Id::Message => self.converse(owner).await.1,
            Id::HiddenRoom => {
                let body = serde_json::json!({ "visibility": "hidden" });
                let made = owner.post("/api/v1/chat/rooms", body).await.expect(201);
                made["room"]["roomId"].as_str().unwrap().to_owned()
            }
            Id::Notification => {
                owner.write("Hello").await;
                self.server.settle().await;
                first_id(&owner.get("/api/v1/notifications").await.expect(200)["data"])
            }
        }
    }

    /// A conversation of the owner's with a friend, and a message of theirs in it.
    async fn converse(&self, owner: &Person) -> (String, String) {
        let friend = &self.server.sign_up(&format!("friend{}", self.made)).await;
        for (from, to) in [(owner, friend), (friend, owner)] {
            let path = format!("/users/follow/{}", to.id);
            from.post(&path, serde_json::json!({})).await.expect(200);
        }
        let room = format!("{}_{}", owner.id, friend.id);
        let path = format!("/chat/{room}/message");
        let sent = owner
            .post(&path, serde_json::json!({ "message": "Hello" }))
            .await;
        (
            room,
            sent.expect(200)["data"]["id"].as_str().unwrap().to_owned(),
        )
    }

    /// A story of the owner's that everybody may see.
    async fn tell_story(&self, owner: &Person) -> String {
        let body = json!({ "text": "Good morning", "audience": "public" });
        let told = owner.post("/api/v1/stories", body).await.expect(201);
        told["story"]["id"].as_str().unwrap().to_owned()
    }

    async fn status(&mut self, caller: &Client, row: &Row) -> u16 {
        let (method, path, id, body, _) = *row;
        self.made += 1;
        let made_for = match id {
            Id::Conversation | Id::HiddenRoom => "{roomId}",
            Id::Message => "{messageId}",
            Id::Story => "{storyId}",
            Id::Highlight => "{highlightId}",
            _ => "{id}",
        };
        let made = self.make(id).await;
        let path = path
            .replace(made_for, &made)
            .replace("{userId}", &self.owner.id)
            .replace("{username}", &self.owner.username)
            .replace("{email}", &self.owner.email)
            .replace("{key}/{file}", "open/master.m3u8")
            .replace("/media/avatars/{name}", "/media/avatars/1")
            .replace(
                "/{name}",
                if path.starts_with("/media/") {
                    "/320"
                } else {
                    "/notifications"
                },
            )
            .replace("{seq}", "1")
            .replace("{tag}", "rain");
        let mut request = caller.request(method.parse::<Method>().unwrap(), &path);
        if body == PICTURE {
            request = request.multipart(pictures::form());
        } else if !body.is_empty() {
            let body = body
                .replace("$fresh", &format!("fresh{}", self.made))
                .replace("$password", PASSWORD)
                .replace("$owner", &self.owner.id)
                .replace("$story", &made);
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        let reply = caller.send(request).await;
        reply.expect(reply.status.as_u16());
        reply.status.as_u16()
    }
}

fn first_id(list: &Value) -> String {
    list[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_has_a_row_and_every_row_an_operation() {
    let server = Server::start().await;
    let document = server.get("/openapi.json").await.expect(200);
    let mut operations = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            operations.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let path_of = |path: &'static str| path.split('?').next().unwrap_or_default();
    let rows: BTreeSet<String> = ROWS
        .iter()
        .map(|(method, path, ..)| format!("{method} {}", path_of(path)))
        .collect();
    let without_row: Vec<_> = operations.difference(&rows).collect();
    assert!(
        without_row.is_empty(),
        "operations without a row: {without_row:#?}"
    );
    let without_operation: Vec<_> = rows.difference(&operations).collect();
    assert!(
        without_operation.is_empty(),
        "rows without an operation: {without_operation:#?}"
    );
    assert_eq!(rows.len(), ROWS.len(), "a row stands twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_do_what_the_table_says() {
    let mut world = World::new("public").await;
    let mut wrong = Vec::new();
    for row in ROWS {
        let mut seen = [0; 4];
        for (status, caller) in seen.iter_mut().zip(world.callers().await) {
            *status = world.status(&caller, row).await;
        }
        let (method, path, .., expected) = row;
        if seen != *expected {
            wrong.push(format!("{method} {path}: {seen:?} instead of {expected:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "nobody, a stranger, the owner, an admin:\n{}",
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_private_is_not_there_for_others() {
    let mut world = World::new("private").await;
    let mut wrong = Vec::new();
    for row in ROWS
        .iter()
        .filter(|row| matches!(row.2, Id::Post | Id::Comment))
    {
        let (method, path, id, _, expected) = *row;
        // An admin may remove what they are told of, and reads no more than others.
        let removes = method == "DELETE" && !path.ends_with("/like");
        let expected = [401, 404, expected[2], if removes { 200 } else { 404 }];
        let mut seen = [0; 4];
        for (status, caller) in seen.iter_mut().zip(world.callers().await) {
            *status = world.status(&caller, row).await;
        }
        if seen != expected {
            wrong.push(format!(
                "{method} {path} ({id:?}): {seen:?} instead of {expected:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "nobody, a stranger, the owner, an admin:\n{}",
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_document_calls_protected_is_and_the_rest_is_not() {
    let server = Server::start().await;
    let document = server.get("/openapi.json").await.expect(200);
    for (method, path, _, _, [anonymous, ..]) in ROWS {
        let path = path.split('?').next().unwrap_or_default();
        let operation = &document["paths"][path][method.to_lowercase()];
        let is_protected = operation["security"].is_array();
        let is_refused = *anonymous == 401 && *path != *"/api/v1/auth/reset-password";
        assert_eq!(is_protected, is_refused, "{method} {path}");
    }
}
