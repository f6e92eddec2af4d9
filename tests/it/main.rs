//! The whole server from the outside, over HTTP, with real stores.
#![expect(clippy::unwrap_used, reason = "a test that fails should fail loudly")]

mod support;

mod auth;
mod codes;
mod counts;
mod determinism;
mod kill;
mod notifications;
mod plans;
mod smoke;
mod store;
