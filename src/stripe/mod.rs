//! Everything Stripe-shaped stops in this folder: signatures, envelopes and the paths of Stripe's JSON.

pub mod envelope;
pub mod signature;
pub mod translate;
