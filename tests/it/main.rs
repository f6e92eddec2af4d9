//! The whole server from the outside, over HTTP, with real stores.

mod support;

mod counts;
mod determinism;
mod notifications;
mod smoke;
