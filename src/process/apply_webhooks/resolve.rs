//! Which stream a fact belongs to, without a call to Stripe (docs/architecture.md, the webhook's walk).
//!
//! By the customer; else by the tenant hint on the object; else by what the object points at, and while none of that
//! is known the receipt waits for it by name. Everything is claimed in the directory before anything is recorded, in
//! rounds over a whole batch. Each claim is made once and by whoever is first, so two processes cannot give one
//! customer two streams, or one tenant's stream two customers; a crash between rounds leaves claims that the next try
//! uses.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aggregates::ids::{CustomerId, StreamId, TenantId};
use moka::sync::Cache;
use projections::db::DbError;

use crate::directory::{Claim, Directory, Kind};
use crate::process::findings::Findings;
use crate::process::links::{Hint, Links, stream};
use crate::stripe::translate::{Facts, Owner, Target};

/// Answers of the directory kept at hand: none of them ever changes but by a move that is seen at the next append.
const CACHED_MAX: u64 = 50_000;

/// Streams for the facts of a batch, and what could not be placed.
pub(super) struct Resolver {
    links: Links,
    findings: Findings,
    customers: Cache<CustomerId, StreamId>,
    /// Tenants whose directory entry was seen to point at this stream.
    tenants: Cache<TenantId, StreamId>,
    names: Cache<Target, StreamId>,
}

/// Where the facts of one receipt belong.
pub(super) enum Resolved {
    /// One stream for each account fact, in order.
    Placed(Vec<StreamId>),
    /// Nothing it points at is known yet; it waits for this.
    Waits(Target),
}

type Pairs = BTreeMap<CustomerId, Option<TenantId>>;

/// What one batch knows. The caches may let go of an entry at any moment, and take none of a stranger when they are
/// full; what was learnt for a batch must last until it is placed.
#[derive(Default)]
struct Known {
    customers: HashMap<CustomerId, StreamId>,
    tenants: HashMap<TenantId, StreamId>,
    names: HashMap<Target, StreamId>,
}

impl Known {
    fn by_owner(&self, owner: &Owner) -> Option<&StreamId> {
        match &owner.customer {
            Some(customer) => self.customers.get(customer),
            None => owner.targets.iter().find_map(|target| self.names.get(target)),
        }
    }

    fn place(&self, facts: &Facts) -> Result<Resolved, DbError> {
        let mut streams = Vec::with_capacity(facts.accounts.len());
        for fact in &facts.accounts {
            let hint = fact.observation.tenant_hint.as_ref();
            let found = self.by_owner(&fact.owner).or_else(|| self.tenants.get(hint?));
            match (found, fact.owner.targets.first()) {
                (Some(stream), _) => streams.push(stream.clone()),
                (None, Some(target)) => return Ok(Resolved::Waits(target.clone())),
                (None, None) => return Err(DbError::bug("a fact names neither customer, tenant nor target")),
            }
        }
        Ok(Resolved::Placed(streams))
    }
}

impl Resolver {
    pub(super) fn new(directory: Directory, findings: Findings) -> Self {
        Self::keeping(CACHED_MAX, directory, findings)
    }

    fn keeping(cached_max: u64, directory: Directory, findings: Findings) -> Self {
        Self {
            links: Links::new(directory),
            findings,
            customers: Cache::new(cached_max),
            tenants: Cache::new(cached_max),
            names: Cache::new(cached_max),
        }
    }

    /// Finds or makes the streams of a batch, takes out tenant hints that may not be followed, and claims what later
    /// receipts will point at. Gives one answer a receipt, and the names that are known from now on.
    pub(super) async fn resolve(&self, batch: &mut [Facts]) -> Result<(Vec<Resolved>, Vec<Target>), DbError> {
        let mut known = Known::default();
        self.learn_customers(batch, &mut known).await?;
        self.learn_targets(batch, &mut known).await?;
        self.learn_tenants(batch, &mut known).await?;
        let resolved = batch
            .iter()
            .map(|facts| known.place(facts))
            .collect::<Result<Vec<_>, _>>()?;
        self.assign(batch, &resolved).await?;
        let claimed = self.claim_names(batch, &resolved, &known).await?;
        Ok((resolved, claimed))
    }

    /// Every customer of the batch has a stream afterwards.
    async fn learn_customers(&self, batch: &[Facts], known: &mut Known) -> Result<(), DbError> {
        let mut unknown = Pairs::new();
        for facts in batch {
            let hinted = facts
                .accounts
                .iter()
                .map(|fact| (&fact.owner, fact.observation.tenant_hint.as_ref()));
            for (owner, hint) in hinted.chain(facts.links.iter().map(|link| (&link.owner, None))) {
                let Some(customer) = &owner.customer else { continue };
                if known.customers.contains_key(customer) {
                    continue;
                }
                if let Some(stream) = self.customers.get(customer) {
                    known.customers.insert(customer.clone(), stream);
                    continue;
                }
                let hinted = unknown.entry(customer.clone()).or_default();
                *hinted = hinted.take().or_else(|| hint.cloned());
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = unknown
            .keys()
            .map(|customer| (Kind::Customer, customer.to_string()))
            .collect();
        for entry in self.links.find(&keys).await? {
            let Ok(customer) = CustomerId::parse(&entry.key) else {
                continue;
            };
            unknown.remove(&customer);
            self.keep_customer(known, customer, stream(&entry.value)?);
        }
        self.open(unknown, known).await
    }

    /// New customers: their streams are claimed, named after the tenant where a hint says so and the tenant's stream
    /// has no other customer.
    async fn open(&self, unknown: Pairs, known: &mut Known) -> Result<(), DbError> {
        if unknown.is_empty() {
            return Ok(());
        }
        let hinted: Vec<(&CustomerId, &TenantId)> = unknown
            .iter()
            .filter_map(|(customer, hint)| Some((customer, hint.as_ref()?)))
            .collect();
        let own = |tenant: &TenantId| StreamId::of_tenant(tenant);
        let claims = hinted
            .iter()
            .map(|(_, tenant)| Claim::new(Kind::Tenant, tenant.as_str(), own(tenant).as_str()));
        let holders = self.links.claim(claims.collect()).await?;
        let mut wanted: BTreeMap<&CustomerId, StreamId> = BTreeMap::new();
        let mut claims = Vec::new();
        for (customer, tenant) in &hinted {
            let held = holders.get(&(Kind::Tenant, tenant.to_string()));
            // Only a tenant's own stream can still be without a customer.
            if held.is_some_and(|held| held == own(tenant).as_str()) {
                claims.push(Claim::new(Kind::CustomerOf, own(tenant).as_str(), customer.as_str()));
                wanted.insert(customer, own(tenant));
            }
        }
        let holders = self.links.claim(claims).await?;
        let has = |stream: &StreamId| holders.get(&(Kind::CustomerOf, stream.to_string()));
        wanted.retain(|customer, stream| has(stream).is_some_and(|has| has == customer.as_str()));
        let stream_of = |customer: &CustomerId| {
            wanted
                .get(customer)
                .cloned()
                .unwrap_or_else(|| StreamId::of_customer(customer))
        };
        let claims = unknown
            .keys()
            .map(|customer| Claim::new(Kind::Customer, customer.as_str(), stream_of(customer).as_str()));
        for ((_, customer), held) in self.links.claim(claims.collect()).await? {
            let customer = CustomerId::parse(&customer).map_err(|error| DbError::bug(error.to_string()))?;
            self.keep_customer(known, customer, stream(&held)?);
        }
        Ok(())
    }

    fn keep_customer(&self, known: &mut Known, customer: CustomerId, stream: StreamId) {
        self.customers.insert(customer.clone(), stream.clone());
        known.customers.insert(customer, stream);
    }

    /// Looks up what facts without a customer point at.
    async fn learn_targets(&self, batch: &[Facts], known: &mut Known) -> Result<(), DbError> {
        let owners = batch
            .iter()
            .flat_map(|facts| facts.accounts.iter().map(|fact| &fact.owner));
        let pointed_at: BTreeSet<&Target> = owners
            .filter(|owner| owner.customer.is_none())
            .flat_map(|owner| &owner.targets)
            .collect();
        let mut wanted = Vec::new();
        for target in pointed_at {
            match self.names.get(target) {
                Some(stream) => {
                    known.names.insert(target.clone(), stream);
                }
                None => wanted.push(target),
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = wanted
            .iter()
            .map(|target| (kind(target), target.key().to_owned()))
            .collect();
        let found: BTreeMap<(Kind, String), String> = self
            .links
            .find(&keys)
            .await?
            .into_iter()
            .map(|entry| ((entry.kind, entry.key), entry.value))
            .collect();
        for target in wanted {
            if let Some(held) = found.get(&(kind(target), target.key().to_owned())) {
                let held = stream(held)?;
                self.names.insert(target.clone(), held.clone());
                known.names.insert(target.clone(), held);
            }
        }
        Ok(())
    }

    /// Facts that name a tenant and nothing else go to the tenant's stream, which is claimed if it is new.
    async fn learn_tenants(&self, batch: &[Facts], known: &mut Known) -> Result<(), DbError> {
        let facts = batch.iter().flat_map(|facts| &facts.accounts);
        let hinted: BTreeSet<&TenantId> = facts
            .filter(|fact| known.by_owner(&fact.owner).is_none())
            .filter_map(|fact| fact.observation.tenant_hint.as_ref())
            .collect();
        let mut tenants = Vec::new();
        for tenant in hinted {
            match self.tenants.get(tenant) {
                Some(stream) => {
                    known.tenants.insert(tenant.clone(), stream);
                }
                None => tenants.push(tenant),
            }
        }
        let claims = tenants
            .iter()
            .map(|tenant| Claim::new(Kind::Tenant, tenant.as_str(), StreamId::of_tenant(tenant).as_str()));
        let holders = self.links.claim(claims.collect()).await?;
        for tenant in tenants {
            if let Some(held) = holders.get(&(Kind::Tenant, tenant.to_string())) {
                let held = stream(held)?;
                self.tenants.insert(tenant.clone(), held.clone());
                known.tenants.insert(tenant.clone(), held);
            }
        }
        Ok(())
    }

    /// Follows tenant hints as far as the directory allows; the others are taken out of the facts and reported.
    async fn assign(&self, batch: &mut [Facts], resolved: &[Resolved]) -> Result<(), DbError> {
        let mut hints: BTreeMap<(StreamId, TenantId), Option<CustomerId>> = BTreeMap::new();
        for_each_hint(batch, resolved, |stream, fact| {
            if let Some(tenant) = &fact.observation.tenant_hint
                && !self.is_assigned(stream, tenant)
            {
                hints.insert((stream.clone(), tenant.clone()), fact.owner.customer.clone());
            }
            true
        });
        if hints.is_empty() {
            return Ok(());
        }
        let hints = hints.into_iter().map(|((stream, tenant), customer)| Hint {
            stream,
            tenant,
            customer,
        });
        let mut refused = BTreeSet::new();
        for (hint, answer) in self.links.assign(hints.collect()).await? {
            match answer {
                Ok(()) => self.tenants.insert(hint.tenant, hint.stream),
                Err(finding) => {
                    self.findings.raise(&finding);
                    refused.insert((hint.stream, hint.tenant));
                }
            }
        }
        for_each_hint(batch, resolved, |stream, fact| {
            let hint = fact.observation.tenant_hint.clone();
            !hint.is_some_and(|tenant| refused.contains(&(stream.clone(), tenant)))
        });
        Ok(())
    }

    fn is_assigned(&self, stream: &StreamId, tenant: &TenantId) -> bool {
        StreamId::of_tenant(tenant) == *stream || self.tenants.get(tenant).is_some_and(|known| known == *stream)
    }

    /// Claims what the facts name for their streams; gives the names that were not known to be claimed before.
    async fn claim_names(&self, batch: &[Facts], resolved: &[Resolved], known: &Known) -> Result<Vec<Target>, DbError> {
        let mut wanted: BTreeMap<&Target, StreamId> = BTreeMap::new();
        for (facts, resolved) in batch.iter().zip(resolved) {
            if let Resolved::Placed(streams) = resolved {
                for (fact, stream) in facts.accounts.iter().zip(streams) {
                    wanted.extend(fact.names.iter().map(|name| (name, stream.clone())));
                }
            }
            for link in &facts.links {
                if let Some(stream) = known.by_owner(&link.owner) {
                    wanted.extend(link.names.iter().map(|name| (name, stream.clone())));
                }
            }
        }
        wanted.retain(|name, _| !self.names.contains_key(*name));
        let claims = wanted
            .iter()
            .map(|(name, stream)| Claim::new(kind(name), name.key(), stream.as_str()));
        let holders = self.links.claim(claims.collect()).await?;
        let mut claimed = Vec::with_capacity(wanted.len());
        for (name, _) in wanted {
            if let Some(held) = holders.get(&(kind(name), name.key().to_owned())) {
                self.names.insert(name.clone(), stream(held)?);
                claimed.push(name.clone());
            }
        }
        Ok(claimed)
    }
}

/// Visits every placed fact; where `keep` says no, its tenant hint is taken out.
fn for_each_hint(
    batch: &mut [Facts],
    resolved: &[Resolved],
    mut keep: impl FnMut(&StreamId, &crate::stripe::translate::AccountFact) -> bool,
) {
    for (facts, resolved) in batch.iter_mut().zip(resolved) {
        let Resolved::Placed(streams) = resolved else { continue };
        for (fact, stream) in facts.accounts.iter_mut().zip(streams) {
            if !keep(stream, fact) {
                fact.observation.tenant_hint = None;
            }
        }
    }
}

const fn kind(target: &Target) -> Kind {
    match target {
        Target::Charge(_) => Kind::Charge,
        Target::PaymentIntent(_) => Kind::PaymentIntent,
        Target::Invoice(_) => Kind::Invoice,
    }
}

#[cfg(test)]
mod tests {
    use aggregates::facts::PaymentMethodSnapshot;
    use aggregates::ids::{ChargeId, PaymentMethodId};
    use aggregates::observation::{Observation, Observed};
    use aggregates::snapshot::{Rank, Seen};
    use aggregates::time::Timestamp;
    use projections::db::{Db, DbConfig};

    use super::*;
    use crate::clock::Clock;
    use crate::stripe::translate::AccountFact;

    fn fact(owner: Owner, names: Vec<Target>) -> Facts {
        let seen = Seen {
            as_of: Timestamp::EPOCH,
            rank: Rank::Updated,
            before: None,
            notice: None,
        };
        let object = Observed::PaymentMethod {
            method: PaymentMethodId::parse("pm_1").unwrap(),
            snapshot: PaymentMethodSnapshot {
                attached: true,
                kind: "card".into(),
                brand: None,
                last4: None,
                exp_month: None,
                exp_year: None,
            },
        };
        Facts {
            accounts: vec![AccountFact {
                owner,
                names,
                contact: Vec::new(),
                observation: Observation {
                    seen,
                    tenant_hint: None,
                    echo: None,
                    object,
                },
            }],
            ..Facts::default()
        }
    }

    fn customer(n: usize) -> CustomerId {
        CustomerId::parse(&format!("cus_{n}")).unwrap()
    }

    fn charge(n: usize) -> Target {
        Target::Charge(ChargeId::parse(&format!("ch_{n}")).unwrap())
    }

    /// Far more customers than the caches keep: the caches refuse the newcomers, the batch must not lose them.
    #[tokio::test]
    async fn a_batch_is_placed_whole_however_little_the_caches_keep() {
        const CUSTOMERS: usize = 1_024;
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("ledger.db").display());
        let db = Db::open(&DbConfig::new(&url, Timestamp::EPOCH)).await.unwrap();
        let directory = Directory::new(db.clone(), Clock::from_fn(|| Timestamp::EPOCH));
        let resolver = Resolver::keeping(8, directory, Findings::default());
        for round in 0..2 {
            let mut batch: Vec<Facts> = (0..CUSTOMERS)
                .map(|n| {
                    let owner = Owner {
                        customer: Some(customer(n)),
                        targets: Vec::new(),
                    };
                    fact(owner, vec![charge(n)])
                })
                .collect();
            let (resolved, _) = resolver.resolve(&mut batch).await.expect("every customer has a stream");
            let placed = resolved.iter().enumerate().filter(|(n, resolved)| {
                matches!(resolved, Resolved::Placed(streams)
                    if streams.as_slice() == [StreamId::of_customer(&customer(*n))])
            });
            assert_eq!(placed.count(), CUSTOMERS, "round {round}");
        }
        let mut pointing: Vec<Facts> = (0..CUSTOMERS)
            .map(|n| {
                let owner = Owner {
                    customer: None,
                    targets: vec![charge(n)],
                };
                fact(owner, Vec::new())
            })
            .collect();
        let (resolved, _) = resolver.resolve(&mut pointing).await.expect("every charge is known");
        let waiting = resolved.iter().filter(|it| matches!(it, Resolved::Waits(_))).count();
        assert_eq!(waiting, 0, "receipts wait for a charge whose account is known");
        db.close().await;
    }
}
