//! Asking the provider, over HTTP: within the time that there is, and reading no more than an answer may have.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Response, StatusCode, Url};
use tokio::time::{Instant, timeout_at};

use super::ledger::Tokens;
use super::prompt::Prompt;
use super::{gemini, openai};
use crate::config::{self, AssistProvider};
use crate::error::{Code, Error};

/// How long it may take to connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// When to ask again a provider that does not say, in seconds; and the longest that it may say.
const RETRY_AFTER_S: u32 = 10;
const MAX_RETRY_AFTER_S: u32 = 3_600;

/// The largest file with a key, in bytes.
const MAX_KEY_FILE: u64 = 4_096;

/// Tokens of one call are not more than this, whatever a provider says.
const MAX_TOKENS: u64 = 10_000_000;

/// A provider that can be asked.
pub(super) struct Provider {
    http: Client,
    address: Url,
    protocol: Protocol,
    max_output_tokens: u32,
    max_answer_bytes: usize,
}

/// What goes over the wire.
enum Protocol {
    Gemini(gemini::Gemini),
    OpenAi(openai::OpenAi),
}

/// A well-formed answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) said: Said,
    /// What the provider counted, where it says so.
    pub(super) tokens: Option<Tokens>,
}

/// What the model said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// As it came: to be cleaned.
    Text(String),
    /// The beginning of it: there was no room for more.
    CutOff(String),
    /// No text at all.
    Nothing,
    /// That it does not want to.
    Blocked,
}

/// Why there is no answer.
pub(super) struct Failure {
    pub(super) error: Error,
    /// Whether the provider may have worked for it.
    pub(super) may_cost: bool,
}

impl Provider {
    /// As the configuration says. Blocks.
    pub(super) fn open(options: &config::Assist) -> anyhow::Result<Self> {
        // The one way to TLS without C and assembly that need cmake. A second one is as good as the first.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let key = match (&options.api_key, &options.api_key_file) {
            (Some(key), _) if !key.is_empty() => Some(key.clone()),
            (_, Some(path)) => Some(read_key(path)?),
            _ => None,
        };
        let model = options.model.as_deref().filter(|model| !model.is_empty());
        let base = options.base_url.as_deref().filter(|base| !base.is_empty());
        let (protocol, address, key) = match options.provider {
            AssistProvider::Gemini => {
                let model = model.unwrap_or(gemini::MODEL);
                let address = format!(
                    "{}/models/{model}:generateContent",
                    base.unwrap_or(gemini::BASE_URL).trim_end_matches('/')
                );
                let header = HeaderName::from_static("x-goog-api-key");
                let protocol = Protocol::Gemini(gemini::Gemini::new(model));
                (protocol, address, key.map(|key| (header, key)))
            }
            AssistProvider::OpenAi | AssistProvider::Off => {
                let base = base.unwrap_or_default().trim_end_matches('/');
                let address = format!("{base}/chat/completions");
                let protocol =
                    Protocol::OpenAi(openai::OpenAi::new(model.unwrap_or_default(), base));
                let bearer = |key| (header::AUTHORIZATION, format!("Bearer {key}"));
                (protocol, address, key.map(bearer))
            }
        };
        let mut headers = HeaderMap::from_iter([(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )]);
        if let Some((name, key)) = key {
            // The error would not show it either.
            let mut value = HeaderValue::from_str(&key)
                .context("the key of the provider holds characters that no key has")?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut client = Client::builder()
            .default_headers(headers)
            // A provider has no reason to send the key elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_PATIENCE);
        // Beside those of the machine: a container may have none.
        let mut roots = Vec::new();
        for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
            roots.push(Certificate::from_der(certificate)?);
        }
        if let Some(path) = &options.ca_file {
            let pem = fs::read(path)
                .with_context(|| format!("cannot read assist.ca_file, {}", path.display()))?;
            roots.extend(Certificate::from_pem_bundle(&pem)?);
        }
        client = client.tls_certs_merge(roots);
        let address: Url = address.parse().context("assist.base_url is no address")?;
        ensure!(
            address.query().is_none() && address.fragment().is_none(),
            "assist.base_url must not have a query"
        );
        Ok(Self {
            http: client.build()?,
            address,
            protocol,
            max_output_tokens: options.max_output_tokens,
            max_answer_bytes: options.max_answer_kib as usize * 1024,
        })
    }

    pub(super) fn max_output_tokens(&self) -> u32 {
        self.max_output_tokens
    }

    /// Asks, and waits for the answer until the deadline. Who stops waiting ends the call.
    pub(super) async fn ask(&self, prompt: &Prompt, deadline: Instant) -> Result<Answer, Failure> {
        match timeout_at(deadline, self.exchange(prompt)).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(Failure::costly(
                Error::new(Code::AssistTimedOut).with_source(elapsed),
            )),
        }
    }

    async fn exchange(&self, prompt: &Prompt) -> Result<Answer, Failure> {
        let body = match &self.protocol {
            Protocol::Gemini(gemini) => gemini.request(prompt, self.max_output_tokens),
            Protocol::OpenAi(openai) => openai.request(prompt, self.max_output_tokens),
        };
        let request = self.http.post(self.address.clone()).body(body.to_string());
        let response = request.send().await.map_err(|error| Failure {
            may_cost: !error.is_connect(),
            error: unavailable(error),
        })?;
        let status = response.status();
        if !status.is_success() {
            return Err(Failure::free(refused(status, response.headers())));
        }
        let body = self.read(response).await?;
        let unreadable = |error: serde_json::Error| {
            // Without the error's own text, which repeats what was written.
            let place = (error.line(), error.column());
            Failure::costly(bad_answer(format!(
                "the provider's answer is not of the expected form, at line {} column {}",
                place.0, place.1
            )))
        };
        let mut answer = match &self.protocol {
            Protocol::Gemini(_) => gemini::answer(&body).map_err(unreadable)?,
            Protocol::OpenAi(_) => openai::answer(&body).map_err(unreadable)?,
        };
        if let Some(tokens) = &mut answer.tokens {
            tokens.input = tokens.input.min(MAX_TOKENS);
            tokens.output = tokens.output.min(MAX_TOKENS);
        }
        Ok(answer)
    }

    /// The body, if it is not too large.
    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= self.max_answer_bytes => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    let text = "the provider's answer is larger than assist.max_answer_kib";
                    return Err(Failure::costly(bad_answer(text.to_owned())));
                }
                Ok(None) => return Ok(body),
                Err(error) => return Err(Failure::costly(unavailable(error))),
            }
        }
    }
}

impl Failure {
    fn free(error: Error) -> Self {
        Self {
            error,
            may_cost: false,
        }
    }

    fn costly(error: Error) -> Self {
        Self {
            error,
            may_cost: true,
        }
    }
}

/// A JPEG in Base64.
pub(super) fn base64(picture: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(picture)
}

fn read_key(path: &Path) -> anyhow::Result<String> {
    let about = || format!("cannot read assist.api_key_file, {}", path.display());
    let size = fs::metadata(path).with_context(about)?.len();
    ensure!(
        size <= MAX_KEY_FILE,
        "assist.api_key_file is no file with a key"
    );
    let key = fs::read_to_string(path)
        .with_context(about)?
        .trim()
        .to_owned();
    ensure!(!key.is_empty(), "assist.api_key_file is empty");
    Ok(key)
}

/// The address stays out of the error: it may hold a password.
fn unavailable(error: reqwest::Error) -> Error {
    Error::new(Code::AssistUnavailable)
        .with_retry_after(RETRY_AFTER_S)
        .with_source(error.without_url())
}

/// Of what the provider says beside its status nothing is repeated: it may quote the key, and what somebody wrote.
fn refused(status: StatusCode, headers: &HeaderMap) -> Error {
    let text = format!("the provider answered {status}");
    let asks_to_wait = status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::UNAUTHORIZED
                | StatusCode::PAYMENT_REQUIRED
                | StatusCode::FORBIDDEN
        );
    if !asks_to_wait {
        return bad_answer(text);
    }
    let wait = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(RETRY_AFTER_S);
    Error::new(Code::AssistUnavailable)
        .with_retry_after(wait.clamp(1, MAX_RETRY_AFTER_S))
        .with_source(text)
}

fn bad_answer(text: String) -> Error {
    Error::new(Code::AssistBadAnswer).with_source(text)
}
