//! Laws of the domain: whatever order and however often Stripe's snapshots arrive, an account ends the same.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on must fail where it stands"
)]

mod access;
mod as_of;
mod build;
mod convergence;
mod decisions;
mod effects;
mod handle;
mod histories;
mod intent_stories;
mod intents;
mod market;
mod model;
#[cfg(feature = "mutants")]
mod mutants;
mod refusals;
mod registers;
mod samples;
mod samples_of_intents;
mod schemas;
mod seeds;
