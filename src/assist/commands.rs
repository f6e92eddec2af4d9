//! What is written down of a call.

use serde::{Deserialize, Serialize};

use super::ledger::MonthUsage;
use super::sql;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::store::{Command, WriteTx};

/// Notes a call of the provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordCall {
    /// When it ended.
    pub at: Timestamp,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// What they cost, in millionths of the currency of the prices.
    pub cost_micros: u64,
    /// Whether nobody said what it took.
    pub is_estimated: bool,
    /// What was written, for repeats of the same request; none when the call failed. No table keeps it.
    pub text: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recorded {
    /// What was written.
    pub text: Option<String>,
    /// The month so far.
    pub month: MonthUsage,
}

impl Command for RecordCall {
    const NAME: &'static str = "assist.record_call";
    type Output = Recorded;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Recorded> {
        let month = self.at.month();
        sql::add_call(tx, &month, self)?;
        Ok(Recorded {
            text: self.text.clone(),
            month: sql::find_month(tx, &month)?.unwrap_or_default(),
        })
    }
}
