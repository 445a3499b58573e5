//! Repeatable chance: one seed, one sequence.

/// A small generator of repeatable numbers (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// A place in something of that length.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("small")
    }

    /// One in two.
    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 1
    }
}

/// The seed of this run: `SUBLEDGER_SEED`, else the one given, so that a run repeats unless asked otherwise.
pub(crate) fn seed(usual: u64) -> u64 {
    std::env::var("SUBLEDGER_SEED")
        .ok()
        .map_or(usual, |text| text.parse().expect("a number in SUBLEDGER_SEED"))
}
