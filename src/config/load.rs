//! Reads the layers and lays one over the other.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Assist, AssistProvider, Config, DEFAULT_FILE, MediaStore};

/// Why there is no configuration; the text is for the person who wrote it.
#[derive(Debug)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// What the layers are read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`; must exist when given.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
}

/// Names of the original's environment that mean the same here.
const ORIGINAL_NAMES: &[(&str, &str, &str)] = &[("JWT_SECRET", "auth", "jwt_secret")];

/// Names of the original's environment for the key of Gemini: of its README, and of its code.
const GEMINI_KEYS: &[&str] = &["GEMINI_API_KEY", "GOOGLE_API_KEY"];

/// A secret of fewer bytes is warned of: HMAC-SHA-256 wants as many as its hash has (RFC 7518 section 3.2).
const LEAST_SECRET: usize = 32;

/// The largest price or budget.
const MAX_AMOUNT: f64 = 1e6;

/// Hubs within one process, at most.
const MAX_HUBS: u32 = 8;

/// What was read.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What does not stop the start, and yet should be known; for the log.
    pub warnings: Vec<String>,
}

/// The configuration that the sources add up to.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut layers = read_file(sources)?;
    check_names(&layers)?;
    let mut warnings = overlay_env(&mut layers, &sources.env)?;
    if let Some(dir) = &sources.data_dir {
        layers.insert(
            "data_dir".to_owned(),
            Value::String(dir.display().to_string()),
        );
    }
    if let Some(listen) = &sources.listen {
        set(
            &mut layers,
            "server",
            "listen",
            Value::String(listen.clone()),
        );
    }
    let config = layers
        .try_into()
        .map_err(|error: toml::de::Error| {
            ConfigError(format!(
                "The configuration is not valid: {}",
                error.message()
            ))
        })
        .and_then(checked)?;
    let secret = config.auth.jwt_secret.as_deref();
    if secret.is_some_and(|secret| secret.len() < LEAST_SECRET) {
        warnings.push(format!(
            "auth.jwt_secret is shorter than {LEAST_SECRET} bytes and might be guessed; leave it out, and a good one is made."
        ));
    }
    Ok(Loaded { config, warnings })
}

fn checked(config: Config) -> Result<Config, ConfigError> {
    let wrong = |text: &str| Err(ConfigError(text.to_owned()));
    if config.auth.jwt_secret.as_deref().is_some_and(str::is_empty) {
        return wrong("auth.jwt_secret must not be empty: leave it out, and one is made.");
    }
    if config.store.queue_capacity == 0
        || config.store.max_batch == 0
        || config.store.read_queue_capacity == 0
    {
        return wrong(
            "store.queue_capacity, store.max_batch and store.read_queue_capacity must be at least 1.",
        );
    }
    if config.auth.argon2_memory_kib < 8
        || config.auth.argon2_passes == 0
        || config.auth.hash_queue_capacity == 0
    {
        return wrong(
            "auth.argon2_memory_kib must be at least 8, auth.argon2_passes and auth.hash_queue_capacity at least 1.",
        );
    }
    if config.events.batch == 0 || config.events.max_attempts == 0 || config.notifications.keep == 0
    {
        return wrong(
            "events.batch, events.max_attempts and notifications.keep must be at least 1.",
        );
    }
    if config
        .server
        .public_url
        .as_deref()
        .is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://"))
    {
        return wrong("server.public_url must begin with http:// or https://.");
    }
    check_assist(&config.assist, config.server.request_timeout_ms)?;
    let s3 = &config.s3;
    if config.media.store == MediaStore::S3 && s3.bucket.is_none() {
        return wrong("media.store is s3, which needs s3.bucket.");
    }
    if s3.bucket.is_some() && (s3.access_key_id.is_none() || s3.secret_access_key.is_none()) {
        return wrong("s3.bucket needs s3.access_key_id and s3.secret_access_key.");
    }
    // Whatever would be written otherwise in a name than here would not be found again under it.
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    if !s3.prefix.bytes().all(is_plain)
        || s3.prefix.split('/').any(|part| matches!(part, "." | ".."))
        || s3.prefix.contains("//")
    {
        return wrong(
            "s3.prefix may have letters, digits, `-`, `_` and `.`, with a `/` between parts.",
        );
    }
    if s3
        .endpoint
        .as_deref()
        .is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://"))
    {
        return wrong("s3.endpoint must begin with http:// or https://.");
    }
    let feed = &config.feed;
    let weights = [
        feed.affinity_weight,
        feed.engagement_weight,
        feed.variety_weight,
    ];
    if weights
        .iter()
        .any(|weight| !weight.is_finite() || *weight < 0.0)
    {
        return wrong(
            "feed.affinity_weight, feed.engagement_weight and feed.variety_weight must be 0 or more.",
        );
    }
    let realtime = &config.realtime;
    if realtime.ping_interval_ms == 0
        || realtime.ping_timeout_ms == 0
        || realtime.max_payload_bytes < 1_000
        || realtime.queue_capacity < 16
    {
        return wrong(
            "realtime.ping_interval_ms and realtime.ping_timeout_ms must be at least 1, realtime.max_payload_bytes at least 1000, realtime.queue_capacity at least 16.",
        );
    }
    if realtime.protocol_test_profile && !config.server.listen.ip().is_loopback() {
        return wrong(
            "realtime.protocol_test_profile lets everybody in: it needs server.listen to be on the loopback interface.",
        );
    }
    if realtime.hubs > 1 && !config.server.listen.ip().is_loopback() {
        return wrong(
            "realtime.hubs is for tests: it needs server.listen to be on the loopback interface.",
        );
    }
    if !(1..=MAX_HUBS).contains(&realtime.hubs) {
        return wrong("realtime.hubs must be 1 to 8.");
    }
    Ok(config)
}

fn check_assist(assist: &Assist, request_timeout_ms: u64) -> Result<(), ConfigError> {
    let wrong = |text: &str| Err(ConfigError(text.to_owned()));
    let given = |value: &Option<String>| value.as_deref().is_some_and(|text| !text.is_empty());
    let has_key = given(&assist.api_key) || assist.api_key_file.is_some();
    match assist.provider {
        AssistProvider::Gemini if !has_key => {
            return wrong(
                "assist.provider is gemini, which needs assist.api_key or assist.api_key_file.",
            );
        }
        AssistProvider::OpenAi if !given(&assist.base_url) || !given(&assist.model) => {
            return wrong(
                "assist.provider is openai, which needs assist.base_url and assist.model.",
            );
        }
        _ => {}
    }
    let is_web = |url: &str| url.starts_with("http://") || url.starts_with("https://");
    if assist.base_url.as_deref().is_some_and(|url| !is_web(url)) {
        return wrong("assist.base_url must begin with http:// or https://.");
    }
    // It stands in an address.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if assist.provider == AssistProvider::Gemini
        && assist.model.as_deref().is_some_and(|model| {
            !model.starts_with(|c: char| c.is_ascii_alphanumeric()) || !model.chars().all(is_plain)
        })
    {
        return wrong("assist.model is not the name of a model of Gemini.");
    }
    if assist.timeout_ms == 0
        || assist.max_calls == 0
        || assist.max_topic_chars == 0
        || assist.max_output_tokens == 0
        || assist.max_answer_kib == 0
    {
        return wrong(
            "assist.timeout_ms, assist.max_calls, assist.max_topic_chars, assist.max_output_tokens and assist.max_answer_kib must be at least 1.",
        );
    }
    if assist.provider != AssistProvider::Off && assist.timeout_ms >= request_timeout_ms {
        return wrong("assist.timeout_ms must be less than server.request_timeout_ms.");
    }
    let amounts = [
        assist.input_price,
        assist.output_price,
        assist.monthly_budget,
    ];
    if !amounts
        .iter()
        .all(|amount| (0.0..=MAX_AMOUNT).contains(amount))
    {
        return wrong(
            "assist.input_price, assist.output_price and assist.monthly_budget must be between 0 and a million.",
        );
    }
    if assist.monthly_budget > 0.0 && assist.input_price == 0.0 && assist.output_price == 0.0 {
        return wrong("assist.monthly_budget needs assist.input_price and assist.output_price.");
    }
    Ok(())
}

fn read_file(sources: &Sources) -> Result<Table, ConfigError> {
    let named = sources
        .file
        .clone()
        .or_else(|| sources.env.get("SOCIALHUB_CONFIG").map(PathBuf::from));
    let path = match named {
        Some(path) => path,
        None if Path::new(DEFAULT_FILE).exists() => PathBuf::from(DEFAULT_FILE),
        None => return Ok(Table::new()),
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        ConfigError(format!(
            "Cannot read the configuration {}: {error}",
            path.display()
        ))
    })?;
    text.parse()
        .map_err(|error| ConfigError(format!("{} is not valid TOML: {error}", path.display())))
}

/// Refuses names that mean nothing, and says which was probably meant.
fn check_names(file: &Table) -> Result<(), ConfigError> {
    let sections = || Config::SECTIONS.iter().map(|(name, _)| *name);
    for (name, value) in file {
        if name == "data_dir" {
            continue;
        }
        let Some((_, keys)) = Config::SECTIONS.iter().find(|(section, _)| section == name) else {
            return Err(unknown(name, sections().chain(["data_dir"]), ""));
        };
        let Value::Table(table) = value else {
            return Err(ConfigError(format!(
                "`{name}` is a section: write [{name}]."
            )));
        };
        for key in table.keys() {
            if !keys.iter().any(|known| known.name == key) {
                return Err(unknown(
                    key,
                    keys.iter().map(|known| known.name),
                    &format!("{name}."),
                ));
            }
        }
    }
    Ok(())
}

fn unknown(name: &str, known: impl Iterator<Item = &'static str>, prefix: &str) -> ConfigError {
    let nearest = known
        .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    let nearest = nearest.unwrap_or_default();
    ConfigError(format!(
        "Unknown configuration key `{prefix}{name}`; did you mean `{prefix}{nearest}`?"
    ))
}

/// Lays the environment over the file; returns what should be warned of.
fn overlay_env(
    layers: &mut Table,
    env: &BTreeMap<String, String>,
) -> Result<Vec<String>, ConfigError> {
    let mut warnings = Vec::new();
    let defaults =
        Table::try_from(Config::default()).map_err(|error| ConfigError(error.to_string()))?;
    for (name, section, key) in ORIGINAL_NAMES {
        if let Some(text) = env.get(*name).filter(|text| !text.is_empty()) {
            set(layers, section, key, Value::String(text.clone()));
        }
    }
    overlay_gemini_key(layers, env);
    if let Some(port) = env.get("PORT").filter(|text| !text.is_empty()) {
        let port: u16 = port.parse().map_err(|error| {
            ConfigError(format!("The environment's PORT is not a port: {error}"))
        })?;
        // The host stays the file's. When that is no address, it is told at the end.
        let listen = match layers.get("server").and_then(|table| table.get("listen")) {
            None => Some(Config::default().server.listen),
            Some(listen) => listen.as_str().and_then(|text| text.parse().ok()),
        };
        if let Some(mut listen) = listen {
            listen.set_port(port);
            let listen = Value::String(listen.to_string());
            set(layers, "server", "listen", listen);
        }
    }
    for (name, text) in env {
        let Some(rest) = name.strip_prefix("SOCIALHUB_") else {
            continue;
        };
        let Some((section, key)) = rest.split_once("__") else {
            match rest {
                "DATA_DIR" => {
                    drop(layers.insert("data_dir".to_owned(), Value::String(text.clone())));
                }
                "CONFIG" | "LISTEN" => {}
                // Not refused: in Kubernetes a service called `socialhub` makes SOCIALHUB_PORT and the like.
                _ => {
                    let known = ["SOCIALHUB_CONFIG", "SOCIALHUB_DATA_DIR", "SOCIALHUB_LISTEN"];
                    let ConfigError(text) = unknown(name, known.into_iter(), "");
                    warnings.push(format!("The environment's {name} is passed over. {text}"));
                }
            }
            continue;
        };
        let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
        check_names(&Table::from_iter([(
            section.clone(),
            Value::Table(Table::from_iter([(key.clone(), Value::Boolean(true))])),
        )]))
        .map_err(|ConfigError(text)| ConfigError(format!("The environment's {name}: {text}")))?;
        let like = defaults.get(&section).and_then(|table| table.get(&key));
        let value = typed(text, like).map_err(|expected| {
            ConfigError(format!(
                "The environment's {name} is `{text}`, which is not {expected}."
            ))
        })?;
        set(layers, &section, &key, value);
    }
    // After the loop, because it is the more particular name.
    if let Some(listen) = env.get("SOCIALHUB_LISTEN") {
        set(layers, "server", "listen", Value::String(listen.clone()));
    }
    Ok(warnings)
}

/// A key of Gemini in the environment switches writing help on, as in the original; where another provider is chosen, that
/// one does not get it.
fn overlay_gemini_key(layers: &mut Table, env: &BTreeMap<String, String>) {
    let Some(key) = GEMINI_KEYS
        .iter()
        .filter_map(|name| env.get(*name))
        .find(|key| !key.is_empty())
    else {
        return;
    };
    let chosen = env.get("SOCIALHUB_ASSIST__PROVIDER").map(String::as_str);
    let chosen = chosen.or_else(|| layers.get("assist")?.get("provider")?.as_str());
    if chosen.is_none_or(|provider| provider == "gemini") {
        set(
            layers,
            "assist",
            "provider",
            Value::String("gemini".to_owned()),
        );
        set(layers, "assist", "api_key", Value::String(key.clone()));
    }
}

/// The text as a value of the same type as the default.
fn typed(text: &str, like: Option<&Value>) -> Result<Value, &'static str> {
    Ok(match like {
        Some(Value::Integer(_)) => {
            Value::Integer(text.trim().parse().map_err(|_malformed| "a whole number")?)
        }
        Some(Value::Float(_)) => {
            let number = text.trim().parse().ok();
            Value::Float(number.filter(|n: &f64| n.is_finite()).ok_or("a number")?)
        }
        Some(Value::Boolean(_)) => Value::Boolean(
            text.trim()
                .parse()
                .map_err(|_malformed| "`true` or `false`")?,
        ),
        Some(Value::Array(_)) => Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| Value::String(part.to_owned()))
                .collect(),
        ),
        _ => Value::String(text.to_owned()),
    })
}

fn set(layers: &mut Table, section: &str, key: &str, value: Value) {
    let table = layers
        .entry(section)
        .or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(table) = table {
        table.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Sources {
        Sources {
            env: pairs
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
            ..Sources::default()
        }
    }

    fn with_file(text: &str, mut sources: Sources) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socialhub.toml");
        std::fs::write(&path, text).unwrap();
        sources.file = Some(path);
        load(&sources).map(|loaded| loaded.config)
    }

    #[test]
    fn flags_go_before_environment_before_file_before_defaults() {
        let file =
            "[server]\nlisten = \"127.0.0.1:1\"\nmax_json_bytes = 5\n[log]\nlevel = \"warn\"";
        let config = with_file(file, Sources::default()).unwrap();
        assert_eq!(
            (config.server.listen.port(), config.server.max_json_bytes),
            (1, 5)
        );
        assert_eq!(config.log.level, "warn");

        let mut sources = env(&[
            ("SOCIALHUB_LISTEN", "127.0.0.1:2"),
            ("SOCIALHUB_SERVER__MAX_JSON_BYTES", "6"),
            ("PORT", "9"),
        ]);
        let config = with_file(file, sources.clone()).unwrap();
        assert_eq!(
            (config.server.listen.port(), config.server.max_json_bytes),
            (2, 6)
        );

        sources.listen = Some("127.0.0.1:3".to_owned());
        assert_eq!(with_file(file, sources).unwrap().server.listen.port(), 3);
    }

    #[test]
    fn the_originals_names_are_honoured() {
        let config = load(&env(&[("PORT", "9"), ("JWT_SECRET", "s3cret")]))
            .unwrap()
            .config;
        assert_eq!(config.server.listen.port(), 9);
        assert_eq!(config.auth.jwt_secret.as_deref(), Some("s3cret"));
    }

    #[test]
    fn the_environment_may_say_numbers_with_fractions() {
        let weight = |text| with_file("", env(&[("SOCIALHUB_FEED__AFFINITY_WEIGHT", text)]));
        for (text, number) in [("0.25", 0.25), (" 2 ", 2.0)] {
            let feed = weight(text).unwrap().feed;
            assert!((feed.affinity_weight - number).abs() < f64::EPSILON);
        }
        for text in ["much", "nan", "inf", ""] {
            let error = weight(text).unwrap_err().to_string();
            assert!(error.contains("not a number"), "{error}");
        }
        let file = with_file("[assist]\ninput_price = 3", Sources::default()).unwrap();
        assert!((file.assist.input_price - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_key_of_gemini_is_given_to_gemini_alone() {
        let key = ("GEMINI_API_KEY", "k1");
        for (file, pairs, provider, api_key) in [
            ("", vec![], AssistProvider::Off, None),
            ("", vec![key], AssistProvider::Gemini, Some("k1")),
            (
                "",
                vec![("GOOGLE_API_KEY", "k2")],
                AssistProvider::Gemini,
                Some("k2"),
            ),
            (
                "",
                vec![("GOOGLE_API_KEY", "k2"), ("GEMINI_API_KEY", "")],
                AssistProvider::Gemini,
                Some("k2"),
            ),
            (
                "",
                vec![key, ("GOOGLE_API_KEY", "k2")],
                AssistProvider::Gemini,
                Some("k1"),
            ),
            (
                "[assist]\nmodel = \"gemini-2.5-pro\"",
                vec![key, ("SOCIALHUB_ASSIST__API_KEY", "k3")],
                AssistProvider::Gemini,
                Some("k3"),
            ),
            (
                "[assist]\nprovider = \"openai\"\nbase_url = \"http://127.0.0.1:11434/v1\"\nmodel = \"m\"",
                vec![key],
                AssistProvider::OpenAi,
                None,
            ),
            (
                "[assist]\nprovider = \"gemini\"\napi_key = \"k4\"",
                vec![key, ("SOCIALHUB_ASSIST__PROVIDER", "off")],
                AssistProvider::Off,
                Some("k4"),
            ),
        ] {
            let assist = with_file(file, env(&pairs)).unwrap().assist;
            assert_eq!(
                (assist.provider, assist.api_key.as_deref()),
                (provider, api_key),
                "{file} {pairs:?}"
            );
        }
        for (file, says) in [
            ("[assist]\nprovider = \"gemini\"", "assist.api_key"),
            ("[assist]\nprovider = \"openai\"", "assist.base_url"),
            ("[assist]\nbase_url = \"ftp://x\"", "http://"),
            ("[assist]\nmax_calls = 0", "at least 1"),
            ("[assist]\ninput_price = -1.0", "between 0"),
            ("[assist]\nmonthly_budget = 5.0", "assist.input_price"),
            (
                "[assist]\nprovider = \"gemini\"\napi_key = \"k\"\nmodel = \"../x\"",
                "assist.model",
            ),
            (
                "[assist]\nprovider = \"gemini\"\napi_key = \"k\"\ntimeout_ms = 30000",
                "request_timeout_ms",
            ),
        ] {
            let error = with_file(file, Sources::default()).unwrap_err().to_string();
            assert!(error.contains(says), "{file}: {error}");
        }
    }

    #[test]
    fn the_originals_port_keeps_the_host() {
        for (file, listens) in [
            ("", "127.0.0.1:9000"),
            ("[server]\nlisten = \"0.0.0.0:80\"", "0.0.0.0:9000"),
            ("[server]\nlisten = \"[::]:80\"", "[::]:9000"),
        ] {
            let config = with_file(file, env(&[("PORT", "9000")])).unwrap();
            assert_eq!(config.server.listen.to_string(), listens);
        }
        let error = with_file("[server]\nlisten = \"here\"", env(&[("PORT", "9000")]));
        assert!(error.unwrap_err().to_string().contains("not valid"));
    }

    #[test]
    fn what_is_only_doubtful_is_warned_of() {
        let warnings = |pairs: &[(&str, &str)]| load(&env(pairs)).unwrap().warnings;
        assert!(warnings(&[("SOCIALHUB_LISTEN", "127.0.0.1:1"), ("SOCIAL", "x")]).is_empty());
        assert!(warnings(&[("JWT_SECRET", &"x".repeat(32))]).is_empty());
        for (name, text, says) in [
            ("SOCIALHUB_PORT", "tcp://10.0.0.1:80", "SOCIALHUB_PORT"),
            ("SOCIALHUB_SERVICE_HOST", "10.0.0.1", "passed over"),
            ("SOCIALHUB_DATADIR", "x", "SOCIALHUB_DATA_DIR"),
            ("JWT_SECRET", "s3cret", "32 bytes"),
        ] {
            let told = warnings(&[(name, text)]);
            assert_eq!(told.len(), 1, "{name}");
            assert!(told.concat().contains(says), "{name}: {told:?}");
            assert!(!told.concat().contains("s3cret"));
        }
    }

    #[test]
    fn lists_numbers_and_switches_come_from_the_environment() {
        let config = load(&env(&[
            (
                "SOCIALHUB_SERVER__CORS_ORIGINS",
                "https://a.example, https://b.example",
            ),
            ("SOCIALHUB_LIMITS__ENABLED", "false"),
            ("SOCIALHUB_METRICS__LISTEN", "127.0.0.1:9100"),
        ]))
        .unwrap()
        .config;
        assert_eq!(
            config.server.cors_origins,
            ["https://a.example", "https://b.example"]
        );
        assert!(!config.limits.enabled);
        assert_eq!(config.metrics.listen.unwrap().port(), 9100);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            ("[servr]\n", "did you mean `server`"),
            ("[server]\nlisten_on = 1", "did you mean `server.listen`"),
            ("[limits]\nenabeld = false", "did you mean `limits.enabled`"),
            ("[server]\nlisten = 5", "not valid"),
            ("[server", "not valid TOML"),
            ("server = 1", "is a section"),
            ("[auth]\njwt_secret = \"\"", "must not be empty"),
        ] {
            let error = with_file(text, Sources::default()).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        for (name, text, says) in [
            ("SOCIALHUB_LIMITS__ENABLED", "perhaps", "`true` or `false`"),
            ("SOCIALHUB_STORE__QUEUE_CAPACITY", "many", "whole number"),
            ("SOCIALHUB_STORE__QUEUE", "1", "store.queue_capacity"),
            ("PORT", "x", "PORT"),
        ] {
            let error = load(&env(&[(name, text)])).unwrap_err().to_string();
            assert!(error.contains(says), "{name}: {error}");
        }
        let missing = Sources {
            file: Some("/nonexistent.toml".into()),
            ..Sources::default()
        };
        assert!(
            load(&missing)
                .unwrap_err()
                .to_string()
                .contains("/nonexistent.toml")
        );
    }
}
