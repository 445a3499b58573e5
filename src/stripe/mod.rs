//! Everything Stripe-shaped stops in this folder: signatures, envelopes, the paths of Stripe's JSON, and the calls.

pub mod client;
pub mod envelope;
pub mod gateway;
pub mod signature;
pub mod translate;
