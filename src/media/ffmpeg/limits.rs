//! What a stranger's file may cost.

use std::path::Path;
use std::time::Duration;

/// Limits of one call. All are held by the system or by the watching side; none is left to the helper's good will
/// alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest film or sound.
    pub max_duration: Duration,
    /// The most pixels in one frame.
    pub max_pixels: u64,
    /// The most streams in one file; phones write five or six.
    pub max_streams: u32,
    /// Time on the clock that every call may take.
    pub base_time: Duration,
    /// Time on the clock that a conversion may take on top, for each second of film.
    pub time_per_second: Duration,
    /// Address space of the helper. Its libraries alone take about 300 MB.
    pub memory_bytes: u64,
    /// The largest file that the helper may write.
    pub output_bytes: u64,
    /// Threads for each coder.
    pub threads: u32,
    /// How far the helper steps back when others want the processor: 0 to 19.
    pub nice: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_duration: Duration::from_mins(10),
            max_pixels: 4096 * 2304,
            max_streams: 16,
            base_time: Duration::from_secs(30),
            time_per_second: Duration::from_secs(10),
            memory_bytes: 2 * 1024 * 1024 * 1024,
            output_bytes: 2 * 1024 * 1024 * 1024,
            threads: 2,
            nice: 10,
        }
    }
}

impl Limits {
    /// The time that converting a film of this length may take.
    pub(super) fn time_for(&self, film: Duration) -> Duration {
        let film = film.min(self.max_duration);
        let ms = u64::try_from(film.as_millis()).unwrap_or(u64::MAX);
        let each = u64::try_from(self.time_per_second.as_millis()).unwrap_or(u64::MAX);
        let more = Duration::from_millis(ms.saturating_mul(each) / 1000);
        self.base_time.saturating_add(more)
    }
}

/// Under which conditions a call works.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// What it may cost.
    pub limits: &'a Limits,
    /// The helper's working directory, for whatever it leaves behind unasked.
    pub scratch: &'a Path,
    /// Asked at least ten times a second; once it says yes, the call ends.
    pub should_stop: &'a dyn Fn() -> bool,
}
