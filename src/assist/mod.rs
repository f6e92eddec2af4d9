//! Writing help: a language model writes a post, a caption or the description of a picture, for who asks.
//!
//! * `prompt`: what the model is told;
//! * `provider`: asking it, over HTTP; `gemini` and `openai` are what goes over the wire;
//! * `desk`: who asks when;
//! * `ledger`: what it costs;
//! * `commands`, `sql`: how that is kept.
//!
//! Nothing is published here, and nothing of what was asked or written is kept, but for the answer to a request that must
//! happen once. What a provider says is text of a stranger: it is bounded, cleaned, and never taken for markup.

mod commands;
mod desk;
mod gemini;
mod ledger;
mod openai;
mod prompt;
mod provider;
mod sql;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use metrics::{counter, histogram};
use serde::Serialize;
use tokio::time::Instant;

use crate::actor::Actor;
use crate::clock::Clock;
use crate::config;
use crate::error::{Code, Error, FieldError, Result};
use crate::id::MediaId;
use crate::media::Media;
use crate::store::{Registry, Store};
use crate::tasks::Tasks;
use crate::text;

use desk::Desk;
use ledger::{Entry, Ledger};
use prompt::Prompt;
use provider::{Provider, Said};

pub use commands::RecordCall;
pub use ledger::MonthUsage;

/// Tones that clients may offer; any other is as good.
const TONES: [&str; 6] = [
    "professional",
    "casual",
    "enthusiastic",
    "informative",
    "inspirational",
    "humorous",
];

/// The longest tone, in characters.
const MAX_TONE_CHARS: usize = 50;

/// When it may be looked again whether there is writing help, in seconds.
const DISABLED_RETRY_S: u32 = 3_600;

/// The handle; cheap to clone.
#[derive(Clone)]
pub struct Assist {
    inner: Arc<Inner>,
}

struct Inner {
    media: Media,
    ledger: Ledger,
    /// None where writing help is off.
    desk: Option<Desk>,
    vision: bool,
    max_topic_chars: u32,
    timeout: Duration,
}

/// What writing help there is.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// Whether posts and captions are written.
    writes: bool,
    /// Whether pictures are described.
    describes_pictures: bool,
    /// The longest topic, in characters.
    max_topic_chars: u32,
    /// Tones to choose from; others are understood as well.
    tones: [&'static str; 6],
}

/// Adds this module's commands.
pub fn register(registry: &mut Registry) {
    registry.add::<RecordCall>();
}

impl Assist {
    /// Reads what the configuration names; the provider is not asked for anything yet.
    pub async fn start(
        store: Store,
        clock: Clock,
        media: Media,
        options: &config::Assist,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let desk = if options.provider == config::AssistProvider::Off {
            None
        } else {
            let chosen = options.clone();
            let provider = tokio::task::spawn_blocking(move || Provider::open(&chosen)).await?;
            let provider = provider.context("the provider of writing help cannot be set up")?;
            Some(Desk::new(provider, options))
        };
        let ledger = Ledger::new(store, clock, options, tasks.clone());
        if desk.is_some() {
            ledger.publish_month().await?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                media,
                ledger,
                desk,
                vision: options.vision,
                max_topic_chars: options.max_topic_chars,
                timeout: Duration::from_millis(options.timeout_ms),
            }),
        })
    }

    /// What there is, for clients to know before they ask.
    pub fn offer(&self) -> Offer {
        let writes = self.inner.desk.is_some();
        Offer {
            writes,
            describes_pictures: writes && self.inner.vision,
            max_topic_chars: self.inner.max_topic_chars,
            tones: TONES,
        }
    }

    /// Writes a post.
    ///
    /// Errors: `invalid_fields`, and those of all writing help: `assist_disabled`, `assist_blocked`,
    /// `assist_budget_spent`, `assist_unavailable`, `assist_bad_answer`, `assist_timed_out`, `overloaded`.
    pub async fn write_post(&self, actor: &Actor, topic: &str, tone: &str) -> Result<String> {
        let (topic, tone) = (
            self.topic(topic),
            text::body("tone", tone, 1, MAX_TONE_CHARS),
        );
        match (topic, tone) {
            (Ok(topic), Ok(tone)) => self.ask(actor, &Prompt::post(&topic, &tone)).await,
            (topic, tone) => Err(Error::invalid_fields(
                topic.err().into_iter().chain(tone.err()).collect(),
            )),
        }
    }

    /// Writes a caption with three hashtags. Errors as of [`write_post`](Self::write_post).
    pub async fn write_caption(&self, actor: &Actor, topic: &str) -> Result<String> {
        let topic = self.topic(topic);
        let topic = topic.map_err(|wrong| Error::invalid_fields(vec![wrong]))?;
        self.ask(actor, &Prompt::caption(&topic)).await
    }

    /// Describes one of one's own pictures, for those who do not see it.
    ///
    /// Errors: those of [`write_post`](Self::write_post); `media_not_found`, also for other people's.
    pub async fn describe_picture(&self, actor: &Actor, id: MediaId) -> Result<String> {
        if !self.offer().describes_pictures {
            return Err(disabled());
        }
        let picture = self.inner.media.preview(actor, id).await?;
        self.ask(actor, &Prompt::description(picture)).await
    }

    /// What was used and spent, newest month first.
    pub async fn usage(&self) -> Result<Vec<MonthUsage>> {
        self.inner.ledger.months().await
    }

    /// What may be spent in a month, in millionths; none for no limit.
    pub fn budget_micros(&self) -> Option<u64> {
        self.inner.ledger.budget_micros()
    }

    fn topic(&self, raw: &str) -> Result<String, FieldError> {
        text::body("topic", raw.trim(), 1, self.inner.max_topic_chars as usize)
    }

    async fn ask(&self, actor: &Actor, prompt: &Prompt) -> Result<String> {
        let desk = self.inner.desk.as_ref().ok_or_else(disabled)?;
        let ledger = &self.inner.ledger;
        // Who asks again because the answer was lost on its way does not pay for another.
        if let Some(known) = ledger.find_answer(actor.once.as_ref()).await? {
            return Ok(known);
        }
        let deadline = Instant::now() + self.inner.timeout;
        // Who gets a place has half of the time left at least: what is asked too late costs, and is never answered.
        let patience = deadline - self.inner.timeout / 2;
        let _place = desk.place(actor.user_id, patience).await?;
        ledger.check_budget().await?;
        let started = Instant::now();
        let open = ledger.open(prompt.estimate(desk.provider().max_output_tokens()));
        let heard = desk.provider().ask(prompt, deadline).await;
        histogram!("socialhub_assist_seconds").record(started.elapsed());
        let answer = match heard {
            Ok(answer) => answer,
            Err(failure) => {
                count(failure.error.code().as_str());
                if failure.may_cost {
                    open.settle_as_estimated().await?;
                } else {
                    open.settle_as_free();
                }
                return Err(failure.error);
            }
        };
        let written = match answer.said {
            Said::Text(raw) => cleaned(prompt, &raw),
            Said::CutOff(raw) => cleaned(prompt, whole_sentences(&raw)),
            Said::Nothing => Err(Code::AssistBadAnswer),
            Said::Blocked => Err(Code::AssistBlocked),
        };
        count(
            written
                .as_ref()
                .map_or_else(|code| code.as_str(), |_text| "written"),
        );
        let tokens = answer
            .tokens
            .unwrap_or_else(|| prompt.estimate_of(written.as_deref().unwrap_or_default()));
        let entry = Entry {
            tokens,
            is_estimated: answer.tokens.is_none(),
        };
        let once = actor.once.clone();
        match written {
            Ok(written) => open.settle(entry, written, once).await,
            Err(code) => {
                open.settle_as_failed(entry).await?;
                Err(Error::new(code))
            }
        }
    }
}

/// What the model wrote, as people get it.
fn cleaned(prompt: &Prompt, raw: &str) -> Result<String, Code> {
    Some(text::cleaned(raw, prompt.max_chars()))
        .filter(|written| text::is_visible(written))
        .ok_or(Code::AssistBadAnswer)
}

/// A text up to the end of its last whole sentence: nothing where it has none.
fn whole_sentences(raw: &str) -> &str {
    let ends = |c: char| matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？' | '।' | '؟');
    let end = raw.char_indices().rfind(|(_, c)| ends(*c));
    end.and_then(|(at, c)| raw.get(..at + c.len_utf8()))
        .unwrap_or_default()
}

fn count(outcome: &'static str) {
    counter!("socialhub_assist_calls_total", "outcome" => outcome).increment(1);
}

fn disabled() -> Error {
    Error::new(Code::AssistDisabled).with_retry_after(DISABLED_RETRY_S)
}
