//! Planted faults, to see the laws catch them. Only in builds with the feature `mutants`; never in a release.

#[cfg(feature = "mutants")]
use std::cell::Cell;

/// A planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// `>=` for `>` in ordering: of tied snapshots the one that arrived last is current.
    LastArrivalWinsTies,
    /// An end does not outrank what is stamped later.
    TerminalRevived,
    /// A newer snapshot that says what was known is not recorded.
    ConfirmationSkipped,
    /// A snapshot's own word about what it was before is not used.
    PastIgnored,
    /// A field that a newer snapshot leaves out is taken for empty.
    UnknownErases,
    /// A fact that arrives late is not recorded by its name.
    LateFactUnnamed,
    /// A snapshot that echoes one of our calls is taken for known and not recorded.
    EchoSwallows,
    /// Any change of the object an intent is about counts as its echo.
    ForeignConfirms,
    /// An effect that anybody may have caused is a final word before the call has ended.
    EffectIsFinal,
    /// Waiting quantity changes stay beside the newest one.
    QuantitiesStay,
    /// Settled intents never leave the state.
    IntentsKept,
}

#[cfg(feature = "mutants")]
thread_local! {
    static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Runs `work` with a fault planted in this thread.
#[cfg(feature = "mutants")]
pub fn planted<T>(mutant: Mutant, work: impl FnOnce() -> T) -> T {
    PLANTED.set(Some(mutant));
    let outcome = work();
    PLANTED.set(None);
    outcome
}

/// Whether the fault is planted here.
#[cfg(feature = "mutants")]
pub(crate) fn is(mutant: Mutant) -> bool {
    PLANTED.get() == Some(mutant)
}

/// Never: this build has no planted faults.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn is(_mutant: Mutant) -> bool {
    false
}
