//! What the HTTP interface is given.

use std::path::Path;
use std::sync::Arc;

use projections::db::Db;
use projections::rebuild::Rebuilds;
use projections::runner::Runner;
use secrecy::ExposeSecret;
use tokio::sync::Notify;

use super::{AppError, local};
use crate::auth::api_key::{AdminToken, Pepper};
use crate::auth::key_ring::KeyRing;
use crate::auth::key_store::KeyStore;
use crate::auth::portal_token::{ClaimNames, PortalSettings, PortalVerifier};
use crate::clock::Clock;
use crate::config::{Config, JwtConfig, StripeConfig};
use crate::http::limits::RateLimits;
use crate::http::metrics::HttpMetrics;
use crate::http::page::Cursors;
use crate::http::redirects::Redirects;
use crate::http::resources::webhook::Endpoints;
use crate::http::state::{HttpSettings, Lifecycle, Parts};
use crate::inbox::{ReceiptStore, Receiver};
use crate::plans::registry::Registry;
use crate::stripe::gateway::Gateway;
use crate::stripe::signature::{NamedSecret, Tolerance, Verifier, VerifierError};

/// What was started before the interface.
pub(super) struct Started<'a> {
    pub(super) config: &'a Config,
    pub(super) clock: &'a Clock,
    pub(super) db: &'a Db,
    pub(super) runner: &'a Runner,
    pub(super) plans: Registry,
    pub(super) receiver: Receiver,
    pub(super) receipts: ReceiptStore,
    pub(super) stripe: Option<Gateway>,
    pub(super) woken: Arc<Notify>,
    pub(super) admin_token: AdminToken,
}

impl Started<'_> {
    /// Puts the rest beside it.
    pub(super) fn into_parts(self) -> Result<Parts, AppError> {
        let config = self.config;
        let mode = config.stripe.mode;
        let pepper = local::pepper(config.key_pepper.as_ref(), &config.store.data_dir)?;
        let pepper = pepper.expose_secret();
        Ok(Parts {
            settings: HttpSettings {
                public_url: config.http.public_url.clone(),
                trusted_proxies: config.http.trusted_proxies.clone(),
                cors_origins: config.portal.cors_origins.clone(),
                mode,
                commit: option_env!("SUBLEDGER_COMMIT").unwrap_or("unknown"),
                redirects: Redirects {
                    frontend: config.portal.frontend_url.clone(),
                    origins: config.portal.return_origins.clone(),
                },
                portal_configuration: config.stripe.portal_configuration.clone(),
                refund_alone_max_minor: Some(config.refund_alone_max_minor),
            },
            clock: self.clock.clone(),
            lifecycle: Arc::new(Lifecycle::default()),
            metrics: Arc::new(HttpMetrics::default()),
            limits: RateLimits::default(),
            portal: config.portal.jwt.as_ref().map(portal).transpose()?,
            admin_token: self.admin_token,
            keys: KeyRing::new(KeyStore::new(self.db.clone()), Pepper::parse(pepper)?, mode),
            db: self.db.clone(),
            plans: self.plans,
            cursors: Cursors::new(pepper.as_bytes()),
            endpoints: endpoints(&config.stripe)?,
            receiver: self.receiver,
            receipts: self.receipts,
            progress: self.runner.progress().clone(),
            cache: self.runner.cache().clone(),
            stripe: self.stripe,
            woken: self.woken,
            rebuilds: Rebuilds::start(self.db, self.runner),
        })
    }
}

/// The verifier of each endpoint that has a secret; the empty name is `/webhooks/stripe` itself.
fn endpoints(stripe: &StripeConfig) -> Result<Endpoints, VerifierError> {
    let tolerance = Tolerance::parse(i64::from(stripe.tolerance_s))?;
    let named = stripe.endpoints.iter().map(|(name, secrets)| (name.as_str(), secrets));
    let mut endpoints = Endpoints::new();
    for (name, secrets) in std::iter::once(("", &stripe.webhook_secrets)).chain(named) {
        if secrets.is_empty() {
            continue;
        }
        let label = if name.is_empty() { "default" } else { name };
        let mut parsed = Vec::new();
        for (index, secret) in secrets.iter().enumerate() {
            parsed.push(NamedSecret::parse(
                &format!("{label}[{index}]"),
                secret.expose_secret(),
            )?);
        }
        endpoints = endpoints.with(name, Arc::new(Verifier::new(parsed, tolerance)));
    }
    Ok(endpoints)
}

fn portal(jwt: &JwtConfig) -> Result<PortalVerifier, AppError> {
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|e| AppError::file(path, &e));
    let settings = PortalSettings {
        algorithms: jwt.algorithms.clone(),
        issuer: jwt.issuer.clone(),
        audience: jwt.audience.clone(),
        hs256_secret: jwt
            .hs256_secret
            .as_ref()
            .map(|secret| secret.expose_secret().as_bytes().to_vec()),
        jwks: jwt.jwks_file.as_deref().map(read).transpose()?,
        claims: ClaimNames {
            subject: jwt.claim_subject.clone(),
            tenant: jwt.claim_tenant.clone(),
            role: jwt.claim_role.clone(),
        },
        roles: jwt.roles.clone(),
    };
    Ok(PortalVerifier::try_new(&settings)?)
}
