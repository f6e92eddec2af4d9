//! How far ffmpeg is: the lines that it writes with `-progress`.

use std::time::Duration;

/// No line that matters is longer.
const MAX_LINE: usize = 64;

/// Reads the lines, and tells how much of the whole is done.
pub(super) struct Progress<'a> {
    line: Vec<u8>,
    whole: Duration,
    reached: Duration,
    /// The stretch of the caller's progress that this run is.
    from: f32,
    to: f32,
    told: f32,
    tell: Option<&'a dyn Fn(f32)>,
}

impl<'a> Progress<'a> {
    /// Tells `tell` numbers from 0 to 1, none smaller than the one before.
    pub(super) fn of(whole: Duration, tell: &'a dyn Fn(f32)) -> Self {
        Self {
            whole,
            tell: Some(tell),
            ..Self::silent()
        }
    }

    /// Only measures.
    pub(super) fn silent() -> Self {
        Self {
            line: Vec::new(),
            whole: Duration::ZERO,
            reached: Duration::ZERO,
            from: 0.0,
            to: 1.0,
            told: 0.0,
            tell: None,
        }
    }

    /// One of several runs: what it tells is this stretch of the whole.
    pub(super) fn within(mut self, from: f32, to: f32) -> Self {
        (self.from, self.to, self.told) = (from, to, from);
        self
    }

    /// Where in the film ffmpeg was last.
    pub(super) fn reached(&self) -> Duration {
        self.reached
    }

    /// Reads on.
    pub(super) fn read(&mut self, piece: &[u8]) {
        for byte in piece {
            if *byte == b'\n' {
                self.take_line();
                self.line.clear();
            } else if self.line.len() < MAX_LINE {
                self.line.push(*byte);
            }
        }
    }

    fn take_line(&mut self) {
        let Ok(line) = std::str::from_utf8(&self.line) else {
            return;
        };
        // Before the first frame it is `N/A` or less than nothing.
        let Some(Ok(micros)) = line.strip_prefix("out_time_us=").map(str::parse) else {
            return;
        };
        self.reached = self.reached.max(Duration::from_micros(micros));
        if let Some(tell) = self.tell
            && !self.whole.is_zero()
        {
            let part = self.reached.as_secs_f32() / self.whole.as_secs_f32();
            let done = self.from + part.clamp(0.0, 1.0) * (self.to - self.from);
            if done > self.told {
                self.told = done;
                tell(done);
            }
        }
    }
}
