//! Every setting there is: name, default, and what it is for. One table, from which the file, the environment,
//! `.env.example` and `config print` are all read.

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Name in the file, with dots; `*` stands for a name of the user's own.
    pub name: &'static str,
    /// Value when nothing is set; empty = none.
    pub default: &'static str,
    /// Other environment variables that mean the same.
    pub plain: &'static [&'static str],
    /// Never shown, never in clear in any output.
    pub secret: bool,
    /// A list: commas in the environment, an array in the file.
    pub list: bool,
    /// One line for `.env.example`.
    pub note: &'static str,
}

const fn key(name: &'static str, default: &'static str, note: &'static str) -> Key {
    Key {
        name,
        default,
        plain: &[],
        secret: false,
        list: false,
        note,
    }
}

impl Key {
    const fn plain(mut self, names: &'static [&'static str]) -> Self {
        self.plain = names;
        self
    }
    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
    const fn list(mut self) -> Self {
        self.list = true;
        self
    }

    /// The environment variable of the setting, for instance `SUBLEDGER__HTTP__LISTEN`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("SUBLEDGER__{}", self.name.replace('.', "__").to_uppercase())
    }
}

/// All settings, grouped by section.
pub const KEYS: &[Key] = &[
    key(
        "http.listen",
        "127.0.0.1:8080",
        "address and port of the API and the webhook receiver",
    ),
    key(
        "http.public_url",
        "",
        "how callers reach it; made from http.listen when unset; https beyond loopback",
    ),
    key(
        "http.metrics_listen",
        "127.0.0.1:9464",
        "address and port of /metrics, on a listener of its own",
    ),
    key(
        "http.trusted_proxies",
        "",
        "networks whose X-Forwarded-For is believed, for instance 10.0.0.0/8",
    )
    .list(),
    key(
        "store.url",
        "",
        "postgres://user:password@host/database; unset: SQLite in the data directory",
    )
    .plain(&["DATABASE_URL"])
    .secret(),
    key(
        "store.data_dir",
        "data",
        "directory of the SQLite ledger and of what belongs to this machine",
    ),
    key(
        "store.partitions",
        "",
        "partitions of a new ledger (64 on Postgres, 1 on SQLite); fixed afterwards",
    ),
    key("store.connections", "16", "connections of the Postgres pool, 4 to 200"),
    key(
        "store.accept_unsafe_server",
        "false",
        "serve although the Postgres server may lose acknowledged writes",
    ),
    key(
        "worker.enabled",
        "true",
        "apply webhooks and run projections in this process",
    ),
    key(
        "worker.poll_ms",
        "250",
        "how often the log is looked at when nobody signals, 10 to 10000",
    ),
    key(
        "worker.instance",
        "",
        "stable name of this process for its leases; unset: host and data directory",
    ),
    key("stripe.mode", "", "test or live; unset: from the secret key, else test").plain(&["STRIPE_MODE"]),
    key(
        "stripe.secret_key",
        "",
        "sk_test_... or sk_live_... (or rk_...); unset: Stripe is not asked, what needs an answer waits",
    )
    .plain(&["STRIPE_SECRET_KEY", "STRIPE_API_KEY"])
    .secret(),
    key(
        "stripe.webhook_secrets",
        "",
        "signing secrets (whsec_...) of the endpoint; several while one is rolled",
    )
    .plain(&["STRIPE_WEBHOOK_SECRET"])
    .secret()
    .list(),
    key(
        "stripe.endpoints.*.webhook_secrets",
        "",
        "signing secrets of /webhooks/stripe/<name>",
    )
    .secret()
    .list(),
    key(
        "stripe.api_base",
        "https://api.stripe.com/",
        "base of Stripe's API; another one only with a test key",
    )
    .plain(&["STRIPE_API_BASE"]),
    key(
        "stripe.transport",
        "pooled",
        "pooled (ours) or stock (that of async-stripe: no connections kept, no reply headers)",
    ),
    key(
        "stripe.portal_configuration",
        "",
        "id of the billing portal's configuration at Stripe (bpc_...); unset: Stripe's default one",
    ),
    key(
        "stripe.tolerance_s",
        "300",
        "oldest accepted signature in seconds, 60 to 900",
    ),
    key(
        "portal.frontend_url",
        "",
        "your application, to which paths of return addresses are joined; unset: only whole addresses are taken",
    )
    .plain(&["FRONTEND_URL"]),
    key(
        "portal.return_origins",
        "",
        "origins that Stripe's pages may send people back to; unset: those of portal.frontend_url and http.public_url",
    )
    .list(),
    key(
        "portal.cors_origins",
        "",
        "origins whose pages may call the API from a browser",
    )
    .list(),
    key(
        "portal.jwt.algorithms",
        "",
        "HS256, RS256, ES256, EdDSA; unset: no portal tokens",
    )
    .list(),
    key("portal.jwt.issuer", "", "the only accepted iss"),
    key("portal.jwt.audience", "", "the only accepted aud"),
    key(
        "portal.jwt.hs256_secret",
        "",
        "shared secret of at least 32 bytes, for HS256",
    )
    .secret(),
    key(
        "portal.jwt.jwks_file",
        "",
        "file with the issuer's public keys (JWKS), for the other algorithms",
    ),
    key("portal.jwt.claims.subject", "sub", "claim that names the user"),
    key("portal.jwt.claims.tenant", "tenant_id", "claim that names the tenant"),
    key("portal.jwt.claims.role", "role", "claim that names the role"),
    key(
        "portal.jwt.roles.*",
        "",
        "viewer, member, billing or admin for a role name of the host's",
    ),
    key(
        "approvals.refund_alone_max_minor",
        "100000",
        "refunds above this many minor units need a second person; 0: every refund does",
    ),
    key(
        "auth.key_pepper",
        "",
        "at least 32 characters; losing it voids every API key. `init` makes one",
    )
    .secret(),
    key(
        "plans.file",
        "",
        "plan catalogue (TOML); unset: the bundled three-tier example",
    ),
    key(
        "log.level",
        "info",
        "error, warn, info, debug, trace, or a filter such as info,subledger=debug",
    ),
    key("log.format", "", "text or json; unset: text on a terminal, else json"),
];

/// The setting of that name, with `*` matching one segment.
#[must_use]
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| matches(key.name, name))
}

fn matches(pattern: &str, name: &str) -> bool {
    let (mut want, mut have) = (pattern.split('.'), name.split('.'));
    loop {
        match (want.next(), have.next()) {
            (None, None) => return true,
            (Some("*"), Some(part)) if !part.is_empty() => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}
