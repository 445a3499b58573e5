//! The gateway to Stripe, and the workers that use it: only with a key.

use std::sync::Arc;

use projections::db::Db;
use tokio::sync::{Notify, watch};

use super::AppError;
use super::loops::Loops;
use crate::clock::Clock;
use crate::config::Config;
use crate::directory::Directory;
use crate::inbox::{ReceiptStore, Receiver};
use crate::plans::registry::Registry;
use crate::process::stripe_calls::{Parts as CallParts, StripeCalls};
use crate::process::stripe_reads::{CATCH_UP_EVERY, Parts, StripeReads};
use crate::stripe::client::{ClientError, StripeClient};
use crate::stripe::gateway::retry::{Dice, Sender};

/// Parts held, with their fences.
type Leases = watch::Receiver<std::collections::BTreeMap<u32, u64>>;

/// Stripe as configured; none without a key.
pub fn stripe_client(config: &Config, clock: &Clock) -> Result<Option<Arc<StripeClient>>, ClientError> {
    let stripe = &config.stripe;
    let made = stripe.secret_key.clone().map(|key| {
        let (base, clock) = (stripe.api_base.clone(), clock.clone());
        StripeClient::new(base, key, stripe.mode, stripe.transport, clock)
    });
    made.transpose()
}

/// What asks Stripe, and has it do things, in the background.
pub(super) struct Asking {
    pub(super) client: Arc<StripeClient>,
    pub(super) reads: StripeReads,
    pub(super) calls: StripeCalls,
}

impl Asking {
    /// Starts it on the thread of the loops; nothing without a key: what needs an answer waits in the outbox.
    pub(super) async fn start(
        client: Option<Arc<StripeClient>>,
        clock: &Clock,
        db: &Db,
        (receipts, receiver): (&ReceiptStore, &Receiver),
        (plans, woken): (&Registry, &Arc<Notify>),
        leases: Leases,
        loops: &Loops,
    ) -> Result<Option<Self>, AppError> {
        let Some(client) = client else {
            tracing::info!("no key for Stripe is set: what only Stripe can answer or do waits");
            return Ok(None);
        };
        let calling = CallParts {
            db: db.clone(),
            directory: Directory::new(db.clone(), clock.clone()),
            sender: Sender::system(Arc::<StripeClient>::clone(&client), clock.clone()),
            leases: leases.clone(),
            clock: clock.clone(),
            plans: plans.clone(),
            woken: Arc::clone(woken),
        };
        let parts = Parts {
            db: db.clone(),
            receipts: receipts.clone(),
            receiver: receiver.clone(),
            gateway: Arc::<StripeClient>::clone(&client),
            client: Some(Arc::clone(&client)),
            leases,
            clock: clock.clone(),
            dice: Dice::system(),
            catch_up_every: CATCH_UP_EVERY,
        };
        let reads = loops.run(async move { StripeReads::start(parts) }).await?;
        let calls = loops.run(async move { StripeCalls::start(calling) }).await?;
        Ok(Some(Self { client, reads, calls }))
    }
}
