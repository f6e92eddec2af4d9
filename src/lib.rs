//! SocialHub: a whole social network in one daemon.
//!
//! This page is the map. The code keeps to a few rules that make it readable in any order; where a module is named, its
//! own page tells the rest.
//!
//! # The way of the data
//!
//! ```text
//! HTTP ──► gateway ──► api ──► domain ──► Command ──► store: one writer, many commands to a commit
//!                       │                                │  rows + outbox, one transaction, fsync
//!                       └── queries on the reader pool   ▼
//!                                               eventlog: relay ──► topics on sled
//!                                                        ▼
//!                                               consume: notifications, ...
//! ```
//!
//! Data goes round; imports go down. A module uses only floors below its own, and modules of one floor do not know each
//! other (`tests/tidy.rs` holds the table and checks it). What must go up goes through a channel that the lower floor
//! owns: [`store::Store::commits`], [`store::Store::observe`], the event log.
//!
//! | floor | modules |
//! |---|---|
//! | 12, 11 | [`cli`]; [`app`], which starts all parts in order and stops them in reverse |
//! | 10, 9 | [`api`], the routes, and [`realtime`], the sockets; [`gateway`], what every request passes |
//! | 8, 7 | [`consume`], which runs the consumers of the event log; [`live`], what people are told while they are there; [`feed`], what they read at home, [`discovery`], how they are found, [`search`], and [`notifications`] |
//! | 6, 5 | [`auth`], [`posts`], [`stories`], [`chat`], [`assist`], writing help; [`users`] |
//! | 4 | [`eventlog`]; [`media`], pictures from the upload to what is served |
//! | 3 | [`store`]; [`actor`], who asks; [`blobs`], files by their hash; [`mail`], [`pubsub`], [`telemetry`] |
//! | 2 | [`config`], [`event`], [`links`], [`page`], [`tasks`], [`datadir`], [`disk`] |
//! | 1 | [`error`], [`id`], [`clock`], [`text`], [`markdown`], [`random`] |
//!
//! # What always holds
//!
//! * **SQLite is the truth.** What sled and the search index hold is derived from it and can be deleted.
//! * **Every write is a [`store::Command`]**: a plain value with ids, times, hashes already in it. Applying it reads the
//!   database and nothing else, so any node that applies the same commands has the same database, to the byte.
//! * **What must hold is checked where the command is applied**, where it cannot race. A check before that only spares
//!   work or gives a nicer message.
//! * **An acknowledged write is on the disk.** A success is answered after the fsync; every other outcome has an error
//!   with a documented [`error::Code`], and nothing of it is left behind.
//! * **A row in memory is the row in the database.** Readers find posts and people in memory (`store::cache`); SQLite itself
//!   says which rows a commit touched, so no command can forget to.
//! * **Events part from data never**: `WriteTx::emit` puts an event into the outbox, in the command's own savepoint.
//! * **The async threads never block.** SQLite, sled, password hashes and files have threads of their own, each behind a
//!   bounded queue that says no when it is full.
//! * **Nothing above `store` opens a database, nothing but [`clock`] reads the time, nothing but [`random`] makes
//!   chance**, and neither is reached while a command is applied.
//!
//! # A post, from the request to the notification
//!
//! `gateway` gives the request its id, finds out who asks ([`auth::Auth::authenticate`]: the token's signature and the
//! session in memory, no store), counts it against the limits and hands it to its route. `api/posts.rs` reads the body
//! and calls [`posts::Posts::create`], which checks the texts, makes the id and the time, and submits a
//! [`posts::CreatePost`]. The writer applies it in a savepoint: the row, the hashtags, the author's count, the event
//! `post.created` in the outbox. Then it commits the whole batch, tells the observers, and answers. The route turns the
//! command's output into JSON.
//!
//! The relay wakes on the commit, moves the outbox's new rows into the log and flushes it. The notifications' consumer
//! takes them from there, writes what they mean for whom together with its own position, and the next
//! `GET /notify/notifications` shows it.
//!
//! # A message, from one socket to the others
//!
//! `realtime::engine` reads it off the WebSocket, `realtime::sockets` queues it behind what the same connection sent
//! before, `realtime::events` reads the payload and calls [`chat::Chat::send`]. The command gives the message its number in
//! the room and signals [`event::Event::Live`], which the writer hands to its observers with the commit. From there it goes,
//! in the order of the commits, to `realtime::hub`, which shows it to every connection that looks at the room and has not
//! seen that number. Who comes back says what number it saw last, and reads the rest from the database.
//!
//! # A word, from a post to who finds it
//!
//! The search's consumer takes `post.created` from the log, reads the row as it is by then, and writes its words and ids to
//! the index (`search::keeper`), which is committed a moment later. Who asks is first told apart (`search::sight`: whom they
//! follow, who is blocked, which rooms they are in), and each document that has the words is asked, while it is found,
//! whether they may see it: so a count says no more than a page. What is shown is read from the rows by [`posts`] and
//! [`chat`], which say once more who may see it. Changes that are committed and not yet indexed are noted as stale
//! (`search::stale`) by the writer itself, and left out meanwhile.
//!
//! # A block, from the one who blocks to all that is hidden
//!
//! [`users::BlockUser`] ends the follows between the two, writes the row, and emits `user.blocked`. From that commit on the
//! view `blocked_pairs` has the two, both ways round. Every statement that shows one person to another, or what one did,
//! leaves out who stands there beside the reader; [`users::visible`] and [`users::Relation::Blocked`] say the same of one
//! person. Who derives something from the event log takes away what it has of the two, and asks [`users::untold`] before
//! it tells anybody of what somebody did; mutes go the same way.
//!
//! # How to add
//!
//! * **An endpoint**: a handler with its `utoipa::path` in the noun's file under `src/api`, one call to a domain, a row in
//!   `tests/it/authorisation.rs`.
//! * **An event that clients send**: a line in `src/realtime/events.rs`.
//! * **A command**: a struct with `impl Command` in the domain's `commands.rs`, `registry.add` in its `register`, a
//!   generator in `tests/it/determinism.rs`.
//! * **An event**: a variant of [`event::Event`], emitted in `apply`; consumers that do not know it pass it by.
//! * **A migration**: the next number under `migrations/`, and a line in `src/store/migrate.rs`.
//! * **A configuration key**: a line in its section of `src/config/mod.rs`; file, environment and checks follow from it.

pub mod actor;
pub mod api;
pub mod app;
pub mod assist;
pub mod auth;
pub mod blobs;
pub mod chat;
pub mod cli;
pub mod clock;
pub mod config;
pub mod consume;
pub mod datadir;
pub mod discovery;
pub mod disk;
pub mod error;
pub mod event;
pub mod eventlog;
pub mod feed;
pub mod gateway;
pub mod id;
pub mod links;
pub mod live;
pub mod mail;
pub mod markdown;
pub mod media;
pub mod notifications;
pub mod page;
pub mod posts;
pub mod pubsub;
pub mod random;
pub mod realtime;
pub mod search;
pub mod store;
pub mod stories;
pub mod tasks;
pub mod telemetry;
pub mod text;
pub mod users;
