//! Statements of writing help.

use rusqlite::{Row, named_params};

use super::commands::RecordCall;
use super::ledger::MonthUsage;
use crate::error::Result;
use crate::store::{ReadTx, WriteTx};

fn usage(row: &Row<'_>) -> rusqlite::Result<MonthUsage> {
    Ok(MonthUsage {
        month: row.get("month")?,
        calls: row.get("calls")?,
        failed_calls: row.get("failed_calls")?,
        estimated_calls: row.get("estimated_calls")?,
        input_tokens: row.get("input_tokens")?,
        output_tokens: row.get("output_tokens")?,
        cost_micros: row.get("cost_micros")?,
    })
}

/// The latest months, newest first.
pub(super) fn months(tx: &ReadTx<'_>, limit: u32) -> Result<Vec<MonthUsage>> {
    tx.all(
        "SELECT month, calls, failed_calls, estimated_calls, input_tokens, output_tokens, cost_micros
         FROM assist_months
         WHERE month > ''
         ORDER BY month DESC
         LIMIT :limit",
        named_params! { ":limit": limit },
        usage,
    )
}

pub(super) fn find_month(tx: &ReadTx<'_>, month: &str) -> Result<Option<MonthUsage>> {
    tx.optional(
        "SELECT month, calls, failed_calls, estimated_calls, input_tokens, output_tokens, cost_micros
         FROM assist_months
         WHERE month = :month",
        named_params! { ":month": month },
        usage,
    )
}

/// Adds a call to its month.
pub(super) fn add_call(tx: &WriteTx<'_>, month: &str, call: &RecordCall) -> Result<()> {
    tx.execute(
        "INSERT INTO assist_months
             (month, calls, failed_calls, estimated_calls, input_tokens, output_tokens, cost_micros)
         VALUES (:month, 1, :failed, :estimated, :input, :output, :cost)
         ON CONFLICT (month) DO UPDATE SET
             calls = calls + 1,
             failed_calls = failed_calls + excluded.failed_calls,
             estimated_calls = estimated_calls + excluded.estimated_calls,
             input_tokens = input_tokens + excluded.input_tokens,
             output_tokens = output_tokens + excluded.output_tokens,
             cost_micros = cost_micros + excluded.cost_micros",
        named_params! {
            ":month": month, ":failed": call.text.is_none(), ":estimated": call.is_estimated,
            ":input": call.input_tokens, ":output": call.output_tokens, ":cost": call.cost_micros,
        },
    )
    .map(drop)
}
