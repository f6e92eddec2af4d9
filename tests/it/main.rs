//! The whole server from the outside, over HTTP, with real stores.

mod support;

mod notifications;
mod smoke;
