//! What handlers are given: one handle, cheap to clone, made by `app.rs`.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::http::{HeaderMap, header};
use ipnet::IpNet;
use projections::cache::Cache;
use projections::db::Db;
use projections::entitlements::EntitlementsRow;
use projections::rebuild::Rebuilds;
use projections::runner::Progress;
use projections::status::StatusRow;
use tokio::sync::Notify;

use super::account::Finder;
use super::bodies::Bodies;
use super::limits::RateLimits;
use super::metrics::HttpMetrics;
use super::page::Cursors;
use super::redirects::Redirects;
use super::resources::webhook::Endpoints;
use super::streams::Streams;
use crate::auth::api_key::{ADMIN_PREFIX, AdminToken, PREFIX};
use crate::auth::key_ring::KeyRing;
use crate::auth::portal_token::PortalVerifier;
use crate::auth::ticket::{SpeaksFor, Tickets};
use crate::auth::{AuthError, Kind, Mode, Principal};
use crate::clock::Clock;
use crate::directory::Directory;
use crate::inbox::{ReceiptStore, Receiver};
use crate::plans::registry::Registry;
use crate::process::accounts::Accounts;
use crate::process::commands::Commands;
use crate::process::pages::Pages;
use crate::stripe::gateway::Gateway;

/// Settings of the HTTP border, validated by `config.rs`.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Where callers reach us, without a slash at the end.
    pub public_url: String,
    /// Networks whose forwarded addresses are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins that browsers may call from; none = no CORS at all.
    pub cors_origins: Vec<String>,
    /// Whether this ledger concerns test or live money.
    pub mode: Mode,
    /// Commit this binary was built from.
    pub commit: &'static str,
    /// Where Stripe's pages may send people back to.
    pub redirects: Redirects,
    /// Configuration of the billing portal at Stripe; none: its default one.
    pub portal_configuration: Option<String>,
    /// Refunds above this need a second person, in minor units of their currency; none: no limit.
    pub refund_alone_max_minor: Option<i64>,
}

/// How far the process is between start and stop.
#[derive(Debug, Default)]
pub struct Lifecycle {
    phase: AtomicU8,
    told: Notify,
}

/// A step of the process's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Migrating, loading, catching up.
    Starting,
    /// Serving.
    Ready,
    /// Told to stop; no new work.
    Stopping,
}

impl Lifecycle {
    /// Everything is started.
    pub fn ready(&self) {
        // A stop that came first stays.
        let _ = self.phase.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The process was told to stop.
    pub fn stop(&self) {
        self.phase.store(2, Ordering::Release);
        self.told.notify_waiters();
    }

    /// Ends when the process is told to stop.
    pub async fn stopped(&self) {
        let mut told = std::pin::pin!(self.told.notified());
        // Waiting begins before looking, so that a stop in between is not missed.
        told.as_mut().enable();
        if self.phase() != Phase::Stopping {
            told.await;
        }
    }

    /// The present step.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Stopping,
        }
    }
}

/// What `app.rs` puts together.
pub struct Parts {
    /// Settings.
    pub settings: HttpSettings,
    /// Time.
    pub clock: Clock,
    /// Start and stop.
    pub lifecycle: Arc<Lifecycle>,
    /// Figures.
    pub metrics: Arc<HttpMetrics>,
    /// Request limits.
    pub limits: RateLimits,
    /// Checks portal tokens, when configured.
    pub portal: Option<PortalVerifier>,
    /// The token of `serve.json`.
    pub admin_token: AdminToken,
    /// API keys.
    pub keys: KeyRing,
    /// The store.
    pub db: Db,
    /// Every version of the plan catalogue.
    pub plans: Registry,
    /// Signs cursors.
    pub cursors: Cursors,
    /// Webhook endpoints with their secrets.
    pub endpoints: Endpoints,
    /// Takes verified deliveries.
    pub receiver: Receiver,
    /// Stored deliveries.
    pub receipts: ReceiptStore,
    /// How far the views are.
    pub progress: Progress,
    /// Rebuilds views beside the ones in use.
    pub rebuilds: Rebuilds,
    /// Rows of accounts, kept in memory.
    pub cache: Cache,
    /// Stripe, where a key is set.
    pub stripe: Option<Gateway>,
    /// Told when a command waits for Stripe.
    pub woken: Arc<Notify>,
}

/// The handle.
#[derive(Clone)]
pub struct Service(Arc<Whole>);

/// The parts, and what is made of them here.
struct Whole {
    parts: Parts,
    finder: Finder,
    accounts: Accounts,
    commands: Commands,
    pages: Option<Pages>,
    entitlements: Bodies<EntitlementsRow>,
    subscriptions: Bodies<StatusRow>,
    streams: Streams,
    tickets: Tickets,
}

impl Deref for Service {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}

impl Service {
    /// Wraps the parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let directory = Directory::new(parts.db.clone(), parts.clock.clone());
        Self(Arc::new(Whole {
            accounts: Accounts::new(parts.db.clone(), directory.clone(), parts.clock.clone()),
            commands: Commands::new(parts.db.clone(), parts.clock.clone(), Arc::clone(&parts.woken)),
            pages: parts.stripe.as_ref().map(|gateway| {
                let (db, clock) = (parts.db.clone(), parts.clock.clone());
                Pages::new(db, directory.clone(), clock, Arc::clone(gateway))
            }),
            finder: Finder::new(directory, parts.db.parts()),
            entitlements: Bodies::default(),
            subscriptions: Bodies::default(),
            streams: Streams::new(&parts.db, &parts.progress, &parts.metrics),
            tickets: Tickets::new(parts.db.clone()),
            parts,
        }))
    }

    /// Finds the streams of accounts.
    #[must_use]
    pub fn finder(&self) -> &Finder {
        &self.0.finder
    }

    /// Commands to accounts.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// Commands with an effect at Stripe.
    #[must_use]
    pub fn commands(&self) -> &Commands {
        &self.0.commands
    }

    /// Pages of Stripe's; none without a key.
    #[must_use]
    pub fn pages(&self) -> Option<&Pages> {
        self.0.pages.as_ref()
    }

    /// Answers about entitlements that were written before.
    #[must_use]
    pub fn entitlement_bodies(&self) -> &Bodies<EntitlementsRow> {
        &self.0.entitlements
    }

    /// Answers about subscriptions that were written before.
    #[must_use]
    pub fn subscription_bodies(&self) -> &Bodies<StatusRow> {
        &self.0.subscriptions
    }

    /// Streams that are open.
    #[must_use]
    pub fn streams(&self) -> &Streams {
        &self.0.streams
    }

    /// Tickets that open them.
    #[must_use]
    pub fn tickets(&self) -> &Tickets {
        &self.0.tickets
    }

    /// The caller a ticket speaks for, and the stream it opens; the ticket is used up.
    pub async fn redeem(&self, ticket: &str, address: Option<IpAddr>) -> Result<(Arc<Principal>, String), AuthError> {
        let now = self.clock.now();
        let used = self.tickets().redeem(ticket, now).await.map_err(|error| {
            tracing::warn!(%error, "a ticket could not be looked up");
            AuthError::Unavailable
        })?;
        let used = used.ok_or(AuthError::Refused("ticket_unknown"))?;
        let principal = match &used.speaks_for {
            SpeaksFor::Key { id } => self.keys.principal(id, address, now).await?,
            SpeaksFor::Operator => Arc::new(Principal::operator()),
            portal @ SpeaksFor::Portal { .. } => Arc::new(
                portal
                    .portal(now)
                    .ok_or(AuthError::Refused("ticket_of_an_ended_token"))?,
            ),
        };
        Ok((principal, used.stream))
    }

    /// Whether a credential that was good still is; a store that does not answer takes nobody's right away.
    pub async fn still_holds(&self, principal: &Principal, address: Option<IpAddr>) -> bool {
        match &principal.kind {
            Kind::Key { id } => {
                let found = self.keys.principal(id, address, self.clock.now()).await;
                !matches!(found, Err(AuthError::Refused(_)))
            }
            // These end when they say they do.
            Kind::Portal { .. } | Kind::Operator => true,
        }
    }

    /// The caller behind the headers of a request, or why there is none.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        address: Option<IpAddr>,
    ) -> Result<Arc<Principal>, AuthError> {
        let token = bearer(headers)?;
        if token.starts_with(ADMIN_PREFIX) {
            return if self.admin_token.is(token) {
                Ok(Arc::new(Principal::operator()))
            } else {
                Err(AuthError::Refused("admin_token_wrong"))
            };
        }
        if token.starts_with(PREFIX) {
            return self.keys.verify(token, address, self.clock.now()).await;
        }
        let portal = self.portal.as_ref().ok_or(AuthError::PortalNotConfigured)?;
        portal.verify(token, self.clock.now()).map(Arc::new)
    }
}

/// The token of `Authorization: Bearer <token>`.
fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthError::Missing)?;
    if values.next().is_some() {
        return Err(AuthError::Malformed);
    }
    let text = value.to_str().map_err(|_| AuthError::Malformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(AuthError::Malformed)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(AuthError::Malformed);
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_one_bearer_token_is_read() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers), Err(AuthError::Missing));
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer  ", None),
        ] {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(bearer(&headers).ok(), token, "{value}");
        }
        headers.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        assert_eq!(bearer(&headers), Err(AuthError::Malformed));
    }

    #[test]
    fn a_stop_before_the_end_of_the_start_stays_a_stop() {
        let life = Lifecycle::default();
        assert_eq!(life.phase(), Phase::Starting);
        life.stop();
        life.ready();
        assert_eq!(life.phase(), Phase::Stopping);
    }
}
