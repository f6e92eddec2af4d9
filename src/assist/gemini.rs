//! The protocol of Google's Gemini: `generateContent`, version `v1beta`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::ledger::Tokens;
use super::prompt::Prompt;
use super::provider::{Answer, Said, base64};

pub(super) const BASE_URL: &str = "https://generativelanguage.googleapis.com/v1beta";

pub(super) const MODEL: &str = "gemini-2.5-flash";

/// As the original had it (contract, section 4).
const TEMPERATURE: f64 = 0.7;

/// Reasons to stop that are refusals.
const REFUSALS: [&str; 6] = [
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
];

pub(super) struct Gemini {
    /// Whether it thinks before it writes, and can be told not to.
    thinks: bool,
}

impl Gemini {
    pub(super) fn new(model: &str) -> Self {
        Self {
            // What it thinks counts as output and takes most of it; the larger models do not write without.
            thinks: model.starts_with("gemini-2.5-flash"),
        }
    }

    pub(super) fn request(&self, prompt: &Prompt, max_output_tokens: u32) -> Value {
        let picture = prompt.picture.as_ref().map(|picture| {
            json!({ "inlineData": { "mimeType": "image/jpeg", "data": base64(picture) } })
        });
        let parts: Vec<_> = picture
            .into_iter()
            .chain([text_part(&prompt.request)])
            .collect();
        let mut settings =
            json!({ "maxOutputTokens": max_output_tokens, "temperature": TEMPERATURE });
        if self.thinks {
            settings["thinkingConfig"] = json!({ "thinkingBudget": 0 });
        }
        json!({
            "systemInstruction": { "parts": [text_part(prompt.task)] },
            "contents": [{ "role": "user", "parts": parts }],
            "generationConfig": settings,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    #[serde(default)]
    candidates: Vec<Candidate>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Usage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    /// Whether it is a part of what the model thinks.
    #[serde(default)]
    thought: bool,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(rename = "promptTokenCount")]
    prompt: Option<u64>,
    #[serde(rename = "candidatesTokenCount")]
    written: Option<u64>,
    #[serde(rename = "thoughtsTokenCount")]
    thought: Option<u64>,
}

pub(super) fn answer(body: &[u8]) -> serde_json::Result<Answer> {
    let reply: Reply = serde_json::from_slice(body)?;
    let tokens = reply.usage_metadata.and_then(|usage| {
        Some(Tokens {
            input: usage.prompt?,
            // Absent where there are none.
            output: usage
                .written
                .unwrap_or(0)
                .saturating_add(usage.thought.unwrap_or(0)),
        })
    });
    let is_refused = reply
        .prompt_feedback
        .is_some_and(|feedback| feedback.block_reason.is_some());
    let said = match reply.candidates.into_iter().next() {
        _ if is_refused => Said::Blocked,
        None => Said::Nothing,
        Some(first) if first.finish_reason.as_deref().is_some_and(is_refusal) => Said::Blocked,
        Some(first) => {
            let is_cut = first.finish_reason.as_deref() == Some("MAX_TOKENS");
            let parts = first.content.map(|content| content.parts);
            let texts = parts.into_iter().flatten().filter(|part| !part.thought);
            let text: String = texts.filter_map(|part| part.text).collect();
            if text.is_empty() {
                Said::Nothing
            } else if is_cut {
                Said::CutOff(text)
            } else {
                Said::Text(text)
            }
        }
    };
    Ok(Answer { said, tokens })
}

fn text_part(text: &str) -> Value {
    json!({ "text": text })
}

fn is_refusal(reason: &str) -> bool {
    REFUSALS.contains(&reason)
}
