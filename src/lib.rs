//! SocialHub: a whole social network in one daemon.

pub mod actor;
pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod datadir;
pub mod disk;
pub mod error;
pub mod event;
pub mod gateway;
pub mod id;
pub mod mail;
pub mod page;
pub mod posts;
pub mod random;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod text;
pub mod users;
