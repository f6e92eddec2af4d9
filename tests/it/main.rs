//! The whole server from the outside, over HTTP, with real stores.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails should do so loudly, and say what it did"
)]

mod support;

mod counts;
mod determinism;
mod disk;
mod kill;
mod notifications;
mod plans;
mod smoke;
mod store;
