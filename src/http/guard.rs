//! Who may call a route. It runs before the route and knows only the route's row: deny by default.
//!
//! 1. Query parameters the route does not know are refused (the receiver ignores them: Stripe may add some).
//! 2. Public routes go on; every other needs a credential that is valid now; a stream takes a ticket for one.
//! 3. A portal token needs the row's role, a key the row's scope.
//! 4. A credential bound to a tenant may name no other one, and no route that spans tenants. This is decided from the
//!    credential alone, before anything is looked up, so the answer says nothing about what exists.
//! 5. The caller's bucket gives one request, or the answer says when it will.
//! 6. Wrong credentials and wrong signatures are counted by address; beyond a bound their refusals wait.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use aggregates::ids::{CustomerId, IdError, TenantId};
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::limits::{Drawn, Policy, REFUSAL_PAUSE};
use super::problem::{Answer, Problem, ProblemKind};
use super::router::{Access, Row};
use super::state::Service;
use crate::auth::{AuthError, Kind, Principal};

/// The parameter by which streams take a ticket.
const TICKET: &str = "ticket";

/// What the guard of one route knows.
pub struct Rule {
    /// The route's row.
    pub row: &'static Row,
    /// Names of its query parameters.
    pub query: Vec<String>,
    /// The service.
    pub service: Service,
}

/// Which account a path names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AccountRef {
    /// By the caller's own name for it.
    Tenant(TenantId),
    /// By its Stripe customer, also while no tenant is assigned.
    Customer(CustomerId),
}

impl AccountRef {
    /// A tenant's own id, or a Stripe customer (`cus_...`).
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.starts_with("cus_") {
            return stripe_id(text).map(Self::Customer);
        }
        TenantId::parse(text).map(Self::Tenant)
    }
}

/// A customer's id as callers may write it. The log takes whatever Stripe sends; a request names printable ASCII.
pub fn stripe_id(text: &str) -> Result<CustomerId, IdError> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return CustomerId::parse(text);
    }
    Err(IdError {
        kind: "Stripe customer id",
        rule: "1 to 255 printable ASCII characters without spaces",
        value: text.chars().take(64).collect(),
    })
}

/// The caller, for handlers. Only guarded routes have one.
#[derive(Clone, Debug)]
pub struct Caller(pub Arc<Principal>);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::internal("a public route asked for its caller"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AccountRef {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let account = parts.extensions.get::<Self>().cloned();
        account.ok_or_else(|| Problem::internal("a route outside a tenant asked for its account"))
    }
}

/// The address a request came from, forwarded ones believed only from configured proxies.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub Option<IpAddr>);

/// The layer of one route.
pub async fn authorise(State(rule): State<Arc<Rule>>, mut request: Request, next: Next) -> Response {
    let address = client_address(&rule.service, &request);
    request.extensions_mut().insert(ClientAddress(address));
    let drawn = match admit(&rule, &mut request, address).await {
        Ok(drawn) => drawn,
        Err(refused) => {
            let (problem, drawn) = *refused;
            let mut response = problem.into_response();
            if let Some(drawn) = drawn {
                drawn.announce(response.headers_mut());
            }
            return response;
        }
    };
    let mut response = next.run(request).await;
    if is_forged(rule.row, &response) {
        slow_down(&rule.service, address).await;
    }
    if let Some(drawn) = drawn {
        drawn.announce(response.headers_mut());
    }
    response
}

type Refused = Box<(Problem, Option<Drawn>)>;

async fn admit(rule: &Rule, request: &mut Request, address: Option<IpAddr>) -> Result<Option<Drawn>, Refused> {
    let plain = |problem: Problem| Box::new((problem, None));
    let service = &rule.service;
    match rule.row.access {
        Access::Stripe => return Ok(None),
        Access::Public => {
            known_query(&rule.query, request.uri().query()).map_err(plain)?;
            let caller = address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
            return draw(service, rule.row.policy, &caller);
        }
        Access::Any | Access::Scope(_) => {}
    }
    let (principal, ticket) = match shown(rule, request.headers(), request.uri().query(), address).await {
        Ok(shown) => shown,
        Err(error) => {
            if matches!(error, AuthError::Refused(_)) {
                slow_down(service, address).await;
            }
            return Err(plain(unauthenticated(service, &error)));
        }
    };
    may_call(rule.row, &principal).map_err(plain)?;
    match tenant_segment(request.uri().path()) {
        Some(segment) => {
            let account = account_of(segment, &principal).map_err(plain)?;
            request.extensions_mut().insert(account);
        }
        None => may_span(rule.row, &principal).map_err(plain)?,
    }
    let account = request.extensions().get::<AccountRef>();
    if ticket.is_some_and(|stream| stream != bound_name(rule.row, account)) {
        let other = AuthError::Refused("ticket_of_another_stream");
        return Err(plain(unauthenticated(service, &other)));
    }
    known_query(&rule.query, request.uri().query()).map_err(plain)?;
    let drawn = match policy_for(rule.row, &principal, request.method()) {
        Policy::Unlimited => None,
        policy @ (Policy::Public
        | Policy::PortalRead
        | Policy::PortalWrite
        | Policy::Standing
        | Policy::Finance
        | Policy::Operator
        | Policy::Refused) => draw(service, policy, &principal.scope_name())?,
    };
    request.extensions_mut().insert(Caller(principal));
    Ok(drawn)
}

/// Who shows what: a bearer credential, or on a stream without one a ticket, which names its stream.
async fn shown(
    rule: &Rule,
    headers: &HeaderMap,
    query: Option<&str>,
    address: Option<IpAddr>,
) -> Result<(Arc<Principal>, Option<String>), AuthError> {
    let takes_tickets = rule.query.iter().any(|name| name == TICKET);
    if takes_tickets
        && !headers.contains_key(AUTHORIZATION)
        && let Some(ticket) = ticket(query)
    {
        let (principal, stream) = rule.service.redeem(ticket, address).await?;
        return Ok((principal, Some(stream)));
    }
    let principal = rule.service.authenticate(headers, address).await?;
    Ok((principal, None))
}

fn ticket(query: Option<&str>) -> Option<&str> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(name, value)| (name == TICKET).then_some(value))
}

/// The name a ticket is bound to: the row and the account, however the path writes it.
#[must_use]
pub fn bound_name(row: &Row, account: Option<&AccountRef>) -> String {
    match account {
        None => row.path.to_owned(),
        Some(AccountRef::Tenant(tenant)) => row.path.replace("{tenant}", tenant.as_str()),
        Some(AccountRef::Customer(customer)) => row.path.replace("{tenant}", customer.as_str()),
    }
}

/// Whether a delivery was refused because nobody could have signed it.
fn is_forged(row: &Row, response: &Response) -> bool {
    let problem = response.extensions().get::<Problem>();
    row.access == Access::Stripe && problem.is_some_and(|problem| problem.kind == ProblemKind::SignatureInvalid)
}

/// Lets a refusal wait when its address has had too many.
async fn slow_down(service: &Service, address: Option<IpAddr>) {
    if address.is_some_and(|address| service.limits.refused(address)) {
        service.metrics.slowed();
        tokio::time::sleep(REFUSAL_PAUSE).await;
    }
}

fn draw(service: &Service, policy: Policy, caller: &str) -> Result<Option<Drawn>, Refused> {
    service.limits.draw(policy, caller).map_err(|refused| {
        let (problem, drawn) = *refused;
        Box::new((problem, Some(drawn)))
    })
}

fn unauthenticated(service: &Service, error: &AuthError) -> Problem {
    service.metrics.refused_credential(error.reason());
    if *error == AuthError::Unavailable {
        return Problem::new(ProblemKind::StoreUnavailable, error.to_string());
    }
    Problem::new(ProblemKind::Unauthenticated, error.to_string())
}

/// Portal tokens draw from their own buckets; the operator at the machine has none.
fn policy_for(row: &Row, principal: &Principal, method: &Method) -> Policy {
    match &principal.kind {
        Kind::Portal { .. } if method.is_safe() => Policy::PortalRead,
        Kind::Portal { .. } => Policy::PortalWrite,
        Kind::Key { .. } => row.policy,
        Kind::Operator => Policy::Unlimited,
    }
}

/// Whether the row admits the principal's role or scope.
pub fn may_call(row: &Row, principal: &Principal) -> Answer<()> {
    let refused = |needed: String| {
        let detail = format!("this route needs {needed}");
        Err(Problem::new(ProblemKind::Forbidden, detail).with("needed", needed))
    };
    match (principal.role(), row.access) {
        (_, Access::Any) => Ok(()),
        (Some(role), _) => match row.least_role {
            Some(least) if role >= least => Ok(()),
            Some(least) => refused(format!("the role {}", least.as_str())),
            None => refused("an API key".to_owned()),
        },
        (None, Access::Scope(scope)) if principal.has(scope) => Ok(()),
        (None, Access::Scope(scope)) => refused(format!("the scope {scope}")),
        (None, Access::Public | Access::Stripe) => Ok(()),
    }
}

/// A credential bound to a tenant is not for routes over all tenants, whatever its scopes.
pub fn may_span(row: &Row, principal: &Principal) -> Answer<()> {
    if principal.tenant.is_some() && row.access != Access::Any {
        let detail = "this credential is bound to one tenant, and the route spans tenants";
        return Err(Problem::new(ProblemKind::TenantMismatch, detail));
    }
    Ok(())
}

/// The segment in the place of `{tenant}`.
fn tenant_segment(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/v1/tenants/")?;
    Some(rest.split('/').next().unwrap_or(rest))
}

fn account_of(segment: &str, principal: &Principal) -> Answer<AccountRef> {
    match percent_decode_str(segment).decode_utf8() {
        Ok(text) => named(&text, principal),
        Err(_) if principal.tenant.is_some() => Err(of_another_tenant()),
        Err(_) => Err(Problem::malformed("the tenant in the path is not UTF-8")),
    }
}

fn of_another_tenant() -> Problem {
    let detail = "the path names a tenant other than the one this credential is bound to";
    Problem::new(ProblemKind::TenantMismatch, detail)
}

/// The account a name means to this caller.
pub fn named(text: &str, principal: &Principal) -> Answer<AccountRef> {
    if let Some(own) = &principal.tenant {
        if text == "me" || text == own.as_str() {
            return Ok(AccountRef::Tenant(own.clone()));
        }
        return Err(of_another_tenant());
    }
    if text == "me" {
        let detail = "`me` is the tenant of a credential that is bound to one; this one is not";
        return Err(Problem::new(ProblemKind::NotFound, detail));
    }
    AccountRef::parse(text).map_err(|error| Problem::malformed(error.to_string()))
}

fn known_query(known: &[String], query: Option<&str>) -> Answer<()> {
    let mut seen: Vec<&str> = Vec::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or(pair);
        if !known.iter().any(|known| known == name) {
            let name: String = name.chars().take(64).collect();
            let detail = if known.is_empty() {
                "this route takes no query parameters".to_owned()
            } else {
                format!("unknown; this route takes {}", known.join(", "))
            };
            return Err(
                Problem::malformed(format!("the query parameter {name:?} is unknown")).at(format!("?{name}"), detail)
            );
        }
        // No text of ours holds a NUL, and Postgres takes none even to compare with.
        if pair.contains("%00") {
            let detail = "a text without the character NUL is needed".to_owned();
            return Err(Problem::malformed(detail.clone()).at(format!("?{name}"), detail));
        }
        if seen.contains(&name) {
            return Err(Problem::malformed(format!(
                "the query parameter {name:?} is given twice"
            )));
        }
        seen.push(name);
    }
    Ok(())
}

/// The last address that no trusted proxy vouches for.
fn client_address(service: &Service, request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?.0.ip();
    let proxies = &service.settings.trusted_proxies;
    let trusted = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
    if proxies.is_empty() || !trusted(&peer) {
        return Some(peer);
    }
    Some(
        forwarded(request.headers())
            .into_iter()
            .rev()
            .find(|address| !trusted(address))
            .unwrap_or(peer),
    )
}

fn forwarded(headers: &HeaderMap) -> Vec<IpAddr> {
    let lines = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .filter_map(|part| part.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Role, ScopeSet};

    fn portal() -> Principal {
        Principal {
            kind: Kind::Portal {
                subject: "u".into(),
                role: Role::Member,
            },
            tenant: TenantId::parse("acme").ok(),
            scopes: ScopeSet::EMPTY,
            expires_at: None,
        }
    }

    #[test]
    fn a_bound_credential_reaches_its_own_tenant_only() {
        let own = AccountRef::Tenant(TenantId::parse("acme").unwrap());
        for segment in ["acme", "me", "%61cme"] {
            assert_eq!(account_of(segment, &portal()), Ok(own.clone()), "{segment}");
        }
        for segment in [
            "ACME", "other", "cus_1", "acme%2f", "acme ", "", "a%00", "%2e%2e", "acme%ff",
        ] {
            let refused = account_of(segment, &portal()).unwrap_err();
            assert_eq!(refused.kind, ProblemKind::TenantMismatch, "{segment}");
        }
    }

    #[test]
    fn an_unbound_key_names_tenants_and_customers() {
        let operator = Principal::operator();
        assert!(matches!(account_of("cus_9", &operator), Ok(AccountRef::Customer(_))));
        assert!(matches!(account_of("acme", &operator), Ok(AccountRef::Tenant(_))));
        assert_eq!(account_of("me", &operator).unwrap_err().kind, ProblemKind::NotFound);
        for segment in ["a b", "a%20b", "%ff", ""] {
            assert_eq!(
                account_of(segment, &operator).unwrap_err().kind,
                ProblemKind::MalformedRequest,
                "{segment}"
            );
        }
    }

    #[test]
    fn unknown_and_doubled_parameters_are_refused() {
        let known = ["limit".to_owned(), "cursor".to_owned()];
        for good in [None, Some(""), Some("limit=1"), Some("limit=1&cursor=x")] {
            assert!(known_query(&known, good).is_ok(), "{good:?}");
        }
        for bad in ["limits=1", "limit=1&limit=2", "limit=1&&x", "LIMIT=1"] {
            assert!(known_query(&known, Some(bad)).is_err(), "{bad}");
        }
    }
}
