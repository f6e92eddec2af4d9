//! Decisions that follow from one number, so that what a test did at random can be done again.

use socialhub::posts::Visibility;
use socialhub::random;

/// splitmix64, which needs no more than its state.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// With a seed of its own, which it says, for the log of a test that fails.
    #[expect(clippy::print_stdout, reason = "shown where the test fails")]
    pub(crate) fn shaken() -> Self {
        let seed = u64::from_le_bytes(random::bytes().unwrap());
        println!("seed {seed}");
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }

    pub(crate) fn is_one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn among<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let index = usize::try_from(self.below(all.len() as u64)).unwrap();
        all.get(index)
    }

    /// One of the last few, mostly.
    pub(crate) fn recent<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        let start = all.len().saturating_sub(8);
        let some = if self.is_one_in(4) {
            all
        } else {
            &all[start..]
        };
        self.among(some).cloned()
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        *self.among(all).unwrap()
    }

    pub(super) fn visibility(&mut self) -> Visibility {
        self.one_of(&[
            Visibility::Public,
            Visibility::Public,
            Visibility::Followers,
            Visibility::Private,
        ])
    }

    pub(super) fn hashtags(&mut self) -> Vec<String> {
        let count = self.below(3);
        (0..count)
            .map(|_| format!("given{}", self.below(4)))
            .collect()
    }

    /// One of a few, so that a guess is often right.
    pub(super) fn hash(&mut self) -> [u8; 32] {
        [u8::try_from(self.below(3)).unwrap(); 32]
    }

    pub(super) fn sentence(&mut self) -> String {
        let words = ["Ada", "brews", "strong", "Çay", "for", "Børge"];
        let count = 1 + self.below(4);
        (0..count)
            .map(|_| self.one_of(&words))
            .collect::<Vec<_>>()
            .join(" ")
    }
}
