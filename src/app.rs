//! The whole server as one value: what `serve` starts, and what tests start.
//!
//! Parts start in the order of their floors and stop in reverse: first no new requests, then those under way, then the
//! background tasks, then the store, which finishes its queue.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::{self, Domains, health};
use crate::assist::{self, Assist};
use crate::auth::{self, Auth};
use crate::chat::{self, Chat};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::consume::Consumers;
use crate::datadir::DataDir;
use crate::discovery::{self, Discovery};
use crate::disk::DiskGuard;
use crate::error::Error;
use crate::eventlog::EventLog;
use crate::feed::{self, Feed};
use crate::gateway::{Edge, Limits, serve};
use crate::id::Ids;
use crate::live::{self, Live};
use crate::mail::Mailer;
use crate::media::{self, Media};
use crate::notifications::{self, Notifications};
use crate::posts::{self, Posts};
use crate::realtime::{self, Realtime};
use crate::search::{self, Search};
use crate::store::{self, ReadTx, Registry, Store};
use crate::stories::{self, Stories};
use crate::tasks::Tasks;
use crate::users::{self, Users};

/// Rows forgotten in one command.
const PRUNE_STEP: u32 = 1_000;

/// How often measurements are summed up: until then each takes memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// How often what has expired is forgotten.
const HOUSEKEEPING: Duration = Duration::from_mins(10);

/// Deleted accounts whose belongings are removed at a time.
const ERASURES: u32 = 64;

/// Connections at once to the metrics' own listener.
const METRICS_CONNECTIONS: u32 = 64;

/// A server that runs until [`stop`](Self::stop).
pub struct App {
    address: SocketAddr,
    setup_link: Option<String>,
    data_dir: DataDir,
    store: Store,
    log: EventLog,
    media: Media,
    chat: Chat,
    feed: Feed,
    house: House,
    consumers: Consumers,
    search: Search,
    tasks: Tasks,
    /// What goes on until the other tasks have ended: the mail that they had to send.
    posting: Tasks,
    stopping: CancellationToken,
    serving: tokio::sync::oneshot::Receiver<()>,
}

/// All commands of all domains.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.add::<store::PruneOutbox>();
    registry.add::<store::PruneOnce>();
    users::register(&mut registry);
    auth::register(&mut registry);
    media::register(&mut registry);
    posts::register(&mut registry);
    stories::register(&mut registry);
    feed::register(&mut registry);
    discovery::register(&mut registry);
    chat::register(&mut registry);
    assist::register(&mut registry);
    notifications::register(&mut registry);
    registry
}

impl App {
    /// Starts all parts and listens.
    pub async fn start(config: Config, clock: Clock, metrics: PrometheusHandle) -> Result<Self> {
        let path = config.data_dir.clone();
        let data_dir = tokio::task::spawn_blocking(move || DataDir::open(&path)).await??;
        let secrets = data_dir.secrets()?;
        // Before anything else is made, so that a taken port is told at once.
        let listener = TcpListener::bind(config.server.listen)
            .await
            .with_context(|| format!("cannot listen on {}", config.server.listen))?;
        let address = listener.local_addr()?;
        let tasks = Tasks::new();
        let store = open_store(data_dir.path(), &config).await?;
        let ids = Ids::new(clock.clone(), 0);
        ids.skip_past(store.read(newest_id).await?);
        let posting = Tasks::new();
        let mailer = Mailer::start(&config.mail, data_dir.path(), &posting)?;
        let auth = Auth::start(
            store.clone(),
            ids.clone(),
            &config,
            &secrets,
            mailer,
            &tasks,
        )
        .await?;
        let media = Media::start(
            store.clone(),
            ids.clone(),
            &config.media,
            &config.s3,
            data_dir.path(),
            &secrets.pepper,
            &tasks,
        )
        .await?;
        let assist = Assist::start(
            store.clone(),
            clock.clone(),
            media.clone(),
            &config.assist,
            &tasks,
        )
        .await?;
        let limits = Limits::new(&config.limits);
        let guard = DiskGuard::new(data_dir.path(), config.store.reserve_bytes);
        let log = EventLog::new(
            data_dir.path(),
            &config.events,
            guard.clone(),
            clock.clone(),
        );
        let notifications =
            Notifications::new(store.clone(), &log, clock.clone(), &config.notifications);
        let chat = Chat::new(store.clone(), ids.clone(), &config.chat);
        let posts = Posts::new(store.clone(), ids.clone(), media.clone());
        let search = Search::start(
            &store,
            search::Needs {
                posts: posts.clone(),
                chat: chat.clone(),
                clock: clock.clone(),
            },
            &config.search,
            data_dir.path(),
            guard,
            &tasks,
        )
        .await?;
        let consumers = Consumers::new(log.clone(), &store, tasks.clone(), &config.events);
        log.start(&store, &tasks);
        consumers.start(notifications.clone());
        consumers.start(search.clone());
        notifications.start(&tasks);
        let stopping = CancellationToken::new();
        let live = Live::start(
            &store,
            live::Needs {
                auth: auth.clone(),
                chat: chat.clone(),
                posts: posts.clone(),
                notifications: notifications.clone(),
                signer: media.signer().clone(),
                clock: clock.clone(),
            },
            &config.realtime,
            &tasks,
            stopping.clone(),
        );
        let realtime = Realtime::start(
            &store,
            realtime::Needs {
                chat: chat.clone(),
                auth: auth.clone(),
                limits: limits.clone(),
                live: live.clone(),
                signer: media.signer().clone(),
                clock: clock.clone(),
            },
            &config,
            &tasks,
            stopping.clone(),
        );
        let users = Users::new(store.clone(), ids.clone(), media.clone());
        let stories = Stories::new(store.clone(), ids.clone());
        let feed = Feed::start(store.clone(), ids, clock.clone(), &config.feed, &tasks);
        let discovery = Discovery::new(
            store.clone(),
            clock.clone(),
            &config.discovery,
            public_url(&config, address),
        );
        let domains = Domains {
            auth: auth.clone(),
            users: users.clone(),
            posts,
            stories: stories.clone(),
            feed: feed.clone(),
            discovery: discovery.clone(),
            media: media.clone(),
            chat: chat.clone(),
            assist,
            notifications,
            search: search.clone(),
            live,
            log: log.clone(),
            consumers: consumers.clone(),
            limits: limits.clone(),
        };
        let health = health::Health {
            probes: Arc::new(vec![
                ("store", health::store_probe(store.clone())),
                ("events", health::log_probe(log.clone())),
                ("consumers", health::consumers_probe(consumers.clone())),
                ("media", health::media_probe(media.clone())),
            ]),
            store: store.clone(),
            metrics,
            metrics_token: config.metrics.token.as_deref().map(Into::into),
        };
        let setup_link = auth
            .setup_token()
            .map(|token| format!("{}/setup?token={token}", public_url(&config, address)));
        let house = House {
            store: store.clone(),
            clock: clock.clone(),
            auth: auth.clone(),
            limits: limits.clone(),
            users,
            keep_relations: Duration::from_hours(24 * u64::from(config.notifications.keep_days)),
            chat: chat.clone(),
            stories,
            feed: feed.clone(),
            discovery,
        };
        house.clone().keep(&tasks);
        sum_up(&tasks, health.metrics.clone());
        if let Some(address) = config.metrics.listen {
            serve_metrics(address, health.clone(), &config, &tasks).await?;
        }
        let routes = api::routes(domains)
            .merge(health::routes(health, config.metrics.listen.is_none()))
            .merge(realtime.routes());
        let signer = media.signer().clone();
        let edge = Edge::new(&config, auth, clock, limits, signer, tasks.clone());
        let service = edge.around(routes);
        let (served, serving) = tokio::sync::oneshot::channel();
        let (server, connections, stop) = (config.server.clone(), tasks.clone(), stopping.clone());
        tasks.spawn("listener", async move {
            serve::run(
                listener,
                service,
                &server,
                &connections,
                stop.cancelled_owned(),
            )
            .await;
            // Whoever waits may have given up.
            served.send(()).ok();
        });
        Ok(Self {
            address,
            setup_link,
            data_dir,
            store,
            log,
            media,
            chat,
            feed,
            house,
            consumers,
            search,
            tasks,
            posting,
            stopping,
            serving,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The one-time link that makes the first admin, while there is none.
    pub fn setup_link(&self) -> Option<&str> {
        self.setup_link.as_deref()
    }

    /// The store, for tests that look beneath the surface.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Uploads, for tests that have unused ones removed.
    pub fn media(&self) -> &Media {
        &self.media
    }

    /// Rooms, for tests that have what is too old removed.
    pub fn chat(&self) -> &Chat {
        &self.chat
    }

    /// Forgets what has expired and what deleted accounts leave, for tests that do not wait until it is done.
    pub async fn keep_house(&self) {
        self.house.clean().await;
    }

    /// Feeds, for tests that do not wait for what is done now and then.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Those who derive from the event log, for tests that wait for them.
    pub fn consumers(&self) -> &Consumers {
        &self.consumers
    }

    /// Search, for tests that wait for it.
    pub fn search(&self) -> &Search {
        &self.search
    }

    /// The absolute path of the data.
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// Answers what is under way, finishes what is queued, and closes everything.
    pub async fn stop(self) {
        self.stopping.cancel();
        if self.serving.await.is_err() {
            warn!("The listener had ended before");
        }
        if !self.tasks.stop(Duration::from_secs(2)).await {
            warn!("Some background tasks did not end in time");
        }
        if !self.posting.stop(Duration::from_secs(2)).await {
            warn!("Some messages could not be sent in time");
        }
        let (store, log) = (self.store.clone(), self.log.clone());
        let search = self.search;
        let closed = tokio::task::spawn_blocking(move || {
            search.close();
            log.close();
            store.close();
        });
        if closed.await.is_err() {
            warn!("The store could not be closed");
        }
        info!("Stopped");
    }
}

async fn open_store(dir: &Path, config: &Config) -> Result<Store> {
    let (dir, options) = (dir.to_owned(), config.store.clone());
    let (store, migrated) =
        tokio::task::spawn_blocking(move || Store::open(&dir, &options, registry())).await??;
    if migrated.from != migrated.to {
        info!(
            schema.from = migrated.from,
            schema.to = migrated.to,
            "The database's schema is now version {}",
            migrated.to
        );
    }
    if let Some(backup) = &migrated.backup {
        info!("The database before that is kept as {}", backup.display());
    }
    Ok(store)
}

/// The greatest id in any table that ids are made for.
fn newest_id(tx: &ReadTx<'_>) -> Result<i64, Error> {
    tx.one(
        "SELECT max(
             (SELECT coalesce(max(id), 0) FROM users), (SELECT coalesce(max(id), 0) FROM sessions),
             (SELECT coalesce(max(id), 0) FROM follows), (SELECT coalesce(max(id), 0) FROM posts),
             (SELECT coalesce(max(id), 0) FROM comments), (SELECT coalesce(max(id), 0) FROM reactions),
             (SELECT coalesce(max(id), 0) FROM comment_likes), (SELECT coalesce(max(id), 0) FROM media),
             (SELECT coalesce(max(id), 0) FROM rooms), (SELECT coalesce(max(id), 0) FROM messages),
             (SELECT coalesce(max(id), 0) FROM stories), (SELECT coalesce(max(id), 0) FROM highlights),
             (SELECT coalesce(max(id), 0) FROM lists), (SELECT coalesce(max(id), 0) FROM muted_terms)
         )",
        [],
        |row| row.get(0),
    )
}

/// Where links lead: the configured address, else the one that is really listened on.
fn public_url(config: &Config, address: SocketAddr) -> String {
    if config.server.public_url.is_some() {
        config.public_url()
    } else {
        format!("http://{address}")
    }
}

/// What is forgotten now and then: what has expired, and what deleted accounts leave.
#[derive(Clone)]
struct House {
    store: Store,
    clock: Clock,
    auth: Auth,
    limits: Limits,
    users: Users,
    /// Blocks and mutes that have ended stay as long as something is told of the time when they held.
    keep_relations: Duration,
    chat: Chat,
    stories: Stories,
    feed: Feed,
    discovery: Discovery,
}

impl House {
    fn keep(self, tasks: &Tasks) {
        let stopping = tasks.stopping().clone();
        tasks.spawn("housekeeping", async move {
            let mut ticks = tokio::time::interval(HOUSEKEEPING);
            loop {
                tokio::select! {
                    _ = ticks.tick() => self.clean().await,
                    () = stopping.cancelled() => return,
                }
            }
        });
    }

    /// Once; each, whatever becomes of the others.
    async fn clean(&self) {
        self.limits.sweep();
        let outcomes = [
            self.auth.prune().await,
            self.chat.expire().await,
            self.erase().await,
            self.stories.sweep().await,
            self.users.prune(self.keep_relations).await,
            self.prune_once().await,
        ];
        for error in outcomes.into_iter().filter_map(Result::err) {
            warn!(error = %error, causes = error.causes(), "What has expired could not be forgotten; later then");
        }
    }

    async fn prune_once(&self) -> Result<(), Error> {
        let step = store::PruneOnce {
            at: self.clock.now(),
            limit: PRUNE_STEP,
        };
        while self.store.submit(step.clone()).await? >= PRUNE_STEP as usize {}
        Ok(())
    }

    /// Removes what deleted accounts leave: some of these, the others next time.
    async fn erase(&self) -> Result<(), Error> {
        for user in self.users.erasures(ERASURES).await? {
            self.stories.erase(user).await?;
            self.feed.erase(user).await?;
            self.discovery.erase(user).await?;
            self.users.end_erasure(user).await?;
        }
        Ok(())
    }
}

fn sum_up(tasks: &Tasks, metrics: PrometheusHandle) {
    let stopping = tasks.stopping().clone();
    tasks.spawn("metrics upkeep", async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            tokio::select! {
                _ = ticks.tick() => metrics.run_upkeep(),
                () = stopping.cancelled() => return,
            }
        }
    });
}

async fn serve_metrics(
    address: SocketAddr,
    health: health::Health,
    config: &Config,
    tasks: &Tasks,
) -> Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} for metrics"))?;
    let (server, connections, stop) = (
        config.server.clone(),
        tasks.clone(),
        tasks.stopping().clone(),
    );
    // Prometheus needs one or two; the rest is for those who are served.
    let server = config::Server {
        max_connections: server.max_connections.min(METRICS_CONNECTIONS),
        ..server
    };
    let service = health::metrics_routes(health);
    tasks.spawn("metrics", async move {
        serve::run(
            listener,
            service,
            &server,
            &connections,
            stop.cancelled_owned(),
        )
        .await;
    });
    Ok(())
}
