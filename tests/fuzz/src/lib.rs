//! What the targets share: how an input is tried, what memory it took, and choices that depend on it alone.

use std::backtrace::Backtrace;
use std::collections::BTreeSet;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use libfuzzer_sys::Corpus;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

static CAUGHT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static IS_FATAL: AtomicBool = AtomicBool::new(false);

/// Lets panics unwind, unlike libFuzzer's own hook: the pictures take a decoder's panic for a broken file. What is caught
/// there is named once for each place.
pub fn prepare() {
    drop(take_hook());
    set_hook(Box::new(|panic| {
        if IS_FATAL.load(Ordering::Relaxed) {
            eprintln!("{panic}\n{}", Backtrace::force_capture());
            return;
        }
        let place = panic.location().map(ToString::to_string);
        let place = place.unwrap_or_default();
        let mut caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
        if caught.insert(place.clone()) {
            eprintln!("panic at {place}");
        }
    }));
}

/// Tries one input. A panic that gets here is a defect: the input is tried once more, to see the way to it, which takes
/// too much memory to be looked at before.
pub fn attempt(test: impl Fn() -> Corpus) -> Corpus {
    catch_unwind(AssertUnwindSafe(&test)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        eprintln!(
            "{}",
            message
                .or(panic.downcast_ref::<&str>().copied())
                .unwrap_or_default()
        );
        IS_FATAL.store(true, Ordering::Relaxed);
        drop(catch_unwind(AssertUnwindSafe(&test)));
        std::process::abort()
    })
}

/// What `work` gives, and the bytes that it held at its peak beside what was held before. While memory grows, both the
/// old and the new count.
pub fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let done = work();
    (done, ALLOCATOR.peak_usage().saturating_sub(before))
}

/// Runs to its end what waits for nothing but itself.
pub fn wait<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime can be built");
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// Numbers that look like chance, the same for the same input.
pub struct Choices(u64);

impl Choices {
    pub fn of(input: &[u8]) -> Self {
        Self(input.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)
        }))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end`, mostly small, sometimes anything at all.
    pub fn length(&mut self, end: u32) -> u32 {
        match self.next() % 8 {
            0 => (self.next() >> 32) as u32,
            1 => 0,
            _ => (self.next() % (u64::from(end) + 1)) as u32,
        }
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.next() % choices.len() as u64) as usize]
    }
}
