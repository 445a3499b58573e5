//! The families of objects, one file each, in one table.
//!
//! A family is a constant: its kinds, its routes, the work it does when a time comes, what it puts in for `expand[]`,
//! how its objects looked in older versions, and what it wants to hear of other families.

pub mod account;
pub mod balance;
pub mod cards;
pub mod charges;
pub mod checkout;
pub mod coupons;
pub mod customer_money;
pub mod customers;
pub mod disputes;
pub mod invoice_items;
pub mod invoice_payments;
pub mod invoices;
pub mod payment_intents;
pub mod payment_links;
pub mod payment_methods;
pub mod payments;
pub mod plans;
pub mod portal;
pub mod prices;
pub mod pricing;
pub mod products;
pub mod promotion_codes;
pub mod refunds;
pub mod setup_intents;
pub mod sources;
pub mod subscriptions;
pub mod tax_ids;
pub mod tax_rates;
pub mod test_clocks;
pub mod webhook_endpoints;

mod control;
mod event_destinations;
mod events;
mod inner;

use std::sync::OnceLock;

use serde_json::Value;

use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Page, Request};
use crate::wire::error::ApiError;
use crate::wire::spec::Spec;

/// All families. A new one is its file, its `mod` line and its line here.
const ALL: &[&Family] = &[
    &customers::FAMILY,
    &test_clocks::FAMILY,
    &products::FAMILY,
    &prices::FAMILY,
    &plans::FAMILY,
    &coupons::FAMILY,
    &promotion_codes::FAMILY,
    &tax_rates::FAMILY,
    &customer_money::FAMILY,
    &tax_ids::FAMILY,
    &payment_methods::FAMILY,
    &sources::FAMILY,
    &setup_intents::FAMILY,
    &payment_intents::FAMILY,
    &charges::FAMILY,
    &refunds::FAMILY,
    &disputes::FAMILY,
    &invoices::FAMILY,
    &invoice_items::FAMILY,
    &invoice_payments::FAMILY,
    &subscriptions::FAMILY,
    &balance::FAMILY,
    &checkout::FAMILY,
    &checkout::DOORS,
    &payment_links::FAMILY,
    &portal::FAMILY,
    &portal::DOORS,
    &account::FAMILY,
    &events::FAMILY,
    &webhook_endpoints::FAMILY,
    &event_destinations::FAMILY,
    &control::FAMILY,
    &crate::pages::FAMILY,
];

/// One family.
#[derive(Debug)]
pub struct Family {
    /// Kinds of objects it keeps.
    pub kinds: &'static [&'static Kind],
    /// Its calls.
    pub routes: &'static [Route],
    /// Work it schedules with `State::schedule`, by name.
    pub work: &'static [(&'static str, Work)],
    /// What its objects leave out unless `expand[]` asks: kind, name, how it is made.
    pub includes: &'static [(&'static str, &'static str, Include)],
    /// How its objects looked before.
    pub downgrades: &'static [Downgrade],
    /// What it wants to hear of.
    pub hooks: &'static [Hook],
}

impl Family {
    /// A family of nothing, to be filled: `Family { routes: &[..], ..Family::EMPTY }`.
    pub const EMPTY: Self = Self {
        kinds: &[],
        routes: &[],
        work: &[],
        includes: &[],
        downgrades: &[],
        hooks: &[],
    };
}

/// Work whose time has come, on the object with this id. The object may be gone by then; that is no error.
pub type Work = fn(&mut State, &str) -> Result<(), ApiError>;

/// Makes a part that is left out.
pub type Include = fn(&State, &Value) -> Value;

/// What a family wants to hear of. A hook runs in the step that causes it, before that step's answer.
#[derive(Clone, Copy, Debug)]
pub enum Hook {
    /// The sandbox starts from nothing.
    SetUp(fn(&mut State)),
    /// A customer is about to be removed: its id.
    CustomerGoes(fn(&mut State, &str) -> Result<(), ApiError>),
    /// A payment intent has reached an end or waits for its customer (`succeeded`, `requires_payment_method` after a
    /// failure, `requires_action`, `canceled`): its id.
    PaymentSettled(fn(&mut State, &str) -> Result<(), ApiError>),
    /// A setup intent has succeeded or failed: its id.
    SetupSettled(fn(&mut State, &str) -> Result<(), ApiError>),
    /// A dispute has been opened or closed, a refund made: the charge's id.
    ChargeChanged(fn(&mut State, &str) -> Result<(), ApiError>),
}

/// One call of a family.
#[derive(Debug)]
pub struct Route {
    /// `GET`, `POST`, `DELETE`.
    pub method: &'static str,
    /// `/v1/customers/{id}`.
    pub path: &'static str,
    /// Known parameters, see `wire::spec`.
    pub params: &'static str,
    /// What it does.
    pub run: fn(&mut State, &Request) -> Outcome,
    /// Who may call it.
    pub access: Access,
    /// How people see an error; programs get an object.
    pub refused: Option<Refused>,
}

/// Shows an error as a page.
pub type Refused = fn(&State, &Request, &ApiError) -> Page;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever has a key. Faults strike, the journal tells.
    Key,
    /// Anybody: hosted pages. Faults strike, the journal tells.
    Page,
    /// Anybody: the sandbox's own switches. No fault strikes and the journal is silent.
    Control,
}

impl Route {
    /// A GET.
    #[must_use]
    pub const fn get(path: &'static str, params: &'static str, run: fn(&mut State, &Request) -> Outcome) -> Self {
        Self::new("GET", path, params, run)
    }

    /// A POST.
    #[must_use]
    pub const fn post(path: &'static str, params: &'static str, run: fn(&mut State, &Request) -> Outcome) -> Self {
        Self::new("POST", path, params, run)
    }

    /// A DELETE.
    #[must_use]
    pub const fn delete(path: &'static str, params: &'static str, run: fn(&mut State, &Request) -> Outcome) -> Self {
        Self::new("DELETE", path, params, run)
    }

    const fn new(
        method: &'static str,
        path: &'static str,
        params: &'static str,
        run: fn(&mut State, &Request) -> Outcome,
    ) -> Self {
        Self {
            method,
            path,
            params,
            run,
            access: Access::Key,
            refused: None,
        }
    }

    /// A page for people, who see its errors as pages too.
    #[must_use]
    pub const fn page(mut self, refused: Refused) -> Self {
        self.access = Access::Page;
        self.refused = Some(refused);
        self
    }

    /// For other callers than those with a key.
    #[must_use]
    pub const fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }
}

/// A route with its path and parameters read.
#[derive(Debug)]
pub struct Ready {
    /// The route.
    pub route: &'static Route,
    /// Its parameters.
    pub spec: Spec,
    segments: Vec<&'static str>,
}

fn table() -> &'static [Ready] {
    static TABLE: OnceLock<Vec<Ready>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let routes = ALL.iter().flat_map(|family| family.routes);
        let ready = routes.map(|route| Ready {
            route,
            spec: Spec::parse(route.params),
            segments: route.path.split('/').collect(),
        });
        let mut table: Vec<Ready> = ready.collect();
        // `/v1/invoices/upcoming` comes before `/v1/invoices/{id}`.
        table.sort_by_key(|ready| ready.segments.iter().filter(|segment| segment.starts_with('{')).count());
        table
    })
}

/// The route of a call, and what its path names.
#[must_use]
pub fn route(method: &str, path: &str) -> Option<(&'static Ready, Vec<String>)> {
    let given: Vec<&str> = path.split('/').collect();
    table().iter().find_map(|ready| {
        if ready.route.method != method || ready.segments.len() != given.len() {
            return None;
        }
        let mut named = Vec::new();
        for (wanted, given) in ready.segments.iter().zip(&given) {
            if wanted.starts_with('{') && !given.is_empty() {
                let decoded = percent_encoding::percent_decode_str(given).decode_utf8_lossy();
                named.push(decoded.into_owned());
            } else if wanted != given {
                return None;
            }
        }
        Some((ready, named))
    })
}

/// The work of that name.
#[must_use]
pub fn work(name: &str) -> Option<Work> {
    let mut all = ALL.iter().flat_map(|family| family.work);
    all.find(|(known, _)| *known == name).map(|(_, work)| *work)
}

/// The part `name` of an object that is left out unless asked for.
#[must_use]
pub fn include(state: &State, object: &Value, name: &str) -> Option<Value> {
    let kind = object["object"].as_str()?;
    let mut all = ALL.iter().flat_map(|family| family.includes);
    let (_, _, make) = all.find(|(of, known, _)| *of == kind && *known == name)?;
    Some(make(state, object))
}

/// Every difference of older versions, newest first.
pub fn downgrades() -> impl Iterator<Item = &'static Downgrade> {
    static SORTED: OnceLock<Vec<&'static Downgrade>> = OnceLock::new();
    let sorted = SORTED.get_or_init(|| {
        let mut all: Vec<&Downgrade> = ALL.iter().flat_map(|family| family.downgrades).collect();
        all.sort_by_key(|downgrade| std::cmp::Reverse(downgrade.before));
        all
    });
    sorted.iter().copied()
}

/// Every kind of object.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    ALL.iter().flat_map(|family| family.kinds).copied()
}

/// Every hook.
pub fn hooks() -> impl Iterator<Item = Hook> {
    ALL.iter().flat_map(|family| family.hooks).copied()
}

/// What families do when the sandbox starts from nothing.
pub fn set_up(state: &mut State) {
    for hook in hooks() {
        if let Hook::SetUp(act) = hook {
            state.own_step("set up", |state| {
                act(state);
                Ok(())
            });
        }
    }
}

#[test]
fn the_table_is_consistent() {
    let mut seen = std::collections::BTreeSet::new();
    for ready in table() {
        let place = (ready.route.method, ready.route.path);
        assert!(seen.insert(place), "two routes at {place:?}");
        let spelled = |name: &str| crate::wire::form::parse(&format!("{name}=1")).is_ok();
        assert!(ready.route.path.starts_with('/') && spelled("x"), "{place:?}");
    }
    let names: Vec<&str> = ALL
        .iter()
        .flat_map(|family| family.work)
        .map(|(name, _)| *name)
        .collect();
    for name in &names {
        assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
    }
    assert!(route("GET", "/v1/customers/").is_none());
    let named = route("GET", "/v1/customers/cus%5f1").map(|(_, named)| named);
    assert_eq!(named, Some(vec!["cus_1".to_owned()]));
}
