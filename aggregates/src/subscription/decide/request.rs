//! What a person's command means: the refusals that all of them share, and what they look at.

use std::borrow::Cow;

use super::{
    PriceBook, account, cancel, checkout, coupon, customer, invoices, pause, plan, quantity, refund, resume, trial,
};
use crate::facts::{InvoiceStatus, SubscriptionSnapshot, SubscriptionStatus as Status};
use crate::ids::{InvoiceId, PlanCode, PriceId, SubscriptionId};
use crate::money::Currency;
use crate::plan::{Access, AtLimit, Catalogue, Interval, LimitKind, LimitValue, Plan, Price, Visibility, Window};
use crate::snapshot::Snapshot;
use crate::subscription::asked::{IntentHead, WantedTerms, When};
use crate::subscription::command::Decision;
use crate::subscription::event::SubscriptionEvent;
use crate::subscription::rejection::{LimitInUse, NotSellable, Rejection, Restriction};
use crate::subscription::request::{Request, Wish};
use crate::subscription::seen::PlanRef;
use crate::subscription::standing::{AccessPolicy, DisputeStanding, primary};
use crate::subscription::state::{AccountState, OPEN_MAX, SubscriptionBook, is_live};
use crate::subscription::wanted::{Wanted, main_item, running_schedule};

/// Decides what a person's command means. The first command of a tenant opens its account.
pub(super) fn request(state: &AccountState, request: &Request, prices: &dyn PriceBook) -> Result<Decision, Rejection> {
    let cx = Cx {
        state,
        request,
        catalogue: prices.catalogue(),
    };
    if state.intents.find(request.intent).is_some() {
        return Ok(Decision::AlreadyApplied);
    }
    cx.admit()?;
    let decided = wish(&cx, &request.wish)?;
    let Decision::Record { events, refresh } = decided else {
        return Ok(decided);
    };
    if state.account.opened {
        return Ok(Decision::Record { events, refresh });
    }
    let mut all = account::opening(&state.account, request.tenant.as_ref(), None);
    all.extend(events);
    Ok(Decision::Record { events: all, refresh })
}

fn wish(cx: &Cx<'_>, wish: &Wish) -> Result<Decision, Rejection> {
    match wish {
        Wish::OpenCheckout(purchase) => checkout::open(cx, purchase),
        Wish::OpenPortal { flow } => checkout::portal(cx, *flow),
        Wish::Subscribe { purchase, confirm } => checkout::subscribe(cx, purchase, *confirm),
        Wish::ChangePlan(change) => plan::change(cx, change),
        Wish::WithdrawChange => plan::withdraw(cx),
        Wish::ChangeQuantity { quantity, proration } => quantity::change(cx, *quantity, *proration),
        Wish::Cancel { when, feedback } => cancel::cancel(cx, *when, *feedback),
        Wish::Resume => resume::resume(cx),
        Wish::Pause { mode, until } => pause::pause(cx, *mode, *until),
        Wish::Unpause => pause::unpause(cx),
        Wish::ApplyDiscount(discount) => coupon::apply(cx, discount),
        Wish::ExtendTrial { days, reason } => trial::extend(cx, *days, reason),
        Wish::PayInvoice { invoice } => invoices::pay(cx, invoice),
        Wish::Refund(wish) => refund::refund(cx, wish),
        Wish::UpdateCustomer { fields } => customer::update(cx, fields),
    }
}

/// What a decision looks at.
pub(super) struct Cx<'a> {
    pub(super) state: &'a AccountState,
    pub(super) request: &'a Request,
    pub(super) catalogue: Option<&'a Catalogue>,
}

/// A subscription that runs.
pub(super) struct Live<'a> {
    pub(super) id: &'a SubscriptionId,
    pub(super) book: &'a SubscriptionBook,
    pub(super) terms: Cow<'a, SubscriptionSnapshot>,
    /// What it will be once everything under way has ended.
    pub(super) wanted: Wanted,
}

impl Live<'_> {
    /// Price and quantity of its plan.
    pub(super) fn item(&self) -> Result<(PriceId, u64), Rejection> {
        self.wanted.item.clone().ok_or_else(|| self.terms_unknown())
    }

    pub(super) fn terms_unknown(&self) -> Rejection {
        Rejection::TermsUnknown {
            subscription: self.id.clone(),
        }
    }

    /// The currency it is billed in, which never changes.
    pub(super) fn currency(&self) -> Option<Currency> {
        let of_item = || main_item(self.book, &self.terms)?.currency;
        self.terms.currency.or_else(of_item)
    }
}

impl<'a> Cx<'a> {
    /// What every command of a person needs.
    fn admit(&self) -> Result<(), Rejection> {
        if let (Some(known), Some(asked)) = (&self.state.account.tenant, &self.request.tenant)
            && known != asked
        {
            return Err(Rejection::TenantMismatch {
                known: known.clone(),
                hinted: asked.clone(),
            });
        }
        let open = self.state.intents.open().count();
        if open >= OPEN_MAX {
            return Err(Rejection::TooManyOpenIntents { open, max: OPEN_MAX });
        }
        Ok(())
    }

    pub(super) fn head(&self) -> IntentHead {
        IntentHead {
            id: self.request.intent,
            at: self.request.at,
        }
    }

    /// The subscription the command is about, whatever its status.
    pub(super) fn chosen(&self) -> Option<(&'a SubscriptionId, &'a SubscriptionBook)> {
        match &self.request.subscription {
            Some(id) => self.state.life.subscriptions.get_key_value(id),
            None => primary(&self.state.life),
        }
    }

    /// The same, if it runs and no end of it is under way.
    pub(super) fn live(&self) -> Result<Live<'a>, Rejection> {
        self.begun(is_live)
    }

    /// The same, also while its first payment is open.
    pub(super) fn begun(&self, is_begun: impl Fn(&Status) -> bool) -> Result<Live<'a>, Rejection> {
        let none = |last: Option<Status>| Rejection::NoLiveSubscription { last };
        let (id, book) = self.chosen().ok_or_else(|| none(None))?;
        let terms = book.book.terms().ok_or_else(|| none(None))?;
        if !is_begun(&terms.status) {
            return Err(none(Some(terms.status.clone())));
        }
        let wanted = Wanted::of(self.state, id, book, self.request.at).ok_or_else(|| none(None))?;
        if wanted.cancel == Some(When::Now) {
            return Err(Rejection::AlreadyCanceled {
                subscription: id.clone(),
                ended_at: None,
            });
        }
        Ok(Live {
            id,
            book,
            terms,
            wanted,
        })
    }

    /// A schedule drives it whose phases are not known: what is to come cannot be kept.
    pub(super) fn known_schedule(&self, live: &Live<'_>) -> Result<(), Rejection> {
        match &live.terms.schedule {
            Some(schedule) if running_schedule(self.state, live.id, &live.terms).is_none() => {
                let ended = self.state.life.schedules.get(schedule).and_then(|book| book.terms());
                match ended {
                    Some(terms) if terms.finality() > 0 => Ok(()),
                    _ => Err(Rejection::ScheduleUnknown {
                        schedule: schedule.clone(),
                    }),
                }
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The plan of a code.
    pub(super) fn plan(&self, code: &PlanCode) -> Result<&'a Plan, Rejection> {
        let found = self.catalogue.and_then(|catalogue| catalogue.plan(code));
        found.ok_or_else(|| {
            let plans = self.catalogue.into_iter().flat_map(Catalogue::plans);
            Rejection::UnknownPlan {
                plan: code.clone(),
                plans: plans.map(|plan| plan.code.clone()).collect(),
            }
        })
    }

    /// The plan behind a price: of the version that was used to record it, else of today's.
    pub(super) fn plan_behind(&self, book: &SubscriptionBook, price: &PriceId) -> Option<PlanRef> {
        let of_today = || {
            self.catalogue
                .and_then(|catalogue| PriceBook::plan_of(catalogue, price))
        };
        book.plans.get(price).cloned().or_else(of_today)
    }

    /// Whether the plan is sold to this tenant by itself.
    pub(super) fn sellable(&self, plan: &Plan) -> Result<(), Rejection> {
        let flags = &self.request.circumstances.flags;
        let why = if let Visibility::ContactUs { url } = &plan.visibility {
            NotSellable::ContactUs { url: url.clone() }
        } else if !plan.active {
            NotSellable::Inactive
        } else if let Some(flag) = plan.flag.as_ref().filter(|flag| !flags.contains(flag.as_str())) {
            NotSellable::OutsideFlag { flag: flag.clone() }
        } else {
            return Ok(());
        };
        Err(not_sellable(plan, why))
    }

    /// The terms of a plan at a price and quantity, as they are now.
    pub(super) fn terms(
        &self,
        plan: &Plan,
        interval: Interval,
        currency: Currency,
        quantity: u64,
    ) -> Result<WantedTerms, Rejection> {
        let fits = |price: &&&Price| price.interval == interval && price.currency == currency;
        let sold = self.sold(plan);
        let Some(price) = sold.iter().find(fits) else {
            let offered = sold.iter().map(|price| (price.interval, price.currency)).collect();
            let why = NotSellable::NoPrice {
                interval,
                currency,
                offered,
            };
            return Err(not_sellable(plan, why));
        };
        let mode = self.request.circumstances.mode;
        let Some(id) = price.stripe.of(mode) else {
            return Err(not_sellable(plan, NotSellable::NotInMode { mode }));
        };
        in_range(plan, i128::from(quantity))?;
        Ok(WantedTerms {
            plan: PlanRef {
                code: plan.code.clone(),
                version: self.catalogue.map_or(0, Catalogue::version),
            },
            price: id.clone(),
            interval,
            currency,
            amount_minor: price.amount_minor,
            per: price.per,
            quantity,
        })
    }

    /// Recurring prices of a plan that are sold to this tenant.
    fn sold<'p>(&self, plan: &'p Plan) -> Vec<&'p Price> {
        let flags = &self.request.circumstances.flags;
        let is_open = |price: &Price| price.flag.as_ref().is_none_or(|flag| flags.contains(flag.as_str()));
        let all = plan.prices.iter();
        all.filter(|price| price.is_licensed() && price.active && is_open(price))
            .collect()
    }

    /// The interval a plan is bought at when none was asked for: the one it had, else monthly, else the only one.
    pub(super) fn default_interval(&self, plan: &Plan, had: Option<Interval>, currency: Currency) -> Interval {
        let sold = self.sold(plan);
        let is_sold = |interval: &Interval| {
            let mut at = sold.iter().filter(|price| price.currency == currency);
            at.any(|price| price.interval == *interval)
        };
        let order = [had.unwrap_or(Interval::Month), Interval::Month, Interval::Year];
        order.into_iter().find(is_sold).unwrap_or(Interval::Month)
    }

    /// Levels in use above what a plan allows in so many units. What only adds up within a window, and what may be
    /// exceeded at a price, blocks nothing.
    pub(super) fn exceeded(&self, plan: &Plan, quantity: u64) -> Vec<LimitInUse> {
        let mut exceeded = Vec::new();
        for limit in &plan.limits {
            let used = self.request.circumstances.usage.get(limit.name.as_str()).copied();
            let used = used.unwrap_or(0);
            let is_level = match limit.kind {
                LimitKind::Gauge => true,
                LimitKind::Counter { window } => window == Window::Lifetime,
                LimitKind::Rate { .. } | LimitKind::Concurrent { .. } => false,
            };
            let is_hard = !matches!(limit.at_limit, AtLimit::Allow { .. });
            if let (true, true, Ok(LimitValue::Units(allowed))) = (is_level, is_hard, limit.value_for(quantity))
                && used > allowed
            {
                exceeded.push(LimitInUse {
                    resource: limit.name.as_str().into(),
                    used,
                    limit: allowed,
                });
            }
        }
        exceeded
    }

    /// Nothing more is sold while access is restricted. Paying, ending and taking back always go.
    pub(super) fn unrestricted(&self) -> Result<(), Rejection> {
        let policy = self.catalogue.map(AccessPolicy::of).unwrap_or_default();
        let disputes = DisputeStanding::of(&self.state.money.disputes);
        let disputed = [
            (disputes.open, policy.dispute_open),
            (disputes.lost, policy.dispute_lost),
        ];
        let by_dispute = disputed
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, access)| access)
            .max();
        let status = self.chosen().and_then(|(_, book)| book.book.terms());
        let by_status = match status.as_ref().map(|terms| &terms.status) {
            Some(Status::Unpaid) => Some((Access::Blocked, Restriction::PaymentOverdue)),
            Some(Status::PastDue) if !policy.has_grace => Some((Access::Restricted, Restriction::PaymentOverdue)),
            Some(Status::Paused) => Some((Access::Restricted, Restriction::Paused)),
            Some(
                Status::PastDue
                | Status::Incomplete
                | Status::IncompleteExpired
                | Status::Trialing
                | Status::Active
                | Status::Canceled
                | Status::Unrecognised(_),
            )
            | None => None,
        };
        let by_dispute = by_dispute
            .filter(|access| *access >= Access::Restricted)
            .map(|access| (access, Restriction::Disputed));
        match by_status.or(by_dispute) {
            None => Ok(()),
            Some((access, why)) => Err(Rejection::AccessIsRestricted {
                access,
                why,
                invoice: self.invoice_to_pay(),
            }),
        }
    }

    /// The oldest invoice that can be paid.
    fn invoice_to_pay(&self) -> Option<InvoiceId> {
        let payable = self.state.invoices.iter().filter_map(|(id, book)| {
            let terms = book.invoice.terms()?;
            let is_open = matches!(terms.status, InvoiceStatus::Open | InvoiceStatus::Uncollectible);
            (is_open && terms.amount_remaining_minor > 0).then(|| (terms.created_at, id.clone()))
        });
        payable.min().map(|(_, id)| id)
    }
}

/// Whether a plan is sold in so many units.
pub(super) fn in_range(plan: &Plan, quantity: i128) -> Result<u64, Rejection> {
    let fits = u64::try_from(quantity)
        .ok()
        .filter(|fits| plan.quantity.contains(*fits));
    fits.ok_or_else(|| Rejection::QuantityOutOfRange {
        plan: plan.code.clone(),
        quantity,
        min: plan.quantity.min,
        max: plan.quantity.max,
    })
}

pub(super) fn not_sellable(plan: &Plan, why: NotSellable) -> Rejection {
    Rejection::PlanNotSellable {
        plan: plan.code.clone(),
        why,
    }
}

/// One event and nothing else.
pub(super) fn record(event: SubscriptionEvent) -> Decision {
    Decision::Record {
        events: vec![event],
        refresh: Vec::new(),
    }
}
