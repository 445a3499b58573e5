//! Configuration: one struct, validated once, before anything is opened.
//!
//! Defaults < file < environment < flags. Unknown keys are errors. Secrets have no `Debug` and are never printed.

mod check;
mod keys;
mod layers;
mod print;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use aggregates::plan::Mode;
use ipnet::IpNet;
use secrecy::SecretString;

use crate::stripe::client::TransportKind;
use crate::stripe::client::base::ApiBase;

pub use keys::{KEYS, Key};
pub use layers::Sources;
pub use print::{Setting, env_example, settings};

/// What is wrong with the configuration, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `--config` names a file that is not there.
    #[error("there is no configuration file {0}; make one with `subledger init`, or leave --config away")]
    NoFile(PathBuf),
    /// A file cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Not TOML.
    #[error("{path}, line {line}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A key nobody reads.
    #[error("{origin} sets {key:?}, which is not a setting of this version; `subledger config print` lists all")]
    UnknownKey {
        /// The key as written.
        key: String,
        /// File or variable.
        origin: String,
    },
    /// Two names for one setting disagree.
    #[error("{first} and {second} both set {key}, in two ways or to two values; keep one of them")]
    Conflict {
        /// The setting.
        key: String,
        /// One variable.
        first: String,
        /// The other.
        second: String,
    },
    /// A value that cannot be used.
    #[error("{key} {reason}")]
    Invalid {
        /// The setting.
        key: String,
        /// What it must be; never the value, which may be secret.
        reason: String,
    },
}

impl ConfigError {
    pub(crate) fn invalid(key: &str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            key: key.to_owned(),
            reason: reason.into(),
        }
    }
}

/// The validated configuration.
pub struct Config {
    /// The API's and the webhook receiver's border.
    pub http: HttpConfig,
    /// Where the ledger is kept.
    pub store: StoreConfig,
    /// The loops.
    pub worker: WorkerConfig,
    /// Stripe's side.
    pub stripe: StripeConfig,
    /// Browsers and portal tokens.
    pub portal: PortalConfig,
    /// Refunds above this need a second person, in minor units.
    pub refund_alone_max_minor: i64,
    /// Pepper of the API keys; unset: kept in the data directory (SQLite only).
    pub key_pepper: Option<SecretString>,
    /// Plan catalogue; unset: the bundled example.
    pub plans_file: Option<PathBuf>,
    /// The log.
    pub log: LogConfig,
}

/// See [`KEYS`], section `http`.
pub struct HttpConfig {
    /// API and webhooks.
    pub listen: SocketAddr,
    /// How callers reach it, without a slash at the end.
    pub public_url: String,
    /// `/metrics`.
    pub metrics_listen: SocketAddr,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// See [`KEYS`], section `store`.
pub struct StoreConfig {
    /// Postgres; none: SQLite in the data directory.
    pub url: Option<SecretString>,
    /// Directory of this machine's files.
    pub data_dir: PathBuf,
    /// Partitions of a new ledger.
    pub partitions: Option<u32>,
    /// Connections of the Postgres pool.
    pub connections: u32,
    /// Serve on a server that may lose acknowledged writes.
    pub accept_unsafe_server: bool,
}

/// See [`KEYS`], section `worker`.
pub struct WorkerConfig {
    /// Run the loops in this process.
    pub enabled: bool,
    /// Milliseconds between looks at the log.
    pub poll_ms: u64,
    /// Stable name for leases.
    pub instance: String,
}

/// See [`KEYS`], section `stripe`.
pub struct StripeConfig {
    /// Test or live.
    pub mode: Mode,
    /// Stripe's API key, for the gateway.
    pub secret_key: Option<SecretString>,
    /// Signing secrets of `/webhooks/stripe`.
    pub webhook_secrets: Vec<SecretString>,
    /// Signing secrets of `/webhooks/stripe/{endpoint}`.
    pub endpoints: BTreeMap<String, Vec<SecretString>>,
    /// Base of Stripe's API.
    pub api_base: ApiBase,
    /// How Stripe is called.
    pub transport: TransportKind,
    /// Configuration of the billing portal; none: Stripe's default one.
    pub portal_configuration: Option<String>,
    /// Oldest accepted signature, in seconds.
    pub tolerance_s: u32,
}

/// See [`KEYS`], section `portal`.
pub struct PortalConfig {
    /// The application that paths of return addresses are joined to, without a slash at the end.
    pub frontend_url: Option<String>,
    /// Origins that Stripe's pages may send people back to, as they are compared.
    pub return_origins: Vec<String>,
    /// Origins for CORS.
    pub cors_origins: Vec<String>,
    /// Portal tokens, if they are accepted.
    pub jwt: Option<JwtConfig>,
}

/// How portal tokens are checked.
pub struct JwtConfig {
    /// Accepted algorithms.
    pub algorithms: Vec<String>,
    /// The only accepted `iss`.
    pub issuer: String,
    /// The only accepted `aud`.
    pub audience: String,
    /// Shared secret for HS256.
    pub hs256_secret: Option<SecretString>,
    /// Public keys for the others.
    pub jwks_file: Option<PathBuf>,
    /// Claim that names the user.
    pub claim_subject: String,
    /// Claim that names the tenant.
    pub claim_tenant: String,
    /// Claim that names the role.
    pub claim_role: String,
    /// The host's role names to ours.
    pub roles: BTreeMap<String, String>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// See [`KEYS`], section `log`.
pub struct LogConfig {
    /// Filter.
    pub level: String,
    /// Form; none: text on a terminal, else json.
    pub format: Option<LogFormat>,
}

impl Config {
    /// Reads and checks all sources. Opens no connection and no store.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        check::check(&layers::gather(sources)?)
    }
}
