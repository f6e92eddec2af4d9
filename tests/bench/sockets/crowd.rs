//! Many who are connected, from a process of their own: they come, enter rooms, and talk.
//!
//! One thread carries them all, so that the server has the other cores.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::wire::Wire;
use crate::load::{place_in, processor_seconds};

/// How many come, or enter, at once.
const AT_ONCE: usize = 100;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Who, where, and what they do.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(super) address: SocketAddr,
    /// The process that answers there.
    pub(super) server: u32,
    /// In turn; nobody says who they are where there are none.
    pub(super) tokens: Vec<String>,
    pub(super) connections: usize,
    /// Rooms, with as many of the connections in each.
    pub(super) rooms: usize,
    /// How long before the server's memory is looked at.
    pub(super) settle: Duration,
    pub(super) work: Work,
}

/// What they do once they are there.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum Work {
    Nothing,
    /// Say as much as is delivered, with so many messages on their way to everybody in the one room.
    Flood {
        window: u64,
        warm_up: Duration,
        measure: Duration,
    },
    /// Say so much a second in the one room.
    Pace {
        rate: f64,
        measure: Duration,
    },
    /// Say as much as is acknowledged, with so many messages of each on their way.
    Ask {
        each: u64,
        warm_up: Duration,
        measure: Duration,
    },
}

/// How it went.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// The server's memory before anybody came, when all were there, and when all were in their room.
    pub(super) memory: Vec<Memory>,
    /// While it was measured.
    pub(super) seconds: f64,
    pub(super) delivered: u64,
    pub(super) acknowledged: u64,
    /// What the server, and what the crowd used of the processors meanwhile.
    pub(super) server_cpu: f64,
    pub(super) crowd_cpu: f64,
    /// Milliseconds from the sending to each delivery, where the pace is set.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// All that was acknowledged, the warm-up included; and the ids of these messages, put together by XOR.
    pub(super) all_acknowledged: u64,
    pub(super) ids: u64,
}

/// What a process has, in bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) resident: f64,
    /// What of it is in no file.
    pub(super) anonymous: f64,
}

impl Plan {
    /// Runs it in another process.
    pub(super) fn run(&self) -> Outcome {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--role", "crowd"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        serde_json::to_writer(child.stdin.take().unwrap(), self).unwrap();
        let output = child.wait_with_output().unwrap();
        serde_json::from_slice(&output.stdout).expect("the crowd's outcome")
    }
}

/// The other process: a plan on standard input, the outcome on standard output.
pub(crate) fn generate() {
    socialhub::gateway::serve::raise_descriptors();
    let plan: Plan = serde_json::from_reader(std::io::stdin()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let outcome = runtime.block_on(LocalSet::new().run_until(Crowd::new(plan).perform()));
    println!("{}", serde_json::to_string(&outcome).unwrap());
}

struct Crowd {
    plan: Plan,
    begun: Instant,
    wires: Vec<OnceCell<Wire>>,
    connected: Cell<usize>,
    joined: Cell<usize>,
    sent: Cell<u64>,
    delivered: Cell<u64>,
    acknowledged: Cell<u64>,
    ids: Cell<u64>,
    /// Whether nothing more is said.
    is_over: Cell<bool>,
    /// Microseconds on the way.
    delays: RefCell<Vec<u32>>,
    /// Rung when something changed that is waited for.
    progress: Notify,
}

/// How far it was at a time.
struct Mark {
    at: Instant,
    delivered: u64,
    acknowledged: u64,
    server_cpu: f64,
    crowd_cpu: f64,
}

impl Crowd {
    fn new(plan: Plan) -> Rc<Self> {
        Rc::new(Self {
            begun: Instant::now(),
            wires: (0..plan.connections).map(|_| OnceCell::new()).collect(),
            connected: Cell::default(),
            joined: Cell::default(),
            sent: Cell::default(),
            delivered: Cell::default(),
            acknowledged: Cell::default(),
            ids: Cell::default(),
            is_over: Cell::default(),
            delays: RefCell::default(),
            progress: Notify::new(),
            plan,
        })
    }

    async fn perform(self: Rc<Self>) -> Outcome {
        let mut memory = vec![Memory::of(self.plan.server)];
        self.gather().await;
        tokio::time::sleep(self.plan.settle).await;
        memory.push(Memory::of(self.plan.server));
        self.enter().await;
        tokio::time::sleep(self.plan.settle).await;
        memory.push(Memory::of(self.plan.server));
        let (before, after) = match self.plan.work {
            Work::Nothing => (self.mark(), self.mark()),
            Work::Flood {
                window,
                warm_up,
                measure,
            } => self.flood(window, warm_up, measure).await,
            Work::Pace { rate, measure } => self.pace(rate, measure).await,
            Work::Ask {
                each,
                warm_up,
                measure,
            } => self.ask(each, warm_up, measure).await,
        };
        let mut delays = self.delays.borrow_mut();
        delays.sort_unstable();
        Outcome {
            memory,
            seconds: (after.at - before.at).as_secs_f64(),
            delivered: after.delivered - before.delivered,
            acknowledged: after.acknowledged - before.acknowledged,
            server_cpu: after.server_cpu - before.server_cpu,
            crowd_cpu: after.crowd_cpu - before.crowd_cpu,
            p50_ms: place_in(&delays, 0.5),
            p99_ms: place_in(&delays, 0.99),
            all_acknowledged: self.acknowledged.get(),
            ids: self.ids.get(),
        }
    }

    /// All connect.
    async fn gather(self: &Rc<Self>) {
        for number in 0..self.plan.connections {
            self.until("all are connected", || {
                self.connected.get() + AT_ONCE > number
            })
            .await;
            let crowd = Rc::clone(self);
            tokio::task::spawn_local(async move {
                let wire = Wire::open(crowd.plan.address, number).await;
                let wire = crowd.wires[number].get_or_init(|| wire);
                loop {
                    wire.read(|text| crowd.hear(number, wire, text)).await;
                }
            });
        }
        self.until("all are connected", || {
            self.connected.get() == self.plan.connections
        })
        .await;
    }

    /// All enter their room.
    async fn enter(&self) {
        for number in 0..self.plan.connections {
            self.until("all are in their room", || {
                self.joined.get() + AT_ONCE > number
            })
            .await;
            let room = self.room(number);
            self.wire(number)
                .say(&format!(r#"421["join_room",{{"roomId":"{room}"}}]"#));
        }
        self.until("all are in their room", || {
            self.joined.get() == self.plan.connections
        })
        .await;
    }

    async fn flood(&self, window: u64, warm_up: Duration, measure: Duration) -> (Mark, Mark) {
        let (started, members) = (Instant::now(), self.plan.connections as u64);
        let mut before = None;
        while started.elapsed() < warm_up + measure {
            self.until("messages are delivered", || {
                self.delivered.get() + window * members > self.sent.get() * members
            })
            .await;
            if before.is_none() && started.elapsed() >= warm_up {
                before = Some(self.mark());
            }
            self.speak(usize::try_from(self.sent.get() % members).unwrap());
        }
        let after = self.mark();
        self.until("all is delivered", || {
            self.delivered.get() == self.sent.get() * members
                && self.acknowledged.get() == self.sent.get()
        })
        .await;
        (before.unwrap(), after)
    }

    async fn pace(&self, rate: f64, measure: Duration) -> (Mark, Mark) {
        let members = self.plan.connections as u64;
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        let before = self.mark();
        while before.at.elapsed() < measure {
            ticks.tick().await;
            self.speak(usize::try_from(self.sent.get() % members).unwrap());
        }
        self.until("all is delivered", || {
            self.delivered.get() == self.sent.get() * members
        })
        .await;
        (before, self.mark())
    }

    async fn ask(&self, each: u64, warm_up: Duration, measure: Duration) -> (Mark, Mark) {
        for _ in 0..each {
            (0..self.plan.connections).for_each(|number| self.speak(number));
        }
        tokio::time::sleep(warm_up).await;
        let before = self.mark();
        tokio::time::sleep(measure).await;
        let after = self.mark();
        self.is_over.set(true);
        let members = (self.plan.connections / self.plan.rooms) as u64;
        self.until("all is acknowledged and delivered", || {
            self.acknowledged.get() == self.sent.get()
                && self.delivered.get() == self.sent.get() * members
        })
        .await;
        (before, after)
    }

    fn wire(&self, number: usize) -> &Wire {
        self.wires[number].get().unwrap()
    }

    fn room(&self, number: usize) -> String {
        format!("room {}", number % self.plan.rooms)
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap()
    }

    /// Somebody says something, and with it when that was.
    fn speak(&self, number: usize) {
        let (room, now) = (self.room(number), self.micros());
        self.sent.set(self.sent.get() + 1);
        self.wire(number).say(&format!(
            r#"422["send_message",{{"roomId":"{room}","message":"{now} Hello, this is what people usually say in a room."}}]"#
        ));
    }

    /// Somebody is told something.
    fn hear(&self, number: usize, wire: &Wire, text: &[u8]) {
        if text.starts_with(br#"42["new_message","#) {
            self.note_delivery(text);
        } else if text.starts_with(br#"432[{"ok":true,"#) {
            self.acknowledged.set(self.acknowledged.get() + 1);
            self.ids
                .set(self.ids.get() ^ digits_after(text, br#""id":""#));
            if matches!(self.plan.work, Work::Ask { .. }) && !self.is_over.get() {
                self.speak(number);
            }
            self.progress.notify_one();
        } else if text.starts_with(br#"431[{"ok":true,"#) {
            self.joined.set(self.joined.get() + 1);
            self.progress.notify_one();
        } else if text.starts_with(b"0{") {
            let tokens = &self.plan.tokens;
            let auth = tokens.get(number % tokens.len().max(1));
            let auth = auth.map(|token| format!(r#"{{"token":"{token}","events":"v2"}}"#));
            wire.say(&format!("40{}", auth.unwrap_or_default()));
        } else if text.starts_with(b"40") {
            self.connected.set(self.connected.get() + 1);
            self.progress.notify_one();
        } else {
            let is_bad = [&b"43"[..], b"44", b"41", br#"42["error""#]
                .iter()
                .any(|start| text.starts_with(start));
            assert!(!is_bad, "{}", String::from_utf8_lossy(text));
        }
    }

    fn note_delivery(&self, text: &[u8]) {
        let delivered = self.delivered.get() + 1;
        self.delivered.set(delivered);
        if matches!(self.plan.work, Work::Pace { .. }) {
            let sent = digits_after(text, br#""message":""#);
            let delay = self.micros() - sent;
            self.delays.borrow_mut().push(u32::try_from(delay).unwrap());
        }
        let members = (self.plan.connections / self.plan.rooms) as u64;
        if delivered.is_multiple_of(members) {
            self.progress.notify_one();
        }
    }

    /// Waits for it.
    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let wait = async {
            while !is_so() {
                self.progress.notified().await;
            }
        };
        let is_in_time = tokio::time::timeout(PATIENCE, wait).await.is_ok();
        assert!(
            is_in_time,
            "not after {PATIENCE:?}: {what}; {} connected, {} in their room, {} sent, {} acknowledged, {} delivered",
            self.connected.get(),
            self.joined.get(),
            self.sent.get(),
            self.acknowledged.get(),
            self.delivered.get()
        );
    }

    fn mark(&self) -> Mark {
        Mark {
            at: Instant::now(),
            delivered: self.delivered.get(),
            acknowledged: self.acknowledged.get(),
            server_cpu: processor_seconds(self.plan.server),
            crowd_cpu: processor_seconds(std::process::id()),
        }
    }
}

impl Memory {
    fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let bytes = |field: &str| {
            let line = status.lines().find(|line| line.starts_with(field)).unwrap();
            let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            kib * 1024.0
        };
        Self {
            resident: bytes("VmRSS:"),
            anonymous: bytes("RssAnon:"),
        }
    }
}

/// The number that stands behind the first of these.
fn digits_after(text: &[u8], key: &[u8]) -> u64 {
    let at = text
        .windows(key.len())
        .position(|window| window == key)
        .unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(text)));
    text[at + key.len()..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}
