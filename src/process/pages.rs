//! What is asked of Stripe while somebody waits: a checkout page, a page of the billing portal, what a change would cost.
//!
//! The intent is recorded before Stripe is called, and its id is the key, so the same request sent again opens the same
//! page. Addresses of pages are secret: they are handed on and kept nowhere.

use std::time::Duration;

use aggregates::facts::SubscriptionStatus;
use aggregates::ids::{CheckoutSessionId, CustomerId, IntentId, StreamId, SubscriptionId};
use aggregates::partition::part_of;
use aggregates::plan::Catalogue;
use aggregates::subscription::asked::{CheckoutRequested, CheckoutStarted, PlanChangeRequested, PortalFlow, Proration};
use aggregates::subscription::effect::{self, Due, Effect};
use aggregates::subscription::intent::Asked;
use aggregates::subscription::request::{Circumstances, PlanChange, Request, Wish};
use aggregates::subscription::settled::StripeCallSettled;
use aggregates::subscription::standing::primary;
use aggregates::subscription::wanted::main_item;
use aggregates::subscription::{self, AccountState, Decision, Rejection, SubscriptionCommand, SubscriptionEvent};
use aggregates::time::Timestamp;
use projections::db::{Db, DbError};
use serde_json::Value;

use super::account_log::{self, Loaded};
use super::links::Links;
use super::stripe_calls::translate::{Facts, Missing};
use super::stripe_calls::{LinkError, Place, Recorder, Settle, rejected};
use crate::clock::Clock;
use crate::directory::Directory;
use crate::ledger::{Profile, find_profile};
use crate::stripe::gateway::call::{ItemChange, ItemsChange, Portal, PortalFlow as Flow};
use crate::stripe::gateway::retry::{Performed, Sender};
use crate::stripe::gateway::{Call, CallKey, Gateway, ObjectKind, OnAccount, Read, Refusal};

/// How long a request waits for Stripe, attempts included.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long an answer waits for what it can do without.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The domain refuses.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Stripe refuses.
    #[error("{0}")]
    Stripe(Box<Refusal>),
    /// Stripe did not take it.
    #[error("Stripe could not do it now: {0}")]
    Unavailable(String),
    /// Stripe takes no more for a moment.
    #[error("Stripe takes no more requests for a moment")]
    Busy,
    /// Nobody knows whether Stripe did it; the same request again is safe.
    #[error("Stripe did not answer in time: {0}")]
    Timeout(String),
    /// The customer that was made belongs to another account.
    #[error("the new customer belongs to another account already; please report it")]
    Elsewhere,
    /// The intent is not there any more.
    #[error("the page was opened too long ago; ask for a new one")]
    Gone,
    /// A fault of ours.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DbError),
}

impl From<LinkError> for PageError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Elsewhere => Self::Elsewhere,
            LinkError::Store(error) => Self::Store(error),
        }
    }
}

impl From<Settle> for PageError {
    fn from(error: Settle) -> Self {
        match error {
            Settle::Refused(rejection) => Self::Rejected(rejection),
            Settle::Store(error) => Self::Store(error),
        }
    }
}

/// An opened checkout page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutPage {
    /// Its session.
    pub session: CheckoutSessionId,
    /// Its secret address; none: it is over.
    pub url: Option<String>,
    /// When it is given up.
    pub expires_at: Option<Timestamp>,
}

/// What a change would cost: Stripe's preview of the next invoice, and what was previewed.
#[derive(Clone, Debug)]
pub struct Previewed {
    /// The invoice, as Stripe writes it.
    pub invoice: Value,
    /// What happens to time already paid for.
    pub proration: Proration,
}

/// Pages of Stripe's. Cheap to clone.
#[derive(Clone)]
pub struct Pages {
    db: Db,
    clock: Clock,
    sender: Sender,
    gateway: Gateway,
    recorder: Recorder,
}

impl Pages {
    /// Over a gateway.
    #[must_use]
    pub fn new(db: Db, directory: Directory, clock: Clock, gateway: Gateway) -> Self {
        Self {
            recorder: Recorder::new(db.clone(), Links::new(directory), clock.clone()),
            sender: Sender::system(Gateway::clone(&gateway), clock.clone()),
            gateway,
            db,
            clock,
        }
    }

    /// Opens the page of a checkout intent, or the same one again.
    pub async fn checkout(
        &self,
        stream: &StreamId,
        intent: IntentId,
        success_url: String,
        cancel_url: Option<String>,
    ) -> Result<CheckoutPage, PageError> {
        let part = part_of(stream, self.db.parts());
        let place = Place { part, stream, intent };
        let mut loaded = account_log::read(&self.db, part, stream).await?;
        let asked = requested(&loaded, intent).ok_or(PageError::Gone)?;
        if loaded.state.account.customer.is_none() {
            self.make_customer(&place, &loaded).await?;
            loaded = account_log::read(&self.db, part, stream).await?;
        }
        let call = facts(&loaded.state, None).page(&asked, success_url, cancel_url)?;
        let object = self.perform(&place, &loaded, intent.into(), &call).await?;
        let word = |name: &str| object.get(name).and_then(Value::as_str);
        let session = CheckoutSessionId::parse(word("id").unwrap_or_default())
            .map_err(|error| PageError::Timeout(format!("its answer names no session: {error}")))?;
        let seconds = object.get("expires_at").and_then(Value::as_i64);
        let page = CheckoutPage {
            session,
            url: word("url").map(str::to_owned),
            expires_at: seconds.and_then(|seconds| Timestamp::from_seconds(seconds).ok()),
        };
        let started = SubscriptionCommand::StartCheckout(Box::new(CheckoutStarted {
            intent,
            session: page.session.clone(),
            expires_at: page.expires_at,
        }));
        self.recorder.append(&place, &started, "started").await?;
        Ok(page)
    }

    async fn make_customer(&self, place: &Place<'_>, loaded: &Loaded) -> Result<(), PageError> {
        let profile = match &loaded.state.account.tenant {
            Some(tenant) => find_profile(&self.db, place.part, tenant).await?,
            None => None,
        };
        let call = facts(&loaded.state, profile.as_ref()).new_customer();
        let key = CallKey {
            intent: place.intent,
            step: Some(0),
        };
        let object = self.perform(place, loaded, key, &call).await?;
        let id = object.get("id").and_then(Value::as_str).unwrap_or_default();
        let customer = CustomerId::parse(id)
            .map_err(|error| PageError::Timeout(format!("its answer names no customer: {error}")))?;
        self.recorder.link(place, &customer).await?;
        Ok(())
    }

    /// Opens a page of the billing portal; its secret address.
    pub async fn portal(
        &self,
        stream: &StreamId,
        intent: IntentId,
        (flow, change): (Option<PortalFlow>, Option<&PlanChangeRequested>),
        return_url: String,
        configuration: Option<String>,
    ) -> Result<String, PageError> {
        let part = part_of(stream, self.db.parts());
        let place = Place { part, stream, intent };
        let loaded = account_log::read(&self.db, part, stream).await?;
        let customer = loaded.state.account.customer.clone().ok_or(Rejection::NoCustomer)?;
        let call = Call::OpenPortal(Portal {
            customer,
            return_url,
            flow: flow.map(|flow| flow_of(&loaded.state, flow, change)).transpose()?,
            configuration,
        });
        let object = self.perform(&place, &loaded, intent.into(), &call).await?;
        let url = object.get("url").and_then(Value::as_str);
        url.map(str::to_owned)
            .ok_or_else(|| PageError::Timeout("its answer names no address".to_owned()))
    }

    /// What a change of plan or quantity would cost. Records nothing.
    pub async fn preview(
        &self,
        stream: &StreamId,
        wish: &Wish,
        circumstances: &Circumstances,
        catalogue: &Catalogue,
        id: IntentId,
    ) -> Result<Previewed, PageError> {
        let part = part_of(stream, self.db.parts());
        let place = Place {
            part,
            stream,
            intent: id,
        };
        let loaded = account_log::read(&self.db, part, stream).await?;
        let customer = loaded.state.account.customer.clone().ok_or(Rejection::NoCustomer)?;
        let change = self.items_of(&loaded.state, wish, circumstances, catalogue, id)?;
        let proration = change.proration;
        let call = Call::Preview { customer, change };
        let invoice = self.perform(&place, &loaded, id.into(), &call).await?;
        Ok(Previewed { invoice, proration })
    }

    /// Stripe's page of the open invoice of a subscription that waits for its first payment; none: nothing is to be paid, or
    /// Stripe does not say now.
    pub async fn pay_url(&self, stream: &StreamId, subscription: &str) -> Option<String> {
        let part = part_of(stream, self.db.parts());
        let loaded = account_log::read(&self.db, part, stream).await.ok()?;
        let id = SubscriptionId::parse(subscription).ok()?;
        let known = loaded
            .state
            .life
            .subscriptions
            .get(&id)
            .and_then(|book| book.book.terms());
        if known.is_some_and(|terms| terms.status != SubscriptionStatus::Incomplete) {
            return None;
        }
        let account = OnAccount::of_source(loaded.source.as_deref().unwrap_or_default());
        let read = Read::Object {
            kind: ObjectKind::Subscription,
            id: subscription.into(),
            expand: &["latest_invoice"],
        };
        let asked = tokio::time::timeout(LOOK_PATIENCE, self.gateway.read(&account, &read)).await;
        let object = asked.ok()?.ok()?.object;
        let invoice = object.get("latest_invoice")?;
        let is_open = invoice.get("status").and_then(Value::as_str) == Some("open");
        let url = invoice
            .get("hosted_invoice_url")
            .and_then(Value::as_str)
            .filter(|_| is_open)?;
        Some(url.to_owned())
    }

    /// The items a change comes to, decided as if it were asked for.
    fn items_of(
        &self,
        state: &AccountState,
        wish: &Wish,
        circumstances: &Circumstances,
        catalogue: &Catalogue,
        id: IntentId,
    ) -> Result<ItemsChange, PageError> {
        let now = self.clock.now();
        let event = imagined(state, wish, circumstances, catalogue, (id, now))?;
        let mut after = state.clone();
        if let Some(event) = &event {
            after.evolve(event);
        }
        if let Due::Calls(calls) = effect::due(&after, id, now) {
            for call in calls {
                if let Effect::SetItem {
                    subscription,
                    item,
                    price,
                    quantity,
                    proration,
                    ..
                } = call.effect
                {
                    let item = ItemChange::Set {
                        item,
                        price,
                        quantity: Some(quantity),
                    };
                    return Ok(change_of(subscription, item, proration));
                }
            }
        }
        // Under a schedule, behind another command, or when nothing changes: the items as they would be.
        let (subscription, book) = primary(&state.life).ok_or(Rejection::NoLiveSubscription { last: None })?;
        let terms = book.book.terms();
        let unknown = || Rejection::TermsUnknown {
            subscription: subscription.clone(),
        };
        let item = terms
            .as_ref()
            .and_then(|terms| main_item(book, terms))
            .ok_or_else(unknown)?;
        let (price, quantity, proration) = match event.as_ref().and_then(SubscriptionEvent::asked) {
            Some(Asked::PlanChange(it)) => (Some(it.terms.price), it.terms.quantity, it.proration),
            Some(Asked::Quantity(it)) => (None, it.quantity, it.proration),
            Some(_) | None => (None, item.quantity.unwrap_or(1), Proration::None),
        };
        let set = ItemChange::Set {
            item: item.item.clone(),
            price,
            quantity: Some(quantity),
        };
        Ok(change_of(subscription.clone(), set, proration))
    }

    /// The terms a change of plan comes to, decided as if it were asked for.
    pub async fn plan_change(
        &self,
        stream: &StreamId,
        change: PlanChange,
        circumstances: &Circumstances,
        catalogue: &Catalogue,
        id: IntentId,
    ) -> Result<PlanChangeRequested, PageError> {
        let part = part_of(stream, self.db.parts());
        let loaded = account_log::read(&self.db, part, stream).await?;
        let at = (id, self.clock.now());
        let event = imagined(&loaded.state, &Wish::ChangePlan(change), circumstances, catalogue, at)?;
        match event.as_ref().and_then(SubscriptionEvent::asked) {
            Some(Asked::PlanChange(it)) => Ok(it),
            Some(_) | None => Err(Rejection::NoLiveSubscription { last: None }.into()),
        }
    }

    async fn perform(&self, place: &Place<'_>, loaded: &Loaded, key: CallKey, call: &Call) -> Result<Value, PageError> {
        let account = OnAccount::of_source(loaded.source.as_deref().unwrap_or_default());
        let until = self
            .clock
            .now()
            .plus_micros(i64::try_from(PATIENCE.as_micros()).unwrap_or(0));
        let mut progress = self.sender.begin(key, call);
        match self.sender.perform(&account, key, call, &mut progress, until).await {
            Performed::Applied(answer) => Ok(answer.object),
            Performed::Found(object) => Ok(*object),
            Performed::Rejected(refusal) => {
                self.record_refusal(place, &refusal).await?;
                Err(PageError::Stripe(refusal))
            }
            Performed::Unknown(words) => Err(PageError::Timeout(words)),
            Performed::Later(_) => {
                let words = progress.last.unwrap_or_default();
                Err(if progress.last_status == Some(429) {
                    PageError::Busy
                } else if progress.may_be_done {
                    PageError::Timeout(words)
                } else {
                    PageError::Unavailable(words)
                })
            }
        }
    }

    /// A checkout that Stripe refused has ended; pages of the portal and previews leave nothing open.
    async fn record_refusal(&self, place: &Place<'_>, refusal: &Refusal) -> Result<(), PageError> {
        let settled = SubscriptionCommand::SettleCall(Box::new(StripeCallSettled {
            intent: place.intent,
            outcome: rejected(refusal),
            request_id: refusal.request_id.as_deref().map(Into::into),
        }));
        match self.recorder.append(place, &settled, "answered").await {
            Ok(()) | Err(Settle::Refused(Rejection::UnknownIntent { .. })) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn change_of(subscription: SubscriptionId, item: ItemChange, proration: Proration) -> ItemsChange {
    ItemsChange {
        subscription,
        items: vec![item],
        proration,
        prorate_at: None,
        keeps_subscription: false,
    }
}

const fn facts<'a>(state: &'a AccountState, profile: Option<&'a Profile>) -> Facts<'a> {
    Facts {
        state,
        profile,
        made: None,
        automatic_tax: false,
    }
}

/// The checkout an intent asked for.
fn requested(loaded: &Loaded, intent: IntentId) -> Option<CheckoutRequested> {
    let mut all = loaded.of_intents();
    all.find_map(|(event, _)| {
        if let SubscriptionEvent::CheckoutRequested(it) = event
            && it.intent.id == intent
        {
            return Some(it.clone());
        }
        None
    })
}

/// What a wish would be recorded as; none: it changes nothing.
fn imagined(
    state: &AccountState,
    wish: &Wish,
    circumstances: &Circumstances,
    catalogue: &Catalogue,
    (id, now): (IntentId, Timestamp),
) -> Result<Option<SubscriptionEvent>, Rejection> {
    let request = SubscriptionCommand::Request(Box::new(Request {
        intent: id,
        at: now,
        tenant: None,
        subscription: None,
        circumstances: circumstances.clone(),
        wish: wish.clone(),
    }));
    Ok(match subscription::decide(state, &request, catalogue)? {
        Decision::Record { events, .. } => events.into_iter().find(|event| event.asked().is_some()),
        Decision::AlreadyApplied | Decision::Superseded => None,
    })
}

/// A flow of the portal at the subscription the account is judged by.
fn flow_of(state: &AccountState, flow: PortalFlow, change: Option<&PlanChangeRequested>) -> Result<Flow, Rejection> {
    if flow == PortalFlow::PaymentMethodUpdate {
        return Ok(Flow::PaymentMethod);
    }
    let none = || Rejection::NoLiveSubscription { last: None };
    let (subscription, book) = primary(&state.life).ok_or_else(none)?;
    let subscription = subscription.clone();
    Ok(match flow {
        PortalFlow::PaymentMethodUpdate => Flow::PaymentMethod,
        PortalFlow::SubscriptionCancel => Flow::Cancel { subscription },
        PortalFlow::SubscriptionUpdate => Flow::ChangePlan { subscription },
        PortalFlow::SubscriptionUpdateConfirm => {
            let terms = book.book.terms();
            let item = terms
                .as_ref()
                .and_then(|terms| main_item(book, terms))
                .map(|item| item.item.clone());
            let (Some(item), Some(change)) = (item, change) else {
                return Err(Rejection::TermsUnknown { subscription });
            };
            Flow::ConfirmChange {
                subscription,
                item,
                price: change.terms.price.clone(),
                quantity: Some(change.terms.quantity),
            }
        }
    })
}
