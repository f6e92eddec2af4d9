//! Rate limits, by address and by account: each a bucket that allows a burst and refills steadily (GCRA).

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::DashMapStateStore;
use governor::{NotUntil, Quota, RateLimiter};
use metrics::counter;

use crate::config;
use crate::error::{Code, Error};
use crate::id::UserId;

type Buckets<K> = RateLimiter<K, DashMapStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// All limits; cheap to clone.
#[derive(Clone)]
pub struct Limits {
    /// None when switched off.
    buckets: Option<Arc<All>>,
}

struct All {
    requests: Buckets<IpAddr>,
    logins: Buckets<IpAddr>,
    signups: Buckets<IpAddr>,
    writes: Buckets<UserId>,
    events: Buckets<UserId>,
    /// By a hash of the name or address that is tried, so that many addresses cannot share the guessing.
    identifiers: Buckets<u64>,
    codes: Buckets<u64>,
    assist: Buckets<UserId>,
}

/// What the limits say of one request.
pub(super) struct Checked {
    refusal: Option<Error>,
    /// Limit, remaining, seconds until all is there again.
    state: Option<(u32, u32, u64)>,
}

impl Limits {
    pub fn new(options: &config::Limits) -> Self {
        let buckets = options.enabled.then(|| {
            Arc::new(All {
                requests: buckets(options.requests_per_minute, options.requests_burst),
                logins: buckets(options.logins_per_minute, options.logins_burst),
                signups: buckets(options.signups_per_minute, options.signups_burst),
                writes: buckets(options.writes_per_minute, options.writes_burst),
                events: buckets(options.events_per_minute, options.events_burst),
                // Wide, since whoever fills it keeps the name's owner out as well.
                identifiers: buckets(
                    options.logins_per_minute.saturating_mul(10),
                    options.logins_burst.saturating_mul(10),
                ),
                codes: buckets(options.codes_per_minute, options.codes_burst),
                assist: buckets(options.assist_per_minute, options.assist_burst),
            })
        });
        Self { buckets }
    }

    /// Counts a request against every limit that concerns it.
    pub(super) fn check(
        &self,
        method: &Method,
        path: &str,
        ip: IpAddr,
        actor: Option<UserId>,
    ) -> Checked {
        let Some(all) = &self.buckets else {
            return Checked {
                refusal: None,
                state: None,
            };
        };
        let ip = network(ip);
        let mut checked = look(&all.requests, &ip, "requests");
        if checked.refusal.is_some() || matches!(*method, Method::GET | Method::HEAD) {
            return checked;
        }
        let guesses = [
            "/api/v1/auth/login",
            "/api/v1/auth/request-password-reset",
            "/api/v1/auth/reset-password",
            "/api/v1/auth/password",
            "/api/v1/setup",
        ];
        if guesses.contains(&path) || path.starts_with("/api/v1/auth/verify-reset-otp/") {
            checked = look(&all.logins, &ip, "logins");
        } else if path == "/api/v1/auth/signup" {
            checked = look(&all.signups, &ip, "signups");
        } else if let Some(actor) = actor {
            // Each of these costs somebody money.
            let asks_assist =
                path.starts_with("/api/v1/assist/") || path.starts_with("/api/v1/posts/generate-");
            checked = if asks_assist {
                look(&all.assist, &actor, "assist")
            } else {
                look(&all.writes, &actor, "writes")
            };
        }
        checked
    }

    /// Counts a change that comes another way than by a request.
    pub fn check_writes(&self, actor: UserId) -> Result<(), Error> {
        let Some(all) = &self.buckets else {
            return Ok(());
        };
        look(&all.writes, &actor, "writes")
            .refusal
            .map_or(Ok(()), Err)
    }

    /// Counts an event over a socket, whichever of the person's connections it comes by.
    pub fn check_events(&self, actor: UserId) -> Result<(), Error> {
        let Some(all) = &self.buckets else {
            return Ok(());
        };
        look(&all.events, &actor, "events")
            .refusal
            .map_or(Ok(()), Err)
    }

    /// Counts a log-in against the name that is tried.
    pub fn check_identifier(&self, identifier: &str) -> Result<(), Error> {
        let Some(all) = &self.buckets else {
            return Ok(());
        };
        look(&all.identifiers, &hash(identifier), "identifiers")
            .refusal
            .map_or(Ok(()), Err)
    }

    /// Counts a code by mail against its address; false when there were enough.
    pub fn allows_code(&self, email_key: &str) -> bool {
        self.buckets.as_ref().is_none_or(|all| {
            look(&all.codes, &hash(email_key), "codes")
                .refusal
                .is_none()
        })
    }

    /// Forgets those who have been quiet; called now and then, so that memory is bounded by who was here lately.
    pub fn sweep(&self) {
        if let Some(all) = &self.buckets {
            sweep(&all.requests);
            sweep(&all.logins);
            sweep(&all.signups);
            sweep(&all.writes);
            sweep(&all.events);
            sweep(&all.identifiers);
            sweep(&all.codes);
            sweep(&all.assist);
        }
    }
}

impl Checked {
    pub(super) fn refused(&self) -> Option<Error> {
        self.refusal.as_ref().map(|refusal| {
            Error::new(refusal.code()).with_retry_after(refusal.retry_after_s().unwrap_or(1))
        })
    }

    /// Writes the `RateLimit-*` headers.
    pub(super) fn describe(&self, headers: &mut HeaderMap) {
        if let Some((limit, remaining, reset_s)) = self.state {
            headers.insert(
                HeaderName::from_static("ratelimit-limit"),
                HeaderValue::from(limit),
            );
            headers.insert(
                HeaderName::from_static("ratelimit-remaining"),
                HeaderValue::from(remaining),
            );
            headers.insert(
                HeaderName::from_static("ratelimit-reset"),
                HeaderValue::from(reset_s),
            );
        }
    }
}

fn buckets<K: std::hash::Hash + Eq + Clone>(per_minute: u32, burst: u32) -> Buckets<K> {
    let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    RateLimiter::dashmap(
        Quota::per_minute(at_least_one(per_minute)).allow_burst(at_least_one(burst)),
    )
    .with_middleware()
}

fn look<K: std::hash::Hash + Eq + Clone>(
    buckets: &Buckets<K>,
    key: &K,
    name: &'static str,
) -> Checked {
    match buckets.check_key(key) {
        Ok(snapshot) => Checked {
            refusal: None,
            state: Some(describe(&snapshot)),
        },
        Err(not_until) => {
            counter!("socialhub_rate_limited_total", "limit" => name).increment(1);
            let seconds = wait_s(&not_until);
            let refusal = Error::new(Code::RateLimited).with_retry_after(seconds);
            let limit = not_until.quota().burst_size().get();
            Checked {
                refusal: Some(refusal),
                state: Some((limit, 0, u64::from(seconds))),
            }
        }
    }
}

fn describe(snapshot: &StateSnapshot) -> (u32, u32, u64) {
    let quota = snapshot.quota();
    let (limit, remaining) = (
        quota.burst_size().get(),
        snapshot.remaining_burst_capacity(),
    );
    let missing = limit.saturating_sub(remaining);
    let reset = quota.replenish_interval().saturating_mul(missing);
    (
        limit,
        remaining,
        reset.as_secs() + u64::from(reset.subsec_nanos() > 0),
    )
}

/// Whole seconds, rounded up: who comes back then is let through.
fn wait_s(not_until: &NotUntil<<DefaultClock as governor::clock::Clock>::Instant>) -> u32 {
    let wait = not_until.wait_time_from(DefaultClock::default().now());
    u32::try_from(wait.as_millis().div_ceil(1000))
        .unwrap_or(u32::MAX)
        .max(1)
}

fn sweep<K: std::hash::Hash + Eq + Clone>(buckets: &Buckets<K>) {
    buckets.retain_recent();
    buckets.shrink_to_fit();
}

/// Whoever has one address of IPv6 has the whole /64.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        },
    }
}

fn hash(text: &str) -> u64 {
    let hash = blake3::hash(text.as_bytes());
    u64::from_le_bytes(hash.as_bytes().first_chunk().copied().unwrap_or_default())
}
