//! How much one connection may ask: a burst, and so many in the long run (GCRA).

use std::time::Duration;

use tokio::time::Instant;

/// What a pace allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// The time in which one more is allowed.
    pub(super) each: Duration,
    /// How many at once.
    pub(super) burst: u32,
}

/// How much was asked so far.
#[derive(Debug)]
pub(super) struct Pace {
    /// When all that was asked would have been due.
    due: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: now }
    }

    /// Whether one more is allowed; it counts if so.
    pub(super) fn allows(&mut self, now: Instant, rate: Rate) -> bool {
        let due = self.due.max(now) + rate.each;
        let is_within = due <= now + rate.each * rate.burst;
        if is_within {
            self.due = due;
        }
        is_within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_the_pace() {
        let rate = Rate {
            each: Duration::from_millis(50),
            burst: 10,
        };
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for _ in 0..10 {
            assert!(pace.allows(start, rate));
        }
        assert!(!pace.allows(start, rate));
        assert!(pace.allows(start + rate.each, rate));
        assert!(!pace.allows(start + rate.each, rate));
        let later = start + Duration::from_mins(1);
        for _ in 0..10 {
            assert!(pace.allows(later, rate));
        }
        assert!(!pace.allows(later, rate));
    }
}
