//! The protocol of OpenAI's chat completions, which Ollama, vLLM, llama.cpp and many others speak as well.

use serde::Deserialize;
use serde_json::{Value, json};

use super::ledger::Tokens;
use super::prompt::Prompt;
use super::provider::{Answer, Said, base64};

/// OpenAI's own. It calls the most tokens by a name that the others do not all know, and its new models refuse the old one.
const OWN: &str = "https://api.openai.com/";

pub(super) struct OpenAi {
    model: String,
    limit: &'static str,
}

impl OpenAi {
    pub(super) fn new(model: &str, base_url: &str) -> Self {
        Self {
            model: model.to_owned(),
            limit: if base_url.starts_with(OWN) {
                "max_completion_tokens"
            } else {
                "max_tokens"
            },
        }
    }

    pub(super) fn request(&self, prompt: &Prompt, max_output_tokens: u32) -> Value {
        let content = match &prompt.picture {
            None => json!(prompt.request),
            Some(picture) => {
                let url = format!("data:image/jpeg;base64,{}", base64(picture));
                json!([
                    { "type": "text", "text": prompt.request },
                    { "type": "image_url", "image_url": { "url": url } },
                ])
            }
        };
        let mut request = json!({
            "model": self.model,
            "messages": [
                { "role": "system", "content": prompt.task },
                { "role": "user", "content": content },
            ],
            "stream": false,
        });
        request[self.limit] = json!(max_output_tokens);
        request
    }
}

#[derive(Deserialize)]
struct Reply {
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

pub(super) fn answer(body: &[u8]) -> serde_json::Result<Answer> {
    let reply: Reply = serde_json::from_slice(body)?;
    let tokens = reply.usage.and_then(|usage| {
        Some(Tokens {
            input: usage.prompt_tokens?,
            output: usage.completion_tokens?,
        })
    });
    let said = match reply.choices.into_iter().next() {
        None => Said::Nothing,
        Some(first) => {
            let is_refused = first.finish_reason.as_deref() == Some("content_filter")
                || first.message.refusal.is_some_and(|text| !text.is_empty());
            let is_cut = first.finish_reason.as_deref() == Some("length");
            match first.message.content {
                _ if is_refused => Said::Blocked,
                Some(text) if !text.is_empty() && is_cut => Said::CutOff(text),
                Some(text) if !text.is_empty() => Said::Text(text),
                _ => Said::Nothing,
            }
        }
    };
    Ok(Answer { said, tokens })
}
