//! Terms of a plan: what it costs, what it grants, how its trial and its limits work.
//!
//! A [`Catalogue`] is one loaded version of the plan file; versions never change, so an event may name
//! the version it used. Nothing here knows the file, its format or the environment it was read from.

mod catalogue;
mod granted;
mod limit;
mod policy;
mod price;
mod window;

pub use catalogue::{Catalogue, Feature, FeatureValue, Plan, QuantityRange, Terms, Visibility, Workspace};
pub use granted::Granted;
pub use limit::{AtLimit, EffectiveLimit, Limit, LimitKind, LimitValue, OnOutage, TopUp, Unit, Window};
pub use policy::{
    Access, AccessOnDispute, BillingAddress, Checkout, DisputePolicy, DunningAction, DunningPolicy, DunningStep, Flag,
    Trial, TrialCard,
};
pub use price::{Interval, Metered, Mode, Price, PriceIds, saving_percent};
pub use window::window_end;

/// Most plans one catalogue may hold: beyond it a comparison page is no page any more.
pub const PLANS_MAX: usize = 500;
/// Most limits one plan may hold.
pub const LIMITS_MAX: usize = 200;
/// Largest quantity of a plan anyone may buy: times the largest price and limit it still fits 64 bits by far.
pub const QUANTITY_MAX: u64 = 1_000_000;

/// A question the terms of a plan cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A limit times the quantity leaves the range of an unsigned 64-bit integer.
    #[error("the limit {limit} times {quantity} units is too large to count; lower the limit or the quantity")]
    LimitOverflow {
        /// Name of the limit.
        limit: String,
        /// The quantity asked for.
        quantity: u64,
    },
    /// An amount times the quantity is no longer money the ledger can hold.
    #[error("{amount_minor} times {quantity} units is outside plus or minus 10^15 minor units")]
    AmountOverflow {
        /// Price of one package, in minor units.
        amount_minor: i64,
        /// The quantity asked for.
        quantity: u64,
    },
}
