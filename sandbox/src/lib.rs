//! A stateful, deterministic stand-in for Stripe over HTTP.
//!
//! It shares no code with what it is there to test: it depends on no other package of this repository.
//!
//! # The map
//!
//! - [`wire`]: what Stripe's HTTP looks like. Form bodies with brackets, parameters, versions, errors, calls, replies.
//! - [`engine`]: from call to reply. Key, version, faults, idempotency, route, step, `expand[]`, journal.
//!   `State::apply(&Call) -> Reply` is the whole sandbox without sockets.
//! - [`state`]: the state machine. Objects are JSON in the newest shape, kept by kind and id; ids follow from the seed;
//!   one queue of due work per clock; events; the journal. Everything happens in steps that happen whole or not at all.
//! - [`shape`]: what leaves. Lists, `expand[]`, older versions; and the arithmetic of periods and parts of amounts.
//! - [`families`]: the objects, one file per family, in one table.
//! - [`pages`]: what people see: Checkout, the portal, invoices, authentication. Plain HTML forms.
//! - [`webhooks`]: the queue of deliveries, payloads, signatures.
//! - [`faults`]: what goes wrong on demand.
//! - [`mod@file`]: the whole state in a file and back.
//! - [`server`]: sockets, and the task that delivers.
//!
//! # How to add a family
//!
//! One file in `families/`, its `mod` line and its line in `families::ALL`. The file has:
//!
//! 1. a [`state::store::Kind`] per kind of object: Stripe's name, prefix and length of ids, path;
//! 2. `pub const FAMILY: Family = Family { .., ..Family::EMPTY }` with its routes. A route names every parameter it
//!    knows in one line ([`wire::spec`]); any other is refused with `parameter_unknown`;
//! 3. a function per route, `fn(&mut State, &Request) -> Outcome`. It reads [`wire::params::Params`], changes objects by
//!    `State::{create, change, remove}`, which emit the event they are given, and answers the object in its newest
//!    shape, whole: `expand[]`, older versions and hidden fields (`_name`) are the engine's. An error undoes all that
//!    the function did, unless it is `ApiError::staying`, as a declined payment is;
//! 4. where it needs them: `work` for what happens at a time (`State::schedule(&object, at, "invoice.finalize")` puts it
//!    on the clock of that object's customer; scheduling again moves it; the function gets the object's id and sees that
//!    moment as `State::now_of`), `includes` for parts that only `expand[]` shows, `downgrades` for older versions
//!    (`{before: "2025-03-31", object, apply}`: applied for callers older than that date), `hooks` for what other
//!    families do (payments that settle, customers that go).
//!
//! Times of an object are `State::now_of(&object)` (its test clock's, by `test_clock` or `customer`), never the machine's.
//! Ids are `State::new_id(&KIND)`. Nothing random is taken from anywhere else: the same seed and the same calls give the
//! same bytes.

// The `json!` of an invoice has more fields than the default allows.
#![recursion_limit = "512"]

pub mod engine;
pub mod families;
pub mod faults;
pub mod file;
pub mod pages;
pub mod server;
pub mod shape;
pub mod state;
pub mod webhooks;
pub mod wire;

pub use engine::{Admission, Exit};
pub use families::webhook_endpoints::NewEndpoint;
pub use server::{Running, Sandbox};
pub use state::{Settings, State};
pub use wire::call::{Call, Reply};
