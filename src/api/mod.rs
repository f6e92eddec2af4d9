//! The HTTP routes: thin, one file per noun. Each extracts, asks one domain once, and answers.
//!
//! They are written under `/api/v1`; the original's prefixes lead to them as well (see `gateway::paths`). What they take
//! and give is described where it is declared, and [`mod@openapi`] is generated from that.

mod admin;
mod assist;
mod auth;
mod chat;
mod comments;
mod conversations;
mod cookie;
mod discovery;
mod events;
mod feed;
pub mod health;
mod instance;
mod lists;
mod media;
mod messages;
mod mutes;
mod notifications;
mod openapi;
mod paging;
mod posts;
mod relations;
mod rooms;
mod search;
mod setup;
mod sockets;
mod stories;
mod stream;
mod syndication;
mod tags;
mod trending;
mod tus;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;

use crate::assist::Assist;
use crate::auth::Auth;
use crate::chat::Chat;
use crate::consume::Consumers;
use crate::discovery::Discovery;
use crate::eventlog::EventLog;
use crate::feed::Feed;
use crate::gateway::Limits;
use crate::live::Live;
use crate::media::Media;
use crate::notifications::Notifications;
use crate::posts::Posts;
use crate::search::Search;
use crate::stories::Stories;
use crate::users::Users;

pub use openapi::openapi;
#[cfg(fuzzing)]
pub use tus::{TusHeaders, tus_headers};

/// What the routes need; each handler takes its part.
pub struct Domains {
    pub auth: Auth,
    pub users: Users,
    pub posts: Posts,
    pub stories: Stories,
    pub feed: Feed,
    pub discovery: Discovery,
    pub media: Media,
    pub chat: Chat,
    pub assist: Assist,
    pub notifications: Notifications,
    pub search: Search,
    pub live: Live,
    pub log: EventLog,
    pub consumers: Consumers,
    pub limits: Limits,
}

/// The routes' state, which is cloned for each request.
type SharedDomains = Arc<Domains>;

macro_rules! taken_by_handlers {
    ($( $part:ident: $domain:ty ),+ $(,)?) => {
        $( impl FromRef<SharedDomains> for $domain {
            fn from_ref(domains: &SharedDomains) -> Self {
                domains.$part.clone()
            }
        } )+
    };
}

taken_by_handlers! {
    auth: Auth,
    users: Users,
    posts: Posts,
    stories: Stories,
    feed: Feed,
    discovery: Discovery,
    media: Media,
    chat: Chat,
    assist: Assist,
    notifications: Notifications,
    search: Search,
    live: Live,
    log: EventLog,
    consumers: Consumers,
    limits: Limits,
}

/// A success that has nothing more to say.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Done {
    /// Always true.
    #[schema(example = true)]
    success: bool,
    /// What happened, for a person.
    message: &'static str,
}

impl Done {
    fn new(message: &'static str) -> axum::Json<Self> {
        axum::Json(Self {
            success: true,
            message,
        })
    }
}

/// The API's routes, and the document that describes them.
pub fn routes(domains: Domains) -> Router {
    let (router, document) = described().split_for_parts();
    router
        .with_state(Arc::new(domains))
        .merge(openapi::routes(openapi::finish(document)))
}

fn described() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::with_openapi(openapi::preface())
        .merge(auth::routes())
        .merge(cookie::routes())
        .merge(instance::routes())
        .merge(setup::routes())
        .merge(users::routes())
        .merge(relations::routes())
        .merge(posts::routes())
        .merge(comments::routes())
        .merge(feed::routes())
        .merge(lists::routes())
        .merge(tags::routes())
        .merge(trending::routes())
        .merge(mutes::routes())
        .merge(discovery::routes())
        .merge(syndication::routes())
        .merge(assist::routes())
        .merge(media::routes())
        .merge(tus::routes())
        .merge(chat::routes())
        .merge(conversations::routes())
        .merge(messages::routes())
        .merge(rooms::routes())
        .merge(search::routes())
        .merge(sockets::routes())
        .merge(stories::routes())
        .merge(notifications::routes())
        .merge(stream::routes())
        .merge(admin::routes())
        .merge(events::routes())
}
