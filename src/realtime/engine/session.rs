//! One connection to a client, whatever carries it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Engine, Handler, Options, Revision, Wish};

/// Something to be sent. Cheap to clone: one text goes to a thousand clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Frame {
    /// A packet as the protocol writes it, its kind first.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
}

impl Frame {
    /// A message.
    pub(in super::super) fn message(text: &str) -> Self {
        Self::Text(Utf8Bytes::from(format!("4{text}")))
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// The packets that are but their kind.
pub(super) const CLOSE: Frame = Frame::Text(Utf8Bytes::from_static("1"));
pub(super) const PING: Frame = Frame::Text(Utf8Bytes::from_static("2"));
pub(super) const PONG: Frame = Frame::Text(Utf8Bytes::from_static("3"));
pub(super) const NOOP: Frame = Frame::Text(Utf8Bytes::from_static("6"));

/// How long a client whose queue is long may take nothing from it.
const STANDSTILL: Duration = Duration::from_secs(1);
/// What counts of the time between two looks at a queue, at most: where the machine itself stood still for longer, the
/// client had no chance.
const GLANCE: Duration = Duration::from_millis(100);
/// Times the usual length that a queue may have while something is taken from it.
const MOST: usize = 16;

/// Why nothing more can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum SendError {
    /// The client does not read what it was sent before.
    Full,
    /// It is gone.
    Closed,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Ending {
    /// The client ended it, or its connection broke.
    Gone,
    /// It did not say in time that it is still there.
    Silent,
    /// It sent what the protocol does not allow.
    Malformed,
    /// It did not read what it was sent.
    TooSlow,
    /// The application wanted no more of it.
    ShownOut,
    /// The server stops.
    Stopping,
}

impl Ending {
    /// Its name in metrics and on the wire.
    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Silent => "silent",
            Self::Malformed => "malformed",
            Self::TooSlow => "too_slow",
            Self::ShownOut => "shown_out",
            Self::Stopping => "stopping",
        }
    }
}

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Polling,
    /// Still polling, while a WebSocket is being tried.
    Upgrading,
    WebSocket,
}

/// One connection to a client.
pub(in super::super) struct Session<H: Handler> {
    engine: Arc<Engine<H>>,
    sid: String,
    pub(super) revision: Revision,
    /// Whether long polling has to send binary messages as text.
    pub(super) wants_base64: bool,
    /// What the application keeps of it.
    pub(in super::super) link: H::Link,
    /// What it keeps of the request that began it.
    pub(in super::super) origin: H::Origin,
    pub(super) begun: Instant,
    state: Mutex<State>,
}

struct State {
    transport: Transport,
    queue: VecDeque<Frame>,
    queued_bytes: usize,
    standstill: Option<Standstill>,
    /// Who sends what is queued: the WebSocket's task, or a poll.
    sender: Option<Waker>,
    /// Who watches over the heart beat.
    watcher: Option<Waker>,
    /// Whether a poll waits.
    is_polled: bool,
    /// Whether the client is about to go over to a WebSocket, so that no poll should wait.
    is_leaving: bool,
    /// Whether the client has shown that it is there since it was last asked.
    has_shown_up: bool,
    /// Until when it has to.
    due: Option<Instant>,
    ended: Option<Ending>,
}

/// A queue is long, and nothing is taken from it.
#[derive(Clone, Copy)]
struct Standstill {
    /// How long, as far as it counts.
    lasted: Duration,
    /// When it was looked at last.
    seen: Instant,
}

impl State {
    fn wake_sender(&mut self) {
        if let Some(waker) = self.sender.take() {
            waker.wake();
        }
    }

    fn wake_watcher(&mut self) {
        if let Some(waker) = self.watcher.take() {
            waker.wake();
        }
    }

    /// Whether there is no room for more. Who takes something from the queue now and then may be behind by more than the
    /// usual number: where the server itself cannot keep up, it is nobody's fault who reads.
    fn is_full(&self, options: Options) -> bool {
        let length = self.queue.len();
        self.queued_bytes >= options.queue_bytes
            || length >= options.queue_capacity.saturating_mul(MOST)
            || length >= options.queue_capacity
                && self.standstill.is_some_and(|one| one.lasted > STANDSTILL)
    }

    /// Notes how long the queue has been long while nothing was taken from it.
    fn note_standstill(&mut self, capacity: usize) {
        if self.queue.len() < capacity {
            return;
        }
        let now = Instant::now();
        let (lasted, seen) = self
            .standstill
            .map_or((Duration::ZERO, now), |one| (one.lasted, one.seen));
        let lasted = lasted + now.duration_since(seen).min(GLANCE);
        self.standstill = Some(Standstill { lasted, seen: now });
    }

    fn push(&mut self, frame: Frame) {
        self.queued_bytes += frame.len();
        self.queue.push_back(frame);
        self.wake_sender();
    }
}

impl<H: Handler> Session<H> {
    pub(super) fn new(
        engine: &Arc<Engine<H>>,
        sid: String,
        wish: &Wish,
        origin: H::Origin,
    ) -> Self {
        Self {
            engine: Arc::clone(engine),
            sid,
            revision: wish.revision,
            wants_base64: wish.wants_base64,
            link: H::Link::default(),
            origin,
            begun: Instant::now(),
            state: Mutex::new(State {
                transport: if wish.is_websocket {
                    Transport::WebSocket
                } else {
                    Transport::Polling
                },
                queue: VecDeque::new(),
                queued_bytes: 0,
                standstill: None,
                sender: None,
                watcher: None,
                is_polled: false,
                is_leaving: false,
                has_shown_up: false,
                due: None,
                ended: None,
            }),
        }
    }

    pub(super) fn engine(&self) -> &Arc<Engine<H>> {
        &self.engine
    }

    pub(super) fn sid(&self) -> &str {
        &self.sid
    }

    /// Whether it speaks revision 3, which is beneath Socket.IO 2.
    pub(in super::super) fn is_of_old(&self) -> bool {
        self.revision == Revision::Three
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends something, after what was sent before. Never waits: what a client does not read in time is not kept for it.
    pub(in super::super) fn send(&self, frame: Frame) -> Result<(), SendError> {
        self.send_all([frame])
    }

    /// Sends several things with nothing in between, or none of them.
    pub(in super::super) fn send_all(
        &self,
        frames: impl IntoIterator<Item = Frame>,
    ) -> Result<(), SendError> {
        let options = &self.engine.options;
        let mut state = self.lock();
        if state.ended.is_some() {
            return Err(SendError::Closed);
        }
        if state.is_full(*options) {
            return Err(SendError::Full);
        }
        for frame in frames {
            state.push(frame);
        }
        state.note_standstill(options.queue_capacity);
        Ok(())
    }

    /// Ends the session. What is queued is still sent if the client reads it; but one that is too slow gets `last` instead.
    pub(in super::super) fn close(self: &Arc<Self>, ending: Ending) {
        self.close_with(ending, None);
    }

    /// Like [`close`](Self::close), with something more to say.
    pub(in super::super) fn close_with(self: &Arc<Self>, ending: Ending, last: Option<Frame>) {
        let mut state = self.lock();
        if state.ended.is_some() {
            return;
        }
        state.ended = Some(ending);
        if ending == Ending::TooSlow {
            state.queue.clear();
            state.queued_bytes = 0;
        }
        if let Some(frame) = last {
            state.push(frame);
        }
        if state.transport != Transport::WebSocket {
            let farewell = if ending == Ending::Gone { NOOP } else { CLOSE };
            state.push(farewell);
        }
        state.wake_sender();
        state.wake_watcher();
        drop(state);
        self.engine.forget(&self.sid);
        self.engine.handler.closed(self, ending);
    }

    pub(super) fn ended(&self) -> Option<Ending> {
        self.lock().ended
    }

    /// Takes over the sending: whoever did it before is told that there is nothing more for them.
    pub(super) fn poll_queue(
        &self,
        context: &mut Context<'_>,
        max: usize,
        frames: &mut Vec<Frame>,
    ) -> Poll<()> {
        let mut state = self.lock();
        while frames.len() < max
            && let Some(frame) = state.queue.pop_front()
        {
            state.queued_bytes -= frame.len();
            frames.push(frame);
        }
        if !frames.is_empty() {
            state.standstill = None;
        }
        if state.queue.is_empty() && state.queue.capacity() > 8 {
            // An idle client keeps no room for what it once had to catch up with.
            state.queue = VecDeque::new();
        }
        if !frames.is_empty() || state.ended.is_some() {
            return Poll::Ready(());
        }
        state.sender = Some(context.waker().clone());
        Poll::Pending
    }

    /// Like [`poll_queue`](Self::poll_queue), for a poll: it does not wait for long when the client is about to leave.
    pub(super) fn poll_for_poll(
        &self,
        context: &mut Context<'_>,
        max: usize,
        frames: &mut Vec<Frame>,
    ) -> Poll<()> {
        if self.poll_queue(context, max, frames).is_ready() {
            return Poll::Ready(());
        }
        let state = self.lock();
        if state.is_leaving || state.transport == Transport::WebSocket {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Waits for the end, or for a change of the transport, by the one who watches over the heart beat.
    pub(super) fn poll_watch(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.ended.is_some() || state.transport == Transport::WebSocket {
            return Poll::Ready(());
        }
        state.watcher = Some(context.waker().clone());
        Poll::Pending
    }

    /// Like [`poll_watch`](Self::poll_watch), or until the client shows up.
    pub(super) fn poll_shown_up(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.lock().has_shown_up {
            return Poll::Ready(());
        }
        self.poll_watch(context)
    }

    /// The client is there.
    pub(super) fn show_up(&self) {
        let mut state = self.lock();
        state.has_shown_up = true;
        state.due = None;
        state.wake_watcher();
    }

    /// The client has to show up by then.
    pub(super) fn expect_by(&self, due: Instant) {
        let mut state = self.lock();
        state.has_shown_up = false;
        state.due = Some(due);
    }

    /// Whether it should have shown up before: timers are late at times, and what is over is over.
    pub(super) fn is_overdue(&self) -> bool {
        self.lock().due.is_some_and(|due| Instant::now() >= due)
    }

    /// What is queued already.
    pub(super) fn take_queued(&self, max: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        if self.poll_queue(&mut context, max, &mut frames).is_pending() {
            self.lock().sender = None;
        }
        frames
    }

    /// Whether it has been there since this was last asked.
    pub(super) fn has_shown_up(&self) -> bool {
        std::mem::take(&mut self.lock().has_shown_up)
    }

    /// Begins a poll; false when there is one already.
    pub(super) fn begin_poll(&self) -> bool {
        let mut state = self.lock();
        !std::mem::replace(&mut state.is_polled, true)
    }

    pub(super) fn is_polled(&self) -> bool {
        self.lock().is_polled
    }

    pub(super) fn end_poll(&self) {
        self.lock().is_polled = false;
    }

    pub(super) fn transport(&self) -> Transport {
        self.lock().transport
    }

    /// Begins to try a WebSocket; false when it has one, or tries one already.
    pub(super) fn begin_upgrade(&self) -> bool {
        let mut state = self.lock();
        let can = state.transport == Transport::Polling && state.ended.is_none();
        if can {
            state.transport = Transport::Upgrading;
        }
        can
    }

    /// The WebSocket works, as far as it was tried: a poll that waits ends, so that the client can go over.
    pub(super) fn release_polls(&self) {
        let mut state = self.lock();
        state.is_leaving = true;
        state.wake_sender();
    }

    /// The WebSocket was tried: from now on it carries the session, or not.
    pub(super) fn end_upgrade(&self, has_worked: bool) {
        let mut state = self.lock();
        state.transport = if has_worked {
            Transport::WebSocket
        } else {
            Transport::Polling
        };
        state.is_leaving = false;
        state.wake_sender();
        state.wake_watcher();
    }
}
