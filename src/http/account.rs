//! Which account a request speaks of: from the tenant or customer in the path to its stream.
//!
//! Names are kept in memory. A customer's stream never changes, nor does a tenant's once a Stripe customer belongs to
//! it; until then the tenant's own stream may yield to that of a customer, so such a name is looked up again soon.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use aggregates::ids::StreamId;
use aggregates::partition::part_of;
use projections::db::DbError;
use projections::query::QueryError;

use super::guard::{AccountRef, Caller};
use super::problem::{Answer, Problem};
use super::state::Service;
use crate::auth::Kind as CallerKind;
use crate::directory::{Directory, Kind};

/// Names kept, at some 200 bytes each; all are forgotten when there are more, which costs one look-up each.
const NAMES_MAX: usize = 50_000;
/// How long a name is believed whose stream may still change: no longer than views may lag.
const UNSETTLED_FOR: Duration = Duration::from_secs(1);

/// An account and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its stream.
    pub stream: StreamId,
    /// The stream's partition.
    pub part: u32,
}

struct Kept {
    account: Account,
    /// Believed until then; none: for ever.
    until: Option<Instant>,
}

/// The directory, with names kept in memory.
pub struct Finder {
    directory: Directory,
    parts: u32,
    names: RwLock<HashMap<AccountRef, Kept>>,
}

impl Finder {
    /// Over a ledger of so many partitions.
    #[must_use]
    pub fn new(directory: Directory, parts: u32) -> Self {
        Self {
            directory,
            parts,
            names: RwLock::default(),
        }
    }

    /// The account of this name; none: nobody has heard of it.
    pub async fn find(&self, name: &AccountRef) -> Result<Option<Account>, DbError> {
        if let Some(account) = self.kept(name) {
            return Ok(Some(account));
        }
        let Some((account, settled)) = self.look_up(name).await? else {
            return Ok(None);
        };
        let kept = Kept {
            account: account.clone(),
            until: (!settled).then(|| Instant::now() + UNSETTLED_FOR),
        };
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(name.clone(), kept);
        Ok(Some(account))
    }

    /// Looks the name up again next time: it was given another account.
    pub fn forget(&self, name: &AccountRef) {
        self.names.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    fn kept(&self, name: &AccountRef) -> Option<Account> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let kept = names.get(name)?;
        let believed = kept.until.is_none_or(|until| Instant::now() < until);
        believed.then(|| kept.account.clone())
    }

    /// The account, and whether its name will mean this stream for ever.
    async fn look_up(&self, name: &AccountRef) -> Result<Option<(Account, bool)>, DbError> {
        let (asked, own) = match name {
            AccountRef::Customer(customer) => ((Kind::Customer, customer.to_string()), None),
            AccountRef::Tenant(tenant) => ((Kind::Tenant, tenant.to_string()), Some(StreamId::of_tenant(tenant))),
        };
        let mut keys = vec![asked.clone()];
        keys.extend(own.iter().map(|own| (Kind::CustomerOf, own.to_string())));
        let found = self.directory.find(&keys).await?;
        let of = |kind: Kind| found.iter().find(|entry| entry.kind == kind);
        let Some(entry) = of(asked.0) else {
            return Ok(None);
        };
        let stream = StreamId::parse(&entry.value)
            .map_err(|error| DbError::bug(format!("the directory holds no stream id: {error}")))?;
        let settled = match (own, of(Kind::CustomerOf)) {
            (Some(own), Some(customer)) if own == stream => self.is_stream_of(&customer.value, &own).await?,
            (Some(own), None) => own != stream,
            (Some(_), Some(_)) | (None, _) => true,
        };
        let part = part_of(&stream, self.parts);
        Ok(Some((Account { stream, part }, settled)))
    }

    async fn is_stream_of(&self, customer: &str, stream: &StreamId) -> Result<bool, DbError> {
        let found = self.directory.find(&[(Kind::Customer, customer.to_owned())]).await?;
        Ok(found.first().is_some_and(|entry| entry.value == stream.as_str()))
    }
}

/// The account a request speaks of. A valid portal token vouches for its tenant: one that was never seen has the
/// account it would get, with nothing in it. To keys, an unknown account is not there.
pub async fn asked(service: &Service, name: &AccountRef, caller: &Caller) -> Answer<Account> {
    let found = service.finder().find(name).await.map_err(Problem::store)?;
    match (found, name, &caller.0.kind) {
        (Some(account), ..) => Ok(account),
        (None, AccountRef::Tenant(tenant), CallerKind::Portal { .. }) => {
            let stream = StreamId::of_tenant(tenant);
            let part = part_of(&stream, service.db.parts());
            Ok(Account { stream, part })
        }
        (None, AccountRef::Customer(_), CallerKind::Portal { .. })
        | (None, _, CallerKind::Key { .. } | CallerKind::Operator) => Err(Problem::not_found()),
    }
}

/// Every stream that facts of an account may lie in: the one its name leads to now, and the one it led to before the
/// account had both a tenant and a customer.
pub async fn streams_of(service: &Service, name: &AccountRef) -> Answer<Vec<StreamId>> {
    let own = match name {
        AccountRef::Tenant(tenant) => StreamId::of_tenant(tenant),
        AccountRef::Customer(customer) => StreamId::of_customer(customer),
    };
    let found = service.finder().find(name).await.map_err(Problem::store)?;
    let led_to = found.map(|account| account.stream).filter(|stream| *stream != own);
    Ok(std::iter::once(own).chain(led_to).collect())
}

/// What a view could not answer.
#[must_use]
pub fn unanswered(error: QueryError) -> Problem {
    match error {
        QueryError::Store(error) => Problem::store(error),
        QueryError::Row(_) | QueryError::Event(_) => Problem::internal(error),
    }
}
