//! From stored bytes to work in a lane: translate, find the streams, and settle at once what needs neither.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use aggregates::ids::StreamId;
use aggregates::partition::{part_of, part_of_key};
use bytes::Bytes;
use projections::db::DbError;
use projections::failpoint;

use super::Worker;
use super::item::{Item, Step, Work};
use super::lanes::Ticket;
use super::resolve::Resolved;
use super::retry;
use crate::inbox::{Settlement, State};
use crate::process::findings::Finding;
use crate::stripe::translate::{AccountFact, Facts, Fetch, FetchKind, Ignored, Outcome};

/// Bodies translated before other tasks get their turn: about a millisecond of work.
const TRANSLATED_AT_ONCE: usize = 16;

impl Worker {
    /// Works off the intake until it is closed.
    pub(super) async fn intake_loop(self: Arc<Self>) {
        while let Some(tickets) = self.lanes.next_arrivals().await {
            self.give_way.wait().await;
            self.admit(tickets).await;
        }
    }

    async fn admit(&self, tickets: Vec<Ticket>) {
        let mut open = Vec::with_capacity(tickets.len());
        let mut batch = Vec::with_capacity(tickets.len());
        for (nth, mut ticket) in tickets.into_iter().enumerate() {
            if nth % TRANSLATED_AT_ONCE == TRANSLATED_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            match self.facts_of(&ticket) {
                Ok(facts) => {
                    // Thousands wait in the lanes: what was understood is kept once.
                    ticket.body = Bytes::new();
                    open.push(ticket);
                    batch.push(facts);
                }
                Err(settlement) => self.settler.settle(*settlement, ticket).await,
            }
        }
        if batch.is_empty() {
            return;
        }
        match self.resolver.resolve(&mut batch).await {
            Ok((resolved, claimed)) => {
                failpoint::reach("apply.after-claim");
                let mut items = Vec::with_capacity(open.len());
                for ((ticket, facts), resolved) in open.into_iter().zip(batch).zip(resolved) {
                    items.extend(self.item_of(ticket, facts, resolved).await);
                }
                self.lanes.push(items);
                self.wake(&claimed).await;
            }
            Err(error) => self.fail(open, &error).await,
        }
    }

    /// What the body says, or the outcome of a receipt that says nothing.
    fn facts_of(&self, ticket: &Ticket) -> Result<Facts, Box<Settlement>> {
        let ends = |state, reason: String| Err(Box::new(Settlement::of(ticket.key.clone(), state, Some(reason))));
        if let Some(live) = ticket.envelope.livemode
            && live != self.live
        {
            let word = |live| if live { "live" } else { "test" };
            let finding = Finding::WrongMode {
                event: ticket.key.to_string(),
                got: word(live),
                kept: word(self.live),
            };
            self.findings.raise(&finding);
            return ends(State::Quarantined, finding.to_string());
        }
        let translate = || self.translator.translate(&ticket.envelope, &ticket.body);
        let Ok(translation) = catch_unwind(AssertUnwindSafe(translate)) else {
            return ends(
                State::Quarantined,
                "translating it failed unexpectedly; please report it".to_owned(),
            );
        };
        for fact in translation.conflicts {
            let event = ticket.key.to_string();
            self.findings.raise(&Finding::ExtractionConflict { event, fact });
        }
        match translation.outcome {
            Outcome::Facts(facts) => Ok(facts),
            Outcome::Ignored(why) => ends(State::Ignored, why.as_str().to_owned()),
            Outcome::Quarantined(why) => ends(State::Quarantined, why.to_string()),
        }
    }

    /// The lane's work for placed facts; settles what waits or only links.
    async fn item_of(&self, ticket: Ticket, facts: Facts, resolved: Resolved) -> Option<Item> {
        let streams = match resolved {
            Resolved::Placed(streams) => streams,
            Resolved::Waits(target) => {
                let fetch = Fetch {
                    what: FetchKind::Object,
                    object: target.kind(),
                    id: target.key().to_owned(),
                };
                let parked = self.parked(&ticket, format!("waits for {target}"));
                self.waiting.add(target, ticket.key.clone());
                return self.ask(ticket, vec![fetch], parked).await;
            }
        };
        if ticket.envelope.thin {
            return self.thin(ticket, facts).await;
        }
        if facts.accounts.is_empty() && facts.objects.is_empty() {
            let told = Settlement::of(
                ticket.key.clone(),
                State::Ignored,
                Some(Ignored::ToldElsewhere.as_str().to_owned()),
            );
            return self.ask(ticket, facts.fetches, told).await;
        }
        Some(Item {
            works: works(facts, streams, self.parts).into(),
            ticket,
            verdict: None,
            placed: None,
        })
    }

    /// A thin event whose snapshot twin is held says nothing of its own; without one the object must be fetched.
    async fn thin(&self, ticket: Ticket, facts: Facts) -> Option<Item> {
        if let Some(twin) = &facts.twin {
            let twin = crate::inbox::ReceiptKey {
                source: Arc::clone(&ticket.key.source),
                event: twin.clone(),
            };
            if let Ok(Some(_)) = self.receipts.find(&twin).await {
                let reason = format!("the same as {}", twin.event);
                let duplicate = Settlement::of(ticket.key.clone(), State::Duplicate, Some(reason));
                self.settler.settle(duplicate, ticket).await;
                return None;
            }
        }
        let wanted = facts.fetches.first();
        let object = wanted.map_or_else(String::new, |fetch| format!(" of {} {}", fetch.object, fetch.id));
        let parked = self.parked(&ticket, format!("waits for a fetch{object}"));
        self.ask(ticket, facts.fetches, parked).await
    }

    fn parked(&self, ticket: &Ticket, reason: String) -> Settlement {
        retry::parked(&ticket.key, ticket.attempts, reason, self.clock.now())
    }

    /// Leaves questions for Stripe, once, before the receipt goes where `then` says.
    async fn ask(&self, ticket: Ticket, fetches: Vec<Fetch>, then: Settlement) -> Option<Item> {
        if fetches.is_empty() || ticket.was_parked {
            self.settler.settle(then, ticket).await;
            return None;
        }
        let work = Work {
            part: part_of_key(&ticket.key.to_string(), self.parts),
            steps: Vec::new(),
            fetches,
        };
        Some(Item {
            ticket,
            works: [work].into(),
            verdict: Some(then),
            placed: None,
        })
    }

    /// Brings back receipts that waited for names which are known now.
    async fn wake(&self, names: &[crate::stripe::translate::Target]) {
        let keys = self.waiting.take(names);
        if keys.is_empty() {
            return;
        }
        if let Err(error) = self.bring_back(&keys).await {
            tracing::warn!(error = %error, receipts = keys.len(), "parked receipts are left to the sweep");
        }
    }

    /// A step failed for all of these receipts.
    pub(super) async fn fail(&self, tickets: Vec<Ticket>, error: &DbError) {
        tracing::error!(error = %error, error.class = error.class.as_str(), receipts = tickets.len(),
            "receipts could not be worked on");
        let now = self.clock.now();
        for ticket in tickets {
            if let Some(settlement) = retry::after_failure(&ticket.key, ticket.attempts, error, now) {
                self.settler.settle(settlement, ticket).await;
            }
        }
    }
}

/// The facts of one receipt by part, in the order in which the parts come up.
fn works(facts: Facts, streams: Vec<StreamId>, parts: u32) -> Vec<Work> {
    let account = |(fact, stream): (AccountFact, StreamId)| Step::Account {
        stream,
        fact: Box::new(fact),
    };
    let accounts = facts.accounts.into_iter().zip(streams).map(account);
    let objects = facts.objects.into_iter().map(|observation| Step::Object {
        stream: StreamId::of_object(&observation.id),
        observation: Box::new(observation),
    });
    let mut works: Vec<Work> = Vec::with_capacity(1);
    for step in accounts.chain(objects) {
        let part = part_of(step.stream(), parts);
        match works.iter_mut().find(|work| work.part == part) {
            Some(work) => work.steps.push(step),
            None => works.push(Work {
                part,
                steps: vec![step],
                fetches: Vec::new(),
            }),
        }
    }
    if let Some(first) = works.first_mut() {
        first.fetches = facts.fetches;
    }
    works
}
