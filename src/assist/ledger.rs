//! What writing help costs: the provider's tokens and the money for them, by calendar month.

use metrics::gauge;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tracing::warn;

use super::commands::RecordCall;
use super::sql;
use crate::clock::Clock;
use crate::config;
use crate::error::{Code, Error, Result};
use crate::store::{Once, Store};
use crate::tasks::Tasks;

/// Months that are told.
const MONTHS: u32 = 24;

/// Prices are of so many tokens, and money is counted in as many parts.
const MILLION: u32 = 1_000_000;

/// What a call took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) input: u64,
    pub(super) output: u64,
}

/// What is noted of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) tokens: Tokens,
    /// Whether the provider did not say.
    pub(super) is_estimated: bool,
}

/// What was used and spent in a calendar month.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MonthUsage {
    /// The month, in UTC.
    #[schema(example = "2026-11")]
    pub month: String,
    /// Calls of the provider, but for those that it refused.
    pub calls: u64,
    /// Those of them that gave no text.
    pub failed_calls: u64,
    /// Those of which nobody said what they took: it is estimated, rather too high.
    pub estimated_calls: u64,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens answered.
    pub output_tokens: u64,
    /// What they cost by the configured prices, in millionths of their currency.
    pub cost_micros: u64,
}

/// Notes what is spent. Cheap to clone.
#[derive(Clone)]
pub(super) struct Ledger {
    store: Store,
    clock: Clock,
    tasks: Tasks,
    /// Of a million tokens, in millionths.
    input_price: u64,
    output_price: u64,
    budget_micros: Option<u64>,
}

/// A call that is under way. Whatever becomes of it, it is noted: where nobody waits for its end any more, with what it may
/// have cost at most.
pub(super) struct Open {
    ledger: Ledger,
    most: Option<Tokens>,
}

impl Ledger {
    pub(super) fn new(store: Store, clock: Clock, options: &config::Assist, tasks: Tasks) -> Self {
        Self {
            store,
            clock,
            tasks,
            input_price: micros(options.input_price),
            output_price: micros(options.output_price),
            budget_micros: Some(micros(options.monthly_budget)).filter(|budget| *budget > 0),
        }
    }

    pub(super) fn budget_micros(&self) -> Option<u64> {
        self.budget_micros
    }

    pub(super) async fn months(&self) -> Result<Vec<MonthUsage>> {
        self.store.read(|tx| sql::months(tx, MONTHS)).await
    }

    /// What the same request was answered before.
    pub(super) async fn find_answer(&self, once: Option<&Once>) -> Result<Option<String>> {
        let known = self.store.find_output::<RecordCall>(once).await?;
        Ok(known.and_then(|recorded| recorded.text))
    }

    /// Errors: `assist_budget_spent`, until the next month.
    pub(super) async fn check_budget(&self) -> Result<()> {
        let Some(budget) = self.budget_micros else {
            return Ok(());
        };
        let now = self.clock.now();
        let month = now.month();
        let spent = self
            .store
            .read(move |tx| sql::find_month(tx, &month))
            .await?;
        if spent.is_some_and(|spent| spent.cost_micros >= budget) {
            let wait = now.next_month().since(now).as_secs();
            let wait = u32::try_from(wait).unwrap_or(u32::MAX).max(1);
            return Err(Error::new(Code::AssistBudgetSpent).with_retry_after(wait));
        }
        Ok(())
    }

    /// Begins a call that takes so much at most.
    pub(super) fn open(&self, most: Tokens) -> Open {
        Open {
            ledger: self.clone(),
            most: Some(most),
        }
    }

    /// Tells the metrics of this month, as it is after a start.
    pub(super) async fn publish_month(&self) -> Result<()> {
        let month = self.clock.now().month();
        let found = self
            .store
            .read(move |tx| sql::find_month(tx, &month))
            .await?;
        if let Some(month) = found {
            publish(&month);
        }
        Ok(())
    }

    fn command(&self, entry: Entry, text: Option<String>) -> RecordCall {
        RecordCall {
            at: self.clock.now(),
            input_tokens: entry.tokens.input,
            output_tokens: entry.tokens.output,
            cost_micros: self.cost(entry.tokens),
            is_estimated: entry.is_estimated,
            text,
        }
    }

    /// In millionths, rounded up.
    fn cost(&self, tokens: Tokens) -> u64 {
        let input = u128::from(tokens.input) * u128::from(self.input_price);
        let output = u128::from(tokens.output) * u128::from(self.output_price);
        let cost = (input + output).div_ceil(u128::from(MILLION));
        u64::try_from(cost).unwrap_or(u64::MAX)
    }

    async fn record(&self, command: RecordCall, once: Option<Once>) -> Result<Option<String>> {
        let recorded = self.store.submit_once(command, once).await?;
        publish(&recorded.month);
        Ok(recorded.text)
    }
}

impl Open {
    /// It gave a text.
    pub(super) async fn settle(
        mut self,
        entry: Entry,
        text: String,
        once: Option<Once>,
    ) -> Result<String> {
        self.most = None;
        let command = self.ledger.command(entry, Some(text));
        let text = self.ledger.record(command, once).await?;
        text.ok_or_else(|| Error::internal("a text that was recorded is gone"))
    }

    /// It gave none.
    pub(super) async fn settle_as_failed(mut self, entry: Entry) -> Result<()> {
        self.most = None;
        let command = self.ledger.command(entry, None);
        self.ledger.record(command, None).await.map(drop)
    }

    /// It failed in a way that leaves open what it cost.
    pub(super) async fn settle_as_estimated(mut self) -> Result<()> {
        let tokens = self.most.take().unwrap_or_default();
        self.settle_as_failed(Entry {
            tokens,
            is_estimated: true,
        })
        .await
    }

    /// It cost nothing.
    pub(super) fn settle_as_free(mut self) {
        self.most = None;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(tokens) = self.most.take() else {
            return;
        };
        super::count("abandoned");
        // Outside of the runtime the process ends, and the provider knows what it is owed.
        if Handle::try_current().is_err() {
            return;
        }
        let ledger = self.ledger.clone();
        self.ledger.tasks.spawn("assist ledger", async move {
            let entry = Entry {
                tokens,
                is_estimated: true,
            };
            let command = ledger.command(entry, None);
            if let Err(error) = ledger.record(command, None).await {
                warn!(
                    error = %error,
                    causes = error.causes(),
                    "A call of the provider of writing help could not be noted"
                );
            }
        });
    }
}

/// An amount in millionths; the configuration's are checked to be small enough.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "amounts are neither negative nor larger than a million"
)]
fn micros(amount: f64) -> u64 {
    (amount * f64::from(MILLION)).round() as u64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and nobody reads it to the last token"
)]
fn publish(usage: &MonthUsage) {
    let month = usage.month.clone();
    gauge!("socialhub_assist_month_tokens", "month" => month.clone(), "direction" => "input")
        .set(usage.input_tokens as f64);
    gauge!("socialhub_assist_month_tokens", "month" => month.clone(), "direction" => "output")
        .set(usage.output_tokens as f64);
    gauge!("socialhub_assist_month_cost", "month" => month)
        .set(usage.cost_micros as f64 / f64::from(MILLION));
}
