//! Load, from a process of its own: so many connections, each with one request under way, for so long.
//!
//! The client is as lean as can be (HTTP/1.1, keep-alive, answers with a `Content-Length`), since it shares the machine
//! with what it measures.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What to send.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    /// The process that answers there.
    pub(crate) server: u32,
    pub(crate) connections: usize,
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
    /// Requests a second, evenly; as many as are answered when absent.
    pub(crate) rate: Option<f64>,
    pub(crate) request: Request,
}

/// A request, in which `{token}` and `{value}` go through all pairs of these, and `{number}` counts. It is sent no more
/// often than there are pairs, unless it names no value.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Option<String>,
    pub(crate) tokens: Vec<String>,
    pub(crate) values: Vec<String>,
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Answers with a status of success.
    pub(crate) answered: u64,
    /// Others, and the first of them.
    pub(crate) refused: u64,
    pub(crate) first_refusal: Option<String>,
    pub(crate) seconds: f64,
    /// Milliseconds from request to answer, by how many were faster.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) longest_ms: f64,
    /// Microseconds of processor that the server spent on each answer, which says more than the rate where others use
    /// the machine as well.
    pub(crate) cpu_us: f64,
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        self.answered as f64 / self.seconds
    }

    /// For the note beside a figure.
    pub(crate) fn describe(&self) -> String {
        let (p50, p99, cpu) = (self.p50_ms, self.p99_ms, self.cpu_us);
        let mut text = format!("cpu {cpu:.1} us, p50 {p50:.2} ms, p99 {p99:.2} ms");
        if self.refused > 0 {
            let first = self.first_refusal.as_deref().unwrap_or_default();
            write!(text, "; {} refused: {first}", self.refused).unwrap();
        }
        text
    }
}

impl Plan {
    /// Runs it in another process.
    pub(crate) fn run(&self) -> Outcome {
        self.start().finish()
    }

    /// Lets it run meanwhile.
    pub(crate) fn start(&self) -> Running {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--role", "load"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        serde_json::to_writer(child.stdin.take().unwrap(), self).unwrap();
        Running { child }
    }
}

/// Load that runs in another process.
pub(crate) struct Running {
    child: std::process::Child,
}

impl Running {
    pub(crate) fn finish(self) -> Outcome {
        let output = self.child.wait_with_output().unwrap();
        serde_json::from_slice(&output.stdout).expect("the load generator's outcome")
    }
}

/// The other process: a plan on standard input, the outcome on standard output.
pub(crate) fn generate() {
    let plan: Plan = serde_json::from_reader(std::io::stdin()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let outcome = runtime.block_on(plan.generate());
    println!("{}", serde_json::to_string(&outcome).unwrap());
}

/// What a process has used so far, all its threads together.
pub(crate) fn processor_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The program's name, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: Vec<f64> = fields
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse().unwrap())
        .collect();
    // Linux has counted in hundredths on every machine for decades, whatever it counts in inside.
    ticks.iter().sum::<f64>() / 100.0
}

/// Milliseconds that so large a part of these microseconds, which are in order, does not exceed.
pub(crate) fn place_in(micros: &[u32], part: f64) -> f64 {
    let last = micros.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list"
    )]
    let place = (part * last as f64) as usize;
    micros
        .get(place)
        .map_or(0.0, |micros| f64::from(*micros) / 1000.0)
}

/// What one connection saw: microseconds of each answer.
#[derive(Default)]
struct Seen {
    answered: Vec<u32>,
    refused: u64,
    first_refusal: Option<String>,
}

impl Plan {
    async fn generate(self) -> Outcome {
        let plan = Arc::new(self);
        let next = Arc::new(AtomicU64::new(0));
        let started = Instant::now();
        let tasks: Vec<_> = (0..plan.connections)
            .map(|number| {
                tokio::spawn(Arc::clone(&plan).connection(number, Arc::clone(&next), started))
            })
            .collect();
        let mut all = Seen::default();
        tokio::time::sleep_until((started + plan.warm_up).into()).await;
        let before = processor_seconds(plan.server);
        tokio::time::sleep_until((started + plan.warm_up + plan.measure).into()).await;
        let used = processor_seconds(plan.server) - before;
        for task in tasks {
            let seen = task.await.unwrap();
            all.answered.extend(seen.answered);
            all.refused += seen.refused;
            all.first_refusal = all.first_refusal.or(seen.first_refusal);
        }
        let seconds = started
            .elapsed()
            .saturating_sub(plan.warm_up)
            .min(plan.measure)
            .as_secs_f64();
        all.answered.sort_unstable();
        Outcome {
            answered: all.answered.len() as u64,
            refused: all.refused,
            first_refusal: all.first_refusal.clone(),
            seconds,
            p50_ms: place_in(&all.answered, 0.5),
            p99_ms: place_in(&all.answered, 0.99),
            longest_ms: place_in(&all.answered, 1.0),
            cpu_us: used * 1e6 / (all.answered.len() as f64 + all.refused as f64).max(1.0),
        }
    }

    async fn connection(
        self: Arc<Self>,
        number: usize,
        next: Arc<AtomicU64>,
        started: Instant,
    ) -> Seen {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let pace = self
            .rate
            .map(|rate| Duration::from_secs_f64(self.connections as f64 / rate));
        let mut due = started
            + pace
                .unwrap_or_default()
                .mul_f64(number as f64 / self.connections as f64);
        let (mut seen, mut request, mut answer) = (Seen::default(), Vec::new(), Vec::new());
        let end = self.warm_up + self.measure;
        while started.elapsed() < end {
            if let Some(pace) = pace {
                tokio::time::sleep_until(due.into()).await;
                due += pace;
            }
            let index = next.fetch_add(1, Ordering::Relaxed);
            if !self.request.write(index, &mut request) {
                break;
            }
            let sent = Instant::now();
            stream.write_all(&request).await.unwrap();
            let status = read_answer(&mut stream, &mut answer).await;
            let finished = started.elapsed();
            if finished < self.warm_up || finished > end {
                continue;
            }
            if (200..300).contains(&status) {
                let micros = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
                seen.answered.push(micros);
            } else {
                seen.refused += 1;
                seen.first_refusal
                    .get_or_insert_with(|| String::from_utf8_lossy(&answer).into_owned());
            }
        }
        seen
    }
}

impl Request {
    /// A read, by many people.
    pub(crate) fn get(path: &str, tokens: &[String]) -> Self {
        Self {
            method: "GET".to_owned(),
            path: path.to_owned(),
            body: None,
            tokens: tokens.to_vec(),
            values: Vec::new(),
        }
    }

    pub(crate) fn post(path: &str, body: &str, tokens: &[String], values: &[String]) -> Self {
        Self {
            method: "POST".to_owned(),
            path: path.to_owned(),
            body: Some(body.to_owned()),
            tokens: tokens.to_vec(),
            values: values.to_vec(),
        }
    }

    /// Writes the one of this number; false when there is none any more.
    fn write(&self, index: u64, out: &mut Vec<u8>) -> bool {
        let count = self.tokens.len().max(1) as u64;
        let pick = |list: &[String], at: u64| {
            let at = usize::try_from(at).unwrap();
            list.get(at).cloned().unwrap_or_default()
        };
        let token = pick(&self.tokens, index % count);
        if !self.values.is_empty() && index / count >= self.values.len() as u64 {
            return false;
        }
        let value = pick(&self.values, index / count);
        let put = |text: &str| {
            text.replace("{value}", &value)
                .replace("{number}", &index.to_string())
        };
        let body = self.body.as_deref().map(put).unwrap_or_default();
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: bench\r\n",
            self.method,
            put(&self.path)
        );
        if !token.is_empty() {
            write!(head, "authorization: Bearer {token}\r\n").unwrap();
        }
        if self.body.is_some() {
            write!(
                head,
                "content-type: application/json\r\ncontent-length: {}\r\n",
                body.len()
            )
            .unwrap();
        }
        out.clear();
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body.as_bytes());
        true
    }
}

/// Reads one answer whole; its status.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> u16 {
    answer.clear();
    let mut whole = None;
    while whole.is_none_or(|whole| answer.len() < whole) {
        let read = stream.read_buf(answer).await.unwrap();
        assert!(read > 0, "the server closed the connection");
        if whole.is_none()
            && let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n")
        {
            whole = Some(head + 4 + content_length(&answer[..head]));
        }
    }
    std::str::from_utf8(&answer[9..12])
        .unwrap()
        .parse()
        .unwrap()
}

fn content_length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).unwrap();
    head.lines()
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().unwrap())
        })
        .unwrap_or(0)
}
