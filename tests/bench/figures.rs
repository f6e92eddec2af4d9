//! The table, and the JSON.

use std::path::Path;

use serde_json::{Value, json};

/// What was measured.
pub(crate) struct Figures {
    rows: Vec<Row>,
}

struct Row {
    name: String,
    unit: &'static str,
    ours: f64,
    /// The same without our part in it, from the same run.
    raw: Option<f64>,
    note: String,
}

impl Figures {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// A figure and its raw limit.
    pub(crate) fn compare(
        &mut self,
        name: &str,
        unit: &'static str,
        ours: f64,
        raw: f64,
        note: impl Into<String>,
    ) {
        self.add(name, unit, ours, Some(raw), note.into());
    }

    /// A figure that has no raw limit.
    pub(crate) fn note(
        &mut self,
        name: &str,
        unit: &'static str,
        ours: f64,
        note: impl Into<String>,
    ) {
        self.add(name, unit, ours, None, note.into());
    }

    fn add(&mut self, name: &str, unit: &'static str, ours: f64, raw: Option<f64>, note: String) {
        let row = Row {
            name: name.to_owned(),
            unit,
            ours,
            raw,
            note,
        };
        eprintln!("{}", row.line());
        self.rows.push(row);
    }

    pub(crate) fn print(&self) {
        println!(
            "\n{:<44} {:>12} {:>12} {:>6}  {:<6} note",
            "figure", "ours", "raw limit", "ratio", "unit"
        );
        for row in &self.rows {
            println!("{}", row.line());
        }
    }

    pub(crate) fn write(&self) {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name, "unit": row.unit, "ours": row.ours, "raw": row.raw,
                    "ratio": row.raw.map(|raw| row.ours / raw), "note": row.note,
                })
            })
            .collect();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("figures.json");
        std::fs::write(&path, serde_json::to_vec_pretty(&rows).unwrap()).unwrap();
        println!("\nalso in {}", path.display());
    }
}

impl Row {
    fn line(&self) -> String {
        let number = |value: f64| {
            if value < 100.0 {
                format!("{value:.2}")
            } else {
                format!("{value:.0}")
            }
        };
        let raw = self.raw.map(number).unwrap_or_default();
        let ratio = self
            .raw
            .map(|raw| format!("{:.0}%", 100.0 * self.ours / raw))
            .unwrap_or_default();
        format!(
            "{:<44} {:>12} {raw:>12} {ratio:>6}  {:<6} {}",
            self.name,
            number(self.ours),
            self.unit,
            self.note
        )
    }
}
