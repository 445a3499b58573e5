//! What a command's handler is given: who asks, for which account, under which key, and the body.

use std::time::Duration;

use aggregates::ids::{IntentId, TenantId};
use aggregates::subscription::request::{Circumstances, Wish};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::de::DeserializeOwned;

use super::account::{Account, asked};
use super::edge::RequestId;
use super::extract::Body;
use super::guard::{AccountRef, Caller};
use super::idempotency::{Command, Done};
use super::position::{LedgerPosition, preferred_wait};
use super::problem::{Answer, Problem, ProblemKind};
use super::rejections;
use super::resources::commands::CommandAnswer;
use super::resources::standing::Stand;
use super::state::Service;
use crate::auth::Kind;
use crate::ledger::ApiClaim;
use crate::process::accounts::Caller as Asker;
use crate::process::commands::{AskedFor, CommandError, OfAccount, Recorded, VersionCheck};
use crate::stripe::gateway::Gateway;

/// Longest wait of a command for its end.
pub const WAIT_MAX: Duration = Duration::from_secs(10);

/// A request for something at Stripe.
pub struct Act<T> {
    /// The account the path names.
    pub name: AccountRef,
    /// Who asks.
    pub caller: Caller,
    /// Its key and fingerprint.
    pub command: Command,
    /// Its headers.
    pub headers: HeaderMap,
    /// What its events belong to.
    correlation: String,
    /// The body.
    pub body: T,
}

impl<T: DeserializeOwned> FromRequest<Service> for Act<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Service) -> Result<Self, Problem> {
        let missing = || Problem::internal("a command's route has no account or no caller");
        let name = request.extensions().get::<AccountRef>().cloned().ok_or_else(missing)?;
        let caller = request.extensions().get::<Caller>().cloned().ok_or_else(missing)?;
        let id = request.extensions().get::<RequestId>().map(|id| id.as_str().to_owned());
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let headers = request.headers().clone();
        let body = Body::<T>::from_request(request, service).await?;
        let command = Command::of(&caller.0, &method, &uri, &headers, &body.bytes)?;
        command.needs_key()?;
        Ok(Self {
            name,
            caller,
            correlation: id.unwrap_or_else(|| command.id.to_string()),
            command,
            headers,
            body: body.value,
        })
    }
}

/// Stripe, or the problem that it is not configured.
pub fn stripe(service: &Service) -> Answer<&Gateway> {
    service.stripe.as_ref().ok_or_else(|| {
        let detail = "no key for Stripe is set (STRIPE_SECRET_KEY), so nothing can be carried out there";
        Problem::new(ProblemKind::NotConfigured, detail)
    })
}

impl<T: Send + Sync> Act<T> {
    /// It was asked for with a portal token.
    #[must_use]
    pub fn is_portal(&self) -> bool {
        matches!(self.caller.0.kind, Kind::Portal { .. })
    }

    /// Refuses what only keys may set.
    pub fn keys_only(&self, is_set: bool, field: &str) -> Answer<()> {
        if is_set && self.is_portal() {
            let detail = format!("{field} is not for portal tokens; it is the seller's to give");
            return Err(Problem::new(ProblemKind::Forbidden, detail).with("needed", "an API key"));
        }
        Ok(())
    }

    /// The account, which a purchase of a tenant nobody has heard of registers.
    pub async fn account(&self, service: &Service, registers: bool) -> Answer<Account> {
        let account = asked(service, &self.name, &self.caller).await?;
        let AccountRef::Tenant(tenant) = &self.name else {
            return Ok(account);
        };
        let known = service.finder().find(&self.name).await.map_err(Problem::store)?;
        if known.is_some() || !registers {
            return Ok(account);
        }
        service.accounts().register(tenant).await.map_err(Problem::store)?;
        service.finder().forget(&self.name);
        asked(service, &self.name, &self.caller).await
    }

    fn tenant(&self) -> Option<TenantId> {
        match &self.name {
            AccountRef::Tenant(tenant) => Some(tenant.clone()),
            AccountRef::Customer(_) => None,
        }
    }

    /// Records a wish, once, and claims the answer that is kept.
    pub async fn record(&self, service: &Service, account: &Account, wish: &Wish) -> Answer<Recorded> {
        let claim = self.command.claim(service.clock.now());
        self.recorded(service, account, wish, claim).await
    }

    /// Records a wish, once; the answer is a secret and is not kept.
    pub async fn record_secret(&self, service: &Service, account: &Account, wish: &Wish) -> Answer<Recorded> {
        self.recorded(service, account, wish, None).await
    }

    async fn recorded(
        &self,
        service: &Service,
        account: &Account,
        wish: &Wish,
        api: Option<ApiClaim>,
    ) -> Answer<Recorded> {
        let asker = Asker {
            actor: self.caller.0.actor(),
            mark: self.command.mark(),
            correlation_id: self.correlation.clone(),
            api,
        };
        let of = OfAccount {
            stream: account.stream.clone(),
            part: account.part,
            tenant: self.tenant(),
        };
        let catalogue = service.plans.current();
        let circumstances = Circumstances::of(service.settings.mode);
        let etag = |version: u64| Stand::etag(version, &catalogue);
        let may_be_at = |version: u64| etag(version).check(&self.headers).is_ok();
        let is_conditional = self.headers.contains_key("if-match");
        let check: Option<VersionCheck<'_>> = if is_conditional { Some(&may_be_at) } else { None };
        let id = IntentId::new(self.command.id);
        let asked = AskedFor {
            wish,
            circumstances: &circumstances,
            catalogue: &catalogue,
        };
        let recorded = service.commands().ask(&asker, id, &of, &asked, check).await;
        recorded.map_err(|error| {
            let detail = error.to_string();
            match error {
                CommandError::Rejected(rejection) => rejections::problem(&rejection),
                CommandError::OtherVersion { current } => match etag(current).check(&self.headers) {
                    Err(problem) => problem,
                    Ok(()) => Problem::new(ProblemKind::WriteConflict, detail),
                },
                CommandError::KeyReused => Command::reused(),
                CommandError::Busy => Problem::new(ProblemKind::WriteConflict, detail),
                CommandError::Store(error) => Problem::store(error),
            }
        })
    }

    /// Records a wish and answers with the command, after the wait the caller asked for.
    pub async fn ask(&self, service: &Service, wish: Wish) -> Answer<Response> {
        stripe(service)?;
        let registers = matches!(wish, Wish::Subscribe { .. });
        let account = self.account(service, registers).await?;
        let run = async {
            let recorded = self.record(service, &account, &wish).await?;
            self.told(service, &account, &recorded).await
        };
        self.command.once(service, account.part, run).await
    }

    async fn told(&self, service: &Service, account: &Account, recorded: &Recorded) -> Answer<Done> {
        let reached = recorded.position.map(|position| LedgerPosition {
            part: account.part,
            position,
        });
        let Some(id) = recorded.intent else {
            let answer = CommandAnswer::of_nothing(self.command.id, reached);
            let body = serde_json::to_value(&answer).map_err(Problem::internal)?;
            return Ok(Done::new(StatusCode::OK, body, reached));
        };
        let wait = preferred_wait(&self.headers).unwrap_or_default().min(WAIT_MAX);
        let until = tokio::time::Instant::now() + wait;
        let found = service.commands().wait(account.part, &account.stream, id, until).await;
        let record = found
            .map_err(Problem::store)?
            .ok_or_else(|| Problem::internal("a command was recorded and is not on the log"))?;
        let status = if record.status().is_final() {
            StatusCode::OK
        } else {
            StatusCode::ACCEPTED
        };
        let location = format!("/v1/tenants/{}/commands/{id}", self.segment());
        let answer = CommandAnswer::of(&record, account.part, &location);
        let body = serde_json::to_value(&answer).map_err(Problem::internal)?;
        let mut done = Done::new(status, body, reached);
        done.location = Some(location);
        Ok(done)
    }

    /// The account as paths name it.
    #[must_use]
    pub fn segment(&self) -> &str {
        match &self.name {
            AccountRef::Tenant(tenant) => tenant.as_str(),
            AccountRef::Customer(customer) => customer.as_str(),
        }
    }
}
