//! The whole server from the outside, over HTTP, with real stores.
#![expect(
    clippy::unwrap_used,
    reason = "a test that fails should do so loudly, and say what it did"
)]

mod support;

mod assist;
mod auth;
mod authorisation;
mod bad_input;
mod bucket;
mod cached;
mod chat;
mod chosen;
mod codes;
mod comments;
mod config_and_process;
mod conversations;
mod cookie;
mod counts;
mod determinism;
mod discovery;
mod discovery_model;
mod disk;
mod edge;
mod feed;
mod films;
mod foreign;
mod idempotency;
mod kill;
mod leaks;
mod likes;
mod live;
mod media;
mod notifications;
mod plans;
mod posts;
mod presence;
mod ranked;
mod relations;
mod relations_model;
mod rooms;
mod search;
mod search_index;
mod search_model;
mod smoke;
mod sockets;
mod store;
mod stories;
mod story_limits;
mod syndication;
mod uploads;
mod users;
