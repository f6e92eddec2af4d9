//! What can be set, and where from: flags before environment before TOML file before defaults.
//!
//! Every key stands once, in its section below, with its documentation and default. The environment name of
//! `[section] key` is `SOCIALHUB_<SECTION>__<KEY>`; a list is comma-separated there.

mod load;
mod network;
mod section;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use load::{ConfigError, Loaded, Sources, load};
pub use network::Network;
pub use section::Key;
use section::section;

/// The file that is read when none is named and it exists.
pub const DEFAULT_FILE: &str = "/etc/socialhub/socialhub.toml";

/// Everything that can be set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The directory that holds all data and secrets; made on first start.
    pub data_dir: PathBuf,
    /// See [`Server`].
    pub server: Server,
    /// See [`Store`].
    pub store: Store,
    /// See [`Events`].
    pub events: Events,
    /// See [`Auth`].
    pub auth: Auth,
    /// See [`Mail`].
    pub mail: Mail,
    /// See [`Media`].
    pub media: Media,
    /// See [`S3`].
    pub s3: S3,
    /// See [`Notifications`].
    pub notifications: Notifications,
    /// See [`Search`].
    pub search: Search,
    /// See [`Chat`].
    pub chat: Chat,
    /// See [`Feed`].
    pub feed: Feed,
    /// See [`Discovery`].
    pub discovery: Discovery,
    /// See [`Realtime`].
    pub realtime: Realtime,
    /// See [`Assist`].
    pub assist: Assist,
    /// See [`Limits`].
    pub limits: Limits,
    /// See [`Log`].
    pub log: Log,
    /// See [`Metrics`].
    pub metrics: Metrics,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            server: Server::default(),
            store: Store::default(),
            events: Events::default(),
            auth: Auth::default(),
            mail: Mail::default(),
            media: Media::default(),
            s3: S3::default(),
            notifications: Notifications::default(),
            search: Search::default(),
            chat: Chat::default(),
            feed: Feed::default(),
            discovery: Discovery::default(),
            realtime: Realtime::default(),
            assist: Assist::default(),
            limits: Limits::default(),
            log: Log::default(),
            metrics: Metrics::default(),
        }
    }
}

impl Config {
    /// The sections by name, with their keys.
    pub const SECTIONS: &'static [(&'static str, &'static [Key])] = &[
        ("server", Server::KEYS),
        ("store", Store::KEYS),
        ("events", Events::KEYS),
        ("auth", Auth::KEYS),
        ("mail", Mail::KEYS),
        ("media", Media::KEYS),
        ("s3", S3::KEYS),
        ("notifications", Notifications::KEYS),
        ("search", Search::KEYS),
        ("chat", Chat::KEYS),
        ("feed", Feed::KEYS),
        ("discovery", Discovery::KEYS),
        ("realtime", Realtime::KEYS),
        ("assist", Assist::KEYS),
        ("limits", Limits::KEYS),
        ("log", Log::KEYS),
        ("metrics", Metrics::KEYS),
    ];

    /// The address under which people reach the server, without a slash at the end.
    pub fn public_url(&self) -> String {
        match &self.server.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.server.listen),
        }
    }
}

section! {
    /// Listening and the HTTP edge.
    Server {
        /// The address and port to listen on.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080));
        /// The address under which people reach the server, such as `https://social.example.org`; used in links. Without it: the listening address.
        public_url: Option<String> = None;
        /// Proxies (addresses or networks) whose `X-Forwarded-For` is believed.
        trusted_proxies: Vec<Network> = Vec::new();
        /// Origins whose scripts may call the API (CORS); `*` alone allows all, without credentials.
        cors_origins: Vec<String> = vec!["http://localhost:5173".to_owned()];
        /// Connections at once; further ones wait in the kernel's queue.
        max_connections: u32 = 16_384;
        /// The largest body of a request, in bytes.
        max_body_bytes: u64 = 10 * 1024 * 1024;
        /// The largest JSON or form body, in bytes.
        max_json_bytes: u64 = 1024 * 1024;
        /// How long one request may take, in milliseconds.
        request_timeout_ms: u64 = 30_000;
        /// How long a client may take to send a request's head, in milliseconds.
        header_timeout_ms: u64 = 10_000;
        /// How long a client may take nothing of an answer before its connection is closed, in milliseconds.
        write_timeout_ms: u64 = 30_000;
        /// How long requests under way may still run after a stop signal, in milliseconds.
        shutdown_timeout_ms: u64 = 5_000;
    }
}

section! {
    /// The SQLite database.
    Store {
        /// Commands that may wait for the writer; beyond it, writes answer 503.
        queue_capacity: u32 = 8_192;
        /// Commands in one commit at most.
        max_batch: u32 = 2_048;
        /// Reading connections; 0 means one per processor core, at least two.
        readers: u32 = 0;
        /// Reads that may wait for a connection; beyond it, reads answer 503.
        read_queue_capacity: u32 = 4_096;
        /// How long a write may wait for its turn, in milliseconds.
        write_timeout_ms: u64 = 10_000;
        /// How long a read may run, in milliseconds.
        read_timeout_ms: u64 = 5_000;
        /// The page cache of each connection, in KiB.
        cache_kib: u32 = 4_096;
        /// Memory for rows that are read often (posts, people), in MiB.
        row_cache_mib: u32 = 32;
        /// Free space, in bytes, below which nothing is written; 0 means a sixteenth of the file system, at most 64 MiB.
        reserve_bytes: u64 = 0;
    }
}

section! {
    /// The event log.
    Events {
        /// How long events are kept, in hours.
        retention_hours: u32 = 24 * 7;
        /// Events that a consumer takes at once.
        batch: u32 = 1_024;
        /// How often a failing event is tried again before it is parked as a dead letter.
        max_attempts: u32 = 5;
        /// Memory for the log's page cache, in MiB.
        cache_mib: u32 = 16;
    }
}

section! {
    /// Accounts, passwords and sessions.
    Auth {
        /// The secret that signs tokens; without it one is made on first start and kept in the data directory.
        jwt_secret: Option<String> = None;
        /// How long a session lasts, in hours.
        session_hours: u32 = 24;
        /// Memory of one password hash, in KiB (argon2id).
        argon2_memory_kib: u32 = 19 * 1024;
        /// Passes of one password hash.
        argon2_passes: u32 = 2;
        /// Passwords hashed at once; 0 means one per processor core.
        hash_threads: u32 = 0;
        /// Passwords that may wait to be hashed; beyond it, logins answer 503.
        hash_queue_capacity: u32 = 256;
        /// How long a code by mail is good, in seconds.
        otp_seconds: u32 = 300;
        /// Wrong tries after which a code is worth nothing.
        otp_tries: u32 = 5;
        /// How long a verified code allows the password to be set, in seconds.
        reset_seconds: u32 = 900;
    }
}

section! {
    /// Outgoing mail. Without `smtp_host`, messages are written as `.eml` files into `outbox` in the data directory.
    Mail {
        /// The SMTP server's name.
        smtp_host: Option<String> = None;
        /// The SMTP server's port; 0 means 465 with implicit TLS, 587 with STARTTLS, 25 without TLS.
        smtp_port: u16 = 0;
        /// How the connection is secured: `starttls`, `implicit` or `none`.
        smtp_tls: SmtpTls = SmtpTls::Starttls;
        /// The name to log in with.
        smtp_username: Option<String> = None;
        /// The password to log in with.
        smtp_password: Option<String> = None;
        /// A PEM file of certificates to trust beside the public ones.
        smtp_ca_file: Option<PathBuf> = None;
        /// The sender.
        from: String = "SocialHub <socialhub@localhost>".to_owned();
        /// Messages that may wait to be sent; beyond it, new ones are dropped with a warning.
        queue_capacity: u32 = 256;
    }
}

/// How an SMTP connection is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// In clear, then upgraded; refused when the server cannot.
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// Never secured: for a relay on this machine.
    None,
}

section! {
    /// Pictures, video and audio.
    Media {
        /// Where the files are: in `media` in the data directory, unless set.
        dir: Option<PathBuf> = None;
        /// Where contents are kept for good: on the `disk`, or in a bucket (`s3`). What is elsewhere is moved there while all goes on.
        store: MediaStore = MediaStore::Disk;
        /// The address under which browsers load media, for a CDN or a second host name in front; without it, the server's own.
        public_base_url: Option<String> = None;
        /// The largest picture, in bytes.
        max_picture_bytes: u64 = 10 * 1024 * 1024;
        /// The largest video or recording, in bytes.
        max_video_bytes: u64 = 512 * 1024 * 1024;
        /// The most pixels of one picture.
        max_pixels: u64 = 64_000_000;
        /// What one person's uploads may take, in bytes; 0 means no limit.
        quota_bytes: u64 = 10 * 1024 * 1024 * 1024;
        /// What all uploads may take, in bytes, each content once; 0 means no limit. Counts them as they were uploaded: the films and posters that are made of them come on top.
        cap_bytes: u64 = 0;
        /// Free space, in bytes, below which nothing is uploaded; 0 means an eighth of the file system, at most 512 MiB.
        reserve_bytes: u64 = 0;
        /// How long an upload that nothing uses is kept, in hours.
        keep_loose_hours: u32 = 24;
        /// How long the address of a file that is not public is good at least, in minutes.
        signed_minutes: u32 = 60;
        /// Pictures worked on at once; 0 means one per processor core.
        workers: u32 = 0;
        /// Pictures that may wait to be worked on; beyond it, uploads wait for a place, and answer 503 after a while.
        queue_capacity: u32 = 64;
        /// Memory for the pictures that are decoded at once, in MiB; one that takes more is decoded alone.
        picture_memory_mib: u32 = 1_024;
        /// Memory for small files that are asked for often, in MiB.
        cache_mib: u32 = 16;
        /// The program that converts videos: `auto` for the one in the `PATH` if there is one, `off` for none, or where it is.
        ffmpeg: String = "auto".to_owned();
        /// The longest video or recording, in seconds.
        max_video_seconds: u32 = 600;
        /// How long one step of a conversion may take, in seconds; and a third of that more for each second of the video.
        video_patience_s: u32 = 30;
        /// Memory for one conversion, in MiB.
        video_memory_mib: u32 = 2_048;
        /// How long an upload may take in all, in seconds.
        upload_timeout_s: u32 = 3_600;
        /// How long a client may pause within an upload, in seconds.
        upload_pause_s: u32 = 30;
    }
}

/// Where contents are kept for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaStore {
    /// In `media.dir`.
    Disk,
    /// In the bucket; `media.dir` holds what is being worked on, and copies.
    S3,
}

section! {
    /// A bucket of an S3-compatible service, for media. As long as it is named, what it has is served.
    S3 {
        /// The bucket's name.
        bucket: Option<String> = None;
        /// The service, such as `https://s3.example.org`; without it, Amazon's for the region.
        endpoint: Option<String> = None;
        /// The region.
        region: String = "us-east-1".to_owned();
        /// The key that names us.
        access_key_id: Option<String> = None;
        /// The secret that goes with it.
        secret_access_key: Option<String> = None;
        /// What stands before the names of all objects, so that others may use the bucket as well.
        prefix: String = String::new();
        /// Whether the bucket is named in the path rather than in the host's name.
        path_style: bool = true;
        /// A PEM file of certificates to trust beside the public ones.
        ca_file: Option<PathBuf> = None;
        /// Room for copies on the disk while `media.store` is `s3`, in MiB.
        cache_mib: u32 = 1_024;
    }
}

section! {
    /// Notifications.
    Notifications {
        /// Notifications kept for one person at most.
        keep: u32 = 1_000;
        /// Days after which a notification is gone.
        keep_days: u32 = 90;
    }
}

section! {
    /// Search.
    Search {
        /// Memory for what is indexed and not on the disk yet, in MiB; at least 16.
        memory_mib: u32 = 64;
        /// From one commit of the index to the next, at least, in milliseconds: what is written is found at most so much later.
        commit_ms: u32 = 250;
        /// Searches at once; 0 means one per processor core.
        threads: u32 = 0;
        /// Searches that may wait; beyond it, they are answered 503.
        queue_capacity: u32 = 256;
        /// How long a search may take, in milliseconds.
        timeout_ms: u32 = 2_000;
    }
}

section! {
    /// Chat.
    Chat {
        /// Whether everybody may make rooms, and joining one that is not there makes it; else admins may.
        opens_rooms: bool = true;
    }
}

section! {
    /// What people read at home.
    Feed {
        /// What the timelines and ranked orders that are held in memory may take, in KiB: those of people who read last.
        /// That of somebody who follows a thousand takes about 12; 0: none is held.
        timelines_kib: u32 = 65_536;
        /// In the ranked order: after how many hours a post counts half.
        half_life_hours: u32 = 24;
        /// What it counts to have liked, answered and looked at its author's posts; 0: nothing.
        affinity_weight: f64 = 0.5;
        /// What it counts that those whom one follows like it; 0: nothing.
        engagement_weight: f64 = 0.5;
        /// How much less a post counts for each of the same author's shortly before it; 0: not at all.
        variety_weight: f64 = 0.5;
        /// How often it is found out what is talked about, in seconds.
        trends_s: u32 = 60;
    }
}

section! {
    /// How people and what they write are found.
    Discovery {
        /// Whether public posts can be read as Atom and RSS, without an account. Who writes can refuse it for their own.
        syndication: bool = true;
    }
}

section! {
    /// Sockets: Socket.IO, for chat and what else happens while one looks.
    Realtime {
        /// How often a client is asked whether it is still there, in milliseconds.
        ping_interval_ms: u64 = 25_000;
        /// How long it may take to say so, in milliseconds.
        ping_timeout_ms: u64 = 60_000;
        /// How long a client may take to say who it is, in milliseconds.
        connect_timeout_ms: u64 = 10_000;
        /// The largest message, in bytes.
        max_payload_bytes: u32 = 1_000_000;
        /// Messages that may wait for one client; one that takes none of so many for a second is disconnected.
        queue_capacity: u32 = 256;
        /// What may wait for one client at all, in KiB.
        queue_kib: u32 = 1_024;
        /// Connections at once; further ones are answered 503.
        max_sessions: u32 = 50_000;
        /// Streams of Server-Sent Events at once; further ones are answered 503.
        max_streams: u32 = 10_000;
        /// How often a stream on which nothing happens says that it is still there, in milliseconds.
        stream_heartbeat_ms: u64 = 20_000;
        /// From one hint at new posts to the next, at least, in milliseconds.
        feed_hint_ms: u64 = 2_000;
        /// From one round of telling who came and went to the next, at least, in milliseconds.
        presence_ms: u64 = 50;
        /// How long somebody is taken to type who does not say so again, in milliseconds.
        typing_ms: u64 = 10_000;
        /// Events that one connection may send in a row.
        events_burst: u32 = 120;
        /// Events that it may send a minute, in the long run.
        events_per_minute: u32 = 1_200;
        /// Answers as the official test suites of Engine.IO and Socket.IO expect it, instead of serving people. Nobody is asked who they are, so only on the loopback interface.
        protocol_test_profile: bool = false;
        /// Serves the sockets by so many hubs that share nothing but what one tells the other, as several machines would; for tests, and only on the loopback interface.
        hubs: u32 = 1;
    }
}

section! {
    /// Writing help by a language model. What people ask for is sent to the provider.
    Assist {
        /// Who is asked: `gemini`; `openai` for any server that speaks this protocol (Ollama, vLLM, llama.cpp); or `off`.
        provider: AssistProvider = AssistProvider::Off;
        /// Where: for `openai` with the version, such as `http://127.0.0.1:11434/v1`; without it, Google's for `gemini`.
        base_url: Option<String> = None;
        /// The model; without it, `gemini-2.5-flash` for `gemini`.
        model: Option<String> = None;
        /// The key that the provider gave.
        api_key: Option<String> = None;
        /// A file that holds the key, where `api_key` does not say it.
        api_key_file: Option<PathBuf> = None;
        /// A PEM file of certificates to trust beside the public ones.
        ca_file: Option<PathBuf> = None;
        /// Whether the model sees pictures, and so can describe them.
        vision: bool = true;
        /// How long an answer may take, with the wait for one's turn, in milliseconds; less than `server.request_timeout_ms`.
        timeout_ms: u64 = 20_000;
        /// Calls of the provider at once.
        max_calls: u32 = 4;
        /// Requests that may wait for one of them; beyond it, further ones answer 503.
        queue_capacity: u32 = 32;
        /// The longest topic, in characters.
        max_topic_chars: u32 = 500;
        /// The most tokens of one answer.
        max_output_tokens: u32 = 1_024;
        /// The largest answer of the provider, in KiB.
        max_answer_kib: u32 = 256;
        /// What a million tokens cost that are sent to the provider, in the currency of its bill.
        input_price: f64 = 0.0;
        /// What a million tokens cost that it answers.
        output_price: f64 = 0.0;
        /// What may be spent in a calendar month (UTC), in the same currency; 0 means no limit. Calls that are under way when it is reached may exceed it.
        monthly_budget: f64 = 0.0;
    }
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AssistProvider {
    /// Nobody.
    Off,
    /// Google's Gemini.
    Gemini,
    /// A server that speaks the protocol of OpenAI's chat completions.
    OpenAi,
}

section! {
    /// Rate limits: each allows a burst, and so many a minute in the long run.
    Limits {
        /// Whether there are any; off for load tests.
        enabled: bool = true;
        /// Requests of one address: burst.
        requests_burst: u32 = 2_000;
        /// Requests of one address: a minute.
        requests_per_minute: u32 = 12_000;
        /// Changes by one account: burst.
        writes_burst: u32 = 200;
        /// Changes by one account: a minute.
        writes_per_minute: u32 = 900;
        /// Events over sockets by one account, on all its connections: burst.
        events_burst: u32 = 300;
        /// Events over sockets by one account: a minute.
        events_per_minute: u32 = 3_000;
        /// Log-ins, failed or not, from one address: burst.
        logins_burst: u32 = 150;
        /// Log-ins from one address: a minute.
        logins_per_minute: u32 = 10;
        /// Sign-ups from one address: burst.
        signups_burst: u32 = 150;
        /// Sign-ups from one address: a minute.
        signups_per_minute: u32 = 5;
        /// Codes by mail to one e-mail address: burst.
        codes_burst: u32 = 5;
        /// Codes by mail to one e-mail address: a minute.
        codes_per_minute: u32 = 1;
        /// Texts that one account asks the writing help for: burst.
        assist_burst: u32 = 10;
        /// Texts that one account asks the writing help for: a minute.
        assist_per_minute: u32 = 6;
    }
}

section! {
    /// Logging, to standard error.
    Log {
        /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,socialhub::store=debug`.
        level: String = "info".to_owned();
        /// `text` for people, `json` for machines, `auto` for text on a terminal and JSON elsewhere.
        format: LogFormat = LogFormat::Auto;
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

section! {
    /// Prometheus metrics, at `/metrics`.
    Metrics {
        /// A listener of their own; without it they are on the main one, for this machine only or with the token.
        listen: Option<SocketAddr> = None;
        /// The bearer token that opens `/metrics` to other machines.
        token: Option<String> = None;
    }
}
