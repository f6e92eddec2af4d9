//! The whole server from the outside, over HTTP, with real stores.
#![expect(
    clippy::unwrap_used,
    reason = "a test that fails should do so loudly, and say what it did"
)]

mod support;

mod auth;
mod authorisation;
mod bad_input;
mod bucket;
mod chat;
mod codes;
mod comments;
mod config_and_process;
mod conversations;
mod cookie;
mod counts;
mod determinism;
mod disk;
mod edge;
mod films;
mod foreign;
mod idempotency;
mod kill;
mod likes;
mod live;
mod media;
mod notifications;
mod plans;
mod posts;
mod presence;
mod relations;
mod relations_model;
mod rooms;
mod smoke;
mod sockets;
mod store;
mod uploads;
mod users;
