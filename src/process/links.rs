//! Who belongs to whom: the protocol of claims behind "one customer, one stream; one tenant, one account".
//!
//! Every claim is made once, by whoever is first, so it holds between processes: the stream of a customer
//! (`Customer`), the account of a tenant (`Tenant`), the customer a tenant's own stream has or has yielded to
//! (`CustomerOf`), and the tenant a customer's stream was given (`TenantOf`).

use std::collections::BTreeMap;

use aggregates::ids::{CustomerId, StreamId, TenantId};
use projections::db::DbError;

use super::findings::Finding;
use crate::directory::{Claim, Directory, Entry, Kind};

/// Who holds what, by kind and key.
pub(super) type Holders = BTreeMap<(Kind, String), String>;

/// A stream that is to get a tenant.
#[derive(Clone, Debug)]
pub(super) struct Hint {
    /// The stream.
    pub(super) stream: StreamId,
    /// The tenant.
    pub(super) tenant: TenantId,
    /// The stream's customer, if it has one.
    pub(super) customer: Option<CustomerId>,
}

/// The directory, by the rules above. Cheap to clone.
#[derive(Clone)]
pub(super) struct Links {
    directory: Directory,
}

impl Links {
    pub(super) const fn new(directory: Directory) -> Self {
        Self { directory }
    }

    /// Looks entries up; unknown ones are left out.
    pub(super) async fn find(&self, keys: &[(Kind, String)]) -> Result<Vec<Entry>, DbError> {
        self.directory.find(keys).await
    }

    /// Claims in one round; gives who holds each.
    pub(super) async fn claim(&self, claims: Vec<Claim>) -> Result<Holders, DbError> {
        if claims.is_empty() {
            return Ok(Holders::new());
        }
        let held = self.directory.claim(claims).await?;
        Ok(held
            .into_iter()
            .map(|entry| ((entry.kind, entry.key), entry.value))
            .collect())
    }

    /// Gives streams their tenants as far as nobody else has them.
    pub(super) async fn assign(&self, hints: Vec<Hint>) -> Result<Vec<(Hint, Result<(), Finding>)>, DbError> {
        let (owners, refused) = self.own(hints).await?;
        let mut answers: Vec<(Hint, Result<(), Finding>)> = refused
            .into_iter()
            .map(|(hint, finding)| (hint, Err(finding)))
            .collect();
        let claims = owners
            .iter()
            .map(|hint| Claim::new(Kind::Tenant, hint.tenant.as_str(), hint.stream.as_str()));
        let holders = self.claim(claims.collect()).await?;
        for hint in owners {
            let held = holders.get(&(Kind::Tenant, hint.tenant.to_string()));
            let held = stream(held.map_or(hint.stream.as_str(), String::as_str))?;
            let answer = if held == hint.stream || self.take_over(&hint, &held).await? {
                Ok(())
            } else {
                Err(Finding::TenantAlreadyLinked {
                    tenant: hint.tenant.clone(),
                    linked_to: held,
                })
            };
            answers.push((hint, answer));
        }
        Ok(answers)
    }

    /// A stream gets one tenant: claims it for each stream, and refuses hints at others.
    async fn own(&self, hints: Vec<Hint>) -> Result<(Vec<Hint>, Vec<(Hint, Finding)>), DbError> {
        let claims = hints.iter().map(|hint| {
            let own = hint.stream.as_str().strip_prefix("tenant:");
            Claim::new(
                Kind::TenantOf,
                hint.stream.as_str(),
                own.unwrap_or(hint.tenant.as_str()),
            )
        });
        let holders = self.claim(claims.collect()).await?;
        let (mut owners, mut refused) = (Vec::with_capacity(hints.len()), Vec::new());
        for hint in hints {
            let known = holders.get(&(Kind::TenantOf, hint.stream.to_string()));
            let known = known.map_or(hint.tenant.as_str(), String::as_str);
            if known == hint.tenant.as_str() || self.replace_owner(&hint, known).await? {
                owners.push(hint);
                continue;
            }
            let finding = Finding::TenantMismatch {
                stream: hint.stream.clone(),
                known: known.to_owned(),
                hinted: hint.tenant.clone(),
            };
            refused.push((hint, finding));
        }
        Ok((owners, refused))
    }

    /// A claim that came to nothing, because its tenant belongs elsewhere, may be replaced.
    async fn replace_owner(&self, hint: &Hint, known: &str) -> Result<bool, DbError> {
        if hint.stream.as_str().starts_with("tenant:") {
            return Ok(false);
        }
        let keys = [
            (Kind::Tenant, known.to_owned()),
            (Kind::TenantOf, hint.stream.to_string()),
        ];
        let found = self.find(&keys).await?;
        if found
            .iter()
            .any(|entry| entry.kind == Kind::Tenant && entry.value == hint.stream.as_str())
        {
            return Ok(false);
        }
        match found.iter().find(|entry| entry.kind == Kind::TenantOf) {
            Some(claim) => self.directory.change(claim, hint.tenant.as_str()).await,
            None => Ok(false),
        }
    }

    /// A tenant's own stream that has no Stripe customer yields to a stream that has one; it can never get one after.
    async fn take_over(&self, hint: &Hint, held: &StreamId) -> Result<bool, DbError> {
        let own = StreamId::of_tenant(&hint.tenant);
        let Some(customer) = hint.customer.as_ref().filter(|_| *held == own) else {
            return Ok(false);
        };
        if !self.is_customer_of(held, customer).await? {
            return Ok(false);
        }
        let found = self.find(&[(Kind::Tenant, hint.tenant.to_string())]).await?;
        match found.first() {
            Some(entry) if entry.value == hint.stream.as_str() => Ok(true),
            Some(entry) if entry.value == held.as_str() => self.directory.change(entry, hint.stream.as_str()).await,
            Some(_) | None => Ok(false),
        }
    }

    /// Claims a tenant's own stream for a customer; says whether it is this customer's.
    pub(super) async fn is_customer_of(&self, own: &StreamId, customer: &CustomerId) -> Result<bool, DbError> {
        let claim = Claim::new(Kind::CustomerOf, own.as_str(), customer.as_str());
        let holders = self.claim(vec![claim]).await?;
        Ok(holders.values().next().is_some_and(|has| has == customer.as_str()))
    }
}

/// A stream id as the directory holds it.
pub(super) fn stream(text: &str) -> Result<StreamId, DbError> {
    StreamId::parse(text).map_err(|error| DbError::bug(format!("the directory holds no stream id: {error}")))
}
