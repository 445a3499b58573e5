//! What people ask of accounts: open one for a tenant, link its Stripe customer, give an unassigned one to a tenant.
//!
//! Flow of each: claim in the directory, read the stream, decide, append under the caller's key; on a conflict read
//! and decide again. Everything is safe to repeat: claims are found again, a decision that changes nothing records
//! nothing, and the key makes one command one effect.

use std::collections::BTreeMap;

use aggregates::ids::{CustomerId, StreamId, TenantId};
use aggregates::money::Currency;
use aggregates::partition::part_of;
use aggregates::recorded::Actor;
use aggregates::subscription::{
    self, AccountState, Decision, NoPlans, Rejection, SubscriptionCommand, SubscriptionEvent,
};
use projections::db::{Db, DbError};

use super::account_log::{self, Cause, Loaded};
use super::findings::Finding;
use super::links::{Hint, Links, stream};
use crate::clock::Clock;
use crate::directory::{Claim, Directory, Kind};
use crate::ledger::{self, ApiClaim, Item, LedgerError, Mark, Outcome, SideRow, StreamAppend};

/// Conflicts with other writers after which a command is given back to its caller.
const TRIES: u32 = 5;

/// Entries of a tenant's metadata.
pub const METADATA_ENTRIES_MAX: usize = 50;
/// Characters of each key and value of it.
pub const METADATA_CHARS_MAX: usize = 500;
/// Characters of a name or an address.
pub const TEXT_CHARS_MAX: usize = 255;

/// Who asks, and under which key the effect happens once.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Recorded on every event.
    pub actor: Actor,
    /// Key of the effect; `source` names who gives the keys, for instance `api:<scope>`.
    pub mark: Mark,
    /// What the events belong to, for instance the request's id.
    pub correlation_id: String,
    /// The claim on an Idempotency-Key, when the caller sent one.
    pub api: Option<ApiClaim>,
}

/// What a tenant's account is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantAccount {
    /// The tenant.
    pub tenant: TenantId,
    /// Display name.
    pub name: Option<String>,
    /// Contact address.
    pub email: Option<String>,
    /// The currency it is to be billed in.
    pub currency: Option<Currency>,
    /// Its customer at Stripe, if there is one already.
    pub stripe_customer: Option<CustomerId>,
    /// The caller's own words about it, at most 50 keys of 500 characters.
    pub metadata: BTreeMap<String, String>,
}

/// How the account stands after a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountStanding {
    /// Its stream.
    pub stream: StreamId,
    /// The stream's partition.
    pub part: u32,
    /// Last event of the stream.
    pub sequence: u64,
    /// Position of the last event recorded now; none when nothing was to be recorded.
    pub position: Option<u64>,
    /// It was opened now.
    pub created: bool,
    /// The key had been used for this very request before.
    pub replayed: bool,
}

/// Why an account was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AccountError {
    /// The domain refuses.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// No account is known for the customer.
    #[error("no account is known for the Stripe customer {0}; wait for its first webhook or open a tenant with it")]
    UnknownCustomer(CustomerId),
    /// The key belongs to another request.
    #[error("this key was used for another request; use a new one")]
    KeyReused,
    /// Others changed the account all the while.
    #[error("the account was changed by others all the while; send the request again")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DbError),
}

/// Commands to accounts. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    db: Db,
    links: Links,
    clock: Clock,
}

impl Accounts {
    /// Of this ledger.
    #[must_use]
    pub const fn new(db: Db, directory: Directory, clock: Clock) -> Self {
        Self {
            db,
            links: Links::new(directory),
            clock,
        }
    }

    /// Opens the account of a tenant, links its customer, keeps what it says about itself. Repeating it changes
    /// nothing but the words.
    pub async fn open(&self, caller: &Caller, wanted: &TenantAccount) -> Result<AccountStanding, AccountError> {
        let tenant = &wanted.tenant;
        let own = StreamId::of_tenant(tenant);
        let claim = Claim::new(Kind::Tenant, tenant.as_str(), own.as_str());
        let holders = self.links.claim(vec![claim]).await?;
        let held = stream(holders.values().next().map_or(own.as_str(), String::as_str))?;
        let account = match &wanted.stripe_customer {
            Some(customer) => self.link(tenant, held, customer).await?,
            None => held,
        };
        let mut commands = vec![SubscriptionCommand::OpenAccount {
            tenant: Some(tenant.clone()),
            currency: wanted.currency,
        }];
        commands.extend(
            wanted
                .stripe_customer
                .clone()
                .map(|customer| SubscriptionCommand::LinkCustomer { customer }),
        );
        let profile = SideRow::TenantProfile {
            tenant: tenant.clone(),
            stream: account.clone(),
            name: wanted.name.clone(),
            email: wanted.email.clone(),
            currency: wanted.currency.map(|currency| currency.to_string()),
            metadata: serde_json::to_string(&wanted.metadata).map_err(|error| DbError::bug(error.to_string()))?,
        };
        self.execute(caller, account, &commands, vec![profile]).await
    }

    /// Gives the account of a customer to a tenant. The stream stays, the directory gains the tenant.
    pub async fn assign(
        &self,
        caller: &Caller,
        customer: &CustomerId,
        tenant: &TenantId,
        reason: &str,
    ) -> Result<AccountStanding, AccountError> {
        let found = self.links.find(&[(Kind::Customer, customer.to_string())]).await?;
        let Some(entry) = found.first() else {
            return Err(AccountError::UnknownCustomer(customer.clone()));
        };
        let account = stream(&entry.value)?;
        self.give(&account, tenant, Some(customer)).await?;
        let command = SubscriptionCommand::AssignTenant {
            tenant: tenant.clone(),
            reason: Some(reason.to_owned()),
        };
        self.execute(caller, account, &[command], Vec::new()).await
    }

    /// The stream of a tenant, claimed for it if nobody has heard of it.
    pub async fn register(&self, tenant: &TenantId) -> Result<StreamId, DbError> {
        let own = StreamId::of_tenant(tenant);
        let claim = Claim::new(Kind::Tenant, tenant.as_str(), own.as_str());
        let holders = self.links.claim(vec![claim]).await?;
        stream(holders.values().next().map_or(own.as_str(), String::as_str))
    }

    /// The stream a tenant's account is in once this customer is linked to it.
    async fn link(&self, tenant: &TenantId, held: StreamId, customer: &CustomerId) -> Result<StreamId, AccountError> {
        let refused = |linked_to: String| {
            AccountError::Rejected(Rejection::TenantAlreadyLinked {
                tenant: tenant.clone(),
                linked_to,
            })
        };
        let found = self.links.find(&[(Kind::Customer, customer.to_string())]).await?;
        if let Some(entry) = found.first() {
            let account = stream(&entry.value)?;
            if account != held {
                self.give(&account, tenant, Some(customer)).await?;
            }
            return Ok(account);
        }
        // A customer nobody has heard of: it can only become that of the tenant's own stream.
        if held != StreamId::of_tenant(tenant) || !self.links.is_customer_of(&held, customer).await? {
            return Err(refused(held.to_string()));
        }
        let claim = Claim::new(Kind::Customer, customer.as_str(), held.as_str());
        let holders = self.links.claim(vec![claim]).await?;
        match holders.values().next() {
            Some(other) if other != held.as_str() => Err(refused(other.clone())),
            Some(_) | None => Ok(held),
        }
    }

    async fn give(
        &self,
        account: &StreamId,
        tenant: &TenantId,
        customer: Option<&CustomerId>,
    ) -> Result<(), AccountError> {
        if *account == StreamId::of_tenant(tenant) {
            return Ok(());
        }
        let hint = Hint {
            stream: account.clone(),
            tenant: tenant.clone(),
            customer: customer.cloned(),
        };
        let linked_to = match self.links.assign(vec![hint]).await?.pop() {
            Some((_, Err(Finding::TenantAlreadyLinked { linked_to, .. }))) => linked_to.to_string(),
            Some((_, Err(Finding::TenantMismatch { known, .. }))) => known,
            Some((_, Ok(()) | Err(Finding::WrongMode { .. } | Finding::ExtractionConflict { .. }))) | None => {
                return Ok(());
            }
        };
        Err(AccountError::Rejected(Rejection::TenantAlreadyLinked {
            tenant: tenant.clone(),
            linked_to,
        }))
    }

    /// Reads, decides, appends; again when somebody else was first.
    async fn execute(
        &self,
        caller: &Caller,
        account: StreamId,
        commands: &[SubscriptionCommand],
        sides: Vec<SideRow>,
    ) -> Result<AccountStanding, AccountError> {
        let part = part_of(&account, self.db.parts());
        for _ in 0..TRIES {
            let Loaded {
                mut state,
                sequence: loaded,
                ..
            } = account_log::read(&self.db, part, &account).await?;
            let mut events = Vec::new();
            for command in commands {
                if let Decision::Record { events: decided, .. } = subscription::decide(&state, command, &NoPlans)? {
                    for event in decided {
                        state.evolve(&event);
                        events.push(event);
                    }
                }
            }
            let mut standing = AccountStanding {
                stream: account.clone(),
                part,
                sequence: loaded + u64::try_from(events.len()).unwrap_or_default(),
                position: None,
                created: loaded == 0 && !events.is_empty(),
                replayed: false,
            };
            let item = self.item(caller, &standing, &state, loaded, events, sides.clone())?;
            let outcome = match ledger::append(&self.db, part, vec![item], self.clock.now()).await {
                Ok(outcomes) => outcomes.into_iter().next(),
                Err(LedgerError::Conflict) => continue,
                Err(LedgerError::Db(error)) => return Err(error.into()),
                Err(LedgerError::Refused(rule)) => {
                    return Err(DbError::bug(format!("an append must not {rule}")).into());
                }
            };
            match outcome {
                Some(Outcome::Appended { last_position, .. }) => standing.position = Some(last_position),
                Some(Outcome::NoChange) => {}
                Some(Outcome::Replayed(mark)) => {
                    standing.sequence = loaded;
                    standing.position = mark.positions.map(|(_, last)| last);
                    standing.created = false;
                    standing.replayed = true;
                }
                Some(Outcome::KeyReused) => return Err(AccountError::KeyReused),
                Some(Outcome::Undone) | None => return Err(DbError::bug("a lone item was left undone").into()),
            }
            return Ok(standing);
        }
        Err(AccountError::Busy)
    }

    fn item(
        &self,
        caller: &Caller,
        standing: &AccountStanding,
        state: &AccountState,
        loaded: u64,
        events: Vec<SubscriptionEvent>,
        sides: Vec<SideRow>,
    ) -> Result<Item, AccountError> {
        let cause = Cause {
            actor: caller.actor.clone(),
            causation_id: &caller.mark.key,
            correlation_id: &caller.correlation_id,
            at: self.clock.now(),
        };
        let events = cause.write(events)?;
        let append = StreamAppend {
            aggregate_type: subscription::AGGREGATE_TYPE,
            stream: standing.stream.clone(),
            tenant: state.account.tenant.clone(),
            expected_sequence: loaded,
            events,
        };
        Ok(Item {
            appends: vec![append],
            api: caller.api.clone(),
            sides,
            ..Item::new(caller.mark.clone())
        })
    }
}
