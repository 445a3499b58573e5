//! From texts to the validated struct; each refusal names the key and says what it must be, never what it was.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use aggregates::plan::Mode;
use secrecy::{ExposeSecret, SecretString};

use super::layers::{Value, Values};
use super::{
    Config, ConfigError, HttpConfig, JwtConfig, LogConfig, LogFormat, PortalConfig, StoreConfig, StripeConfig,
    WorkerConfig,
};
use crate::http::redirects::origin_of;
use crate::stripe::client::TransportKind;
use crate::stripe::client::base::{ApiBase, is_loopback};

/// Shortest pepper and portal secret: as long as the HMAC's own output.
const SECRET_BYTES_MIN: usize = 32;

pub(super) fn check(values: &Values) -> Result<Config, ConfigError> {
    let stripe = stripe(values)?;
    let store = store(values)?;
    let http = http(values)?;
    let frontend_url = frontend_url(values)?;
    Ok(Config {
        worker: worker(values, &store)?,
        store,
        stripe,
        portal: PortalConfig {
            return_origins: return_origins(values, frontend_url.as_deref(), &http.public_url)?,
            frontend_url,
            cors_origins: origins(values)?,
            jwt: jwt(values)?,
        },
        http,
        refund_alone_max_minor: within(
            values,
            "approvals.refund_alone_max_minor",
            0,
            1_000_000_000_000_000,
            "must be a whole number of minor units",
        )?,
        key_pepper: long_secret(values, "auth.key_pepper")?,
        plans_file: text(values, "plans.file").map(PathBuf::from),
        log: log(values)?,
    })
}

fn text(values: &Values, key: &str) -> Option<String> {
    values.get(key).map(|value| value.text.to_string())
}

fn list(values: &Values, key: &str) -> Vec<String> {
    values.get(key).map(Value::list).unwrap_or_default()
}

fn parsed<T: FromStr>(values: &Values, key: &str, must: &str) -> Result<Option<T>, ConfigError> {
    match values.get(key) {
        None => Ok(None),
        Some(value) => value
            .text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| ConfigError::invalid(key, must)),
    }
}

fn needed<T: FromStr>(values: &Values, key: &str, must: &str) -> Result<T, ConfigError> {
    parsed(values, key, must)?.ok_or_else(|| ConfigError::invalid(key, must))
}

fn within<T: FromStr + PartialOrd>(values: &Values, key: &str, low: T, high: T, must: &str) -> Result<T, ConfigError> {
    let number: T = needed(values, key, must)?;
    if number < low || number > high {
        Err(ConfigError::invalid(key, must))
    } else {
        Ok(number)
    }
}

fn long_secret(values: &Values, key: &str) -> Result<Option<SecretString>, ConfigError> {
    match values.get(key) {
        Some(value) if value.text.len() < SECRET_BYTES_MIN => {
            Err(ConfigError::invalid(key, "must have at least 32 characters"))
        }
        value => Ok(value.map(Value::secret)),
    }
}

fn http(values: &Values) -> Result<HttpConfig, ConfigError> {
    let address = "must be an address with a port, for instance 127.0.0.1:8080";
    let listen: SocketAddr = needed(values, "http.listen", address)?;
    let proxies = list(values, "http.trusted_proxies")
        .iter()
        .map(|net| {
            net.parse()
                .map_err(|_| ConfigError::invalid("http.trusted_proxies", "must list networks such as 10.0.0.0/8"))
        })
        .collect::<Result<_, _>>()?;
    let public_url = match text(values, "http.public_url") {
        Some(url) => public_url(&url)?,
        None => format!("http://{listen}"),
    };
    Ok(HttpConfig {
        listen,
        public_url,
        metrics_listen: needed(values, "http.metrics_listen", address)?,
        trusted_proxies: proxies,
    })
}

fn host_of(url: &str) -> Option<(&str, &str)> {
    let uri_rest = url.split_once("://")?;
    let authority = uri_rest.1.split('/').next()?;
    if authority.is_empty() || authority.contains('@') {
        return None;
    }
    let host = authority.rsplit_once(':').map_or(authority, |(host, port)| {
        if port.bytes().all(|b| b.is_ascii_digit()) {
            host
        } else {
            authority
        }
    });
    Some((uri_rest.0, host))
}

fn public_url(url: &str) -> Result<String, ConfigError> {
    let key = "http.public_url";
    match host_of(url) {
        Some(("https", _)) => Ok(url.trim_end_matches('/').to_owned()),
        Some(("http", host)) if is_loopback(host) => Ok(url.trim_end_matches('/').to_owned()),
        Some(("http", _)) => Err(ConfigError::invalid(
            key,
            "must be https, except on loopback; TLS ends at your proxy",
        )),
        _ => Err(ConfigError::invalid(
            key,
            "must be a URL such as https://billing.example.com",
        )),
    }
}

fn store(values: &Values) -> Result<StoreConfig, ConfigError> {
    let url = values.get("store.url");
    if url.is_some_and(|url| !url.text.starts_with("postgres://") && !url.text.starts_with("postgresql://")) {
        let must = "must begin with postgres://; leave it unset for SQLite in store.data_dir";
        return Err(ConfigError::invalid("store.url", must));
    }
    let partitions: Option<u32> = parsed(values, "store.partitions", "must be a whole number from 1 to 4096")?;
    if partitions.is_some_and(|n| n == 0 || n > aggregates::partition::PARTS_MAX) {
        return Err(ConfigError::invalid(
            "store.partitions",
            "must be a whole number from 1 to 4096",
        ));
    }
    if url.is_none() && partitions.is_some_and(|n| n != 1) {
        return Err(ConfigError::invalid(
            "store.partitions",
            "must be 1 (or unset) on SQLite, which has one writer",
        ));
    }
    Ok(StoreConfig {
        url: url.map(Value::secret),
        data_dir: PathBuf::from(text(values, "store.data_dir").unwrap_or_else(|| "data".into())),
        partitions,
        connections: within(
            values,
            "store.connections",
            4,
            200,
            "must be a whole number from 4 to 200",
        )?,
        accept_unsafe_server: needed(values, "store.accept_unsafe_server", "must be true or false")?,
    })
}

fn worker(values: &Values, store: &StoreConfig) -> Result<WorkerConfig, ConfigError> {
    let instance = text(values, "worker.instance").unwrap_or_else(|| {
        let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
        let directory = std::path::absolute(&store.data_dir).unwrap_or_else(|_| store.data_dir.clone());
        format!("{}:{}", host.trim(), directory.display())
    });
    Ok(WorkerConfig {
        enabled: needed(values, "worker.enabled", "must be true or false")?,
        poll_ms: within(
            values,
            "worker.poll_ms",
            10,
            10_000,
            "must be milliseconds from 10 to 10000",
        )?,
        instance,
    })
}

fn secrets(values: &Values, key: &str) -> Result<Vec<SecretString>, ConfigError> {
    let Some(value) = values.get(key) else {
        return Ok(Vec::new());
    };
    let parts: Vec<&str> = value.text.split(',').map(str::trim).collect();
    if parts.iter().any(|part| part.is_empty() || *part == "whsec_") {
        return Err(ConfigError::invalid(
            key,
            "has a blank entry: an endpoint with a blank secret would be open",
        ));
    }
    Ok(parts.into_iter().map(SecretString::from).collect())
}

fn stripe(values: &Values) -> Result<StripeConfig, ConfigError> {
    let secret_key = values.get("stripe.secret_key").map(Value::secret);
    let is_live = secret_key.as_ref().map(|key| {
        let key = key.expose_secret();
        key.starts_with("sk_live_") || key.starts_with("rk_live_")
    });
    let mode = match (text(values, "stripe.mode").as_deref(), is_live) {
        (None, Some(true)) | (Some("live"), Some(true) | None) => Mode::Live,
        (None, _) | (Some("test"), Some(false) | None) => Mode::Test,
        (Some("test" | "live"), Some(_)) => {
            return Err(ConfigError::invalid(
                "stripe.mode",
                "does not fit stripe.secret_key, which is of the other mode",
            ));
        }
        (Some(_), _) => return Err(ConfigError::invalid("stripe.mode", "must be test or live")),
    };
    let mut endpoints = BTreeMap::new();
    for key in values.keys().filter(|key| key.starts_with("stripe.endpoints.")) {
        if let Some(name) = key.split('.').nth(2) {
            endpoints.insert(name.to_owned(), secrets(values, key)?);
        }
    }
    Ok(StripeConfig {
        mode,
        secret_key,
        webhook_secrets: secrets(values, "stripe.webhook_secrets")?,
        endpoints,
        api_base: api_base(values, mode)?,
        transport: transport(values)?,
        portal_configuration: text(values, "stripe.portal_configuration"),
        tolerance_s: within(values, "stripe.tolerance_s", 60, 900, "must be seconds from 60 to 900")?,
    })
}

fn api_base(values: &Values, mode: Mode) -> Result<ApiBase, ConfigError> {
    let key = "stripe.api_base";
    let base = ApiBase::parse(&text(values, key).unwrap_or_default())
        .map_err(|error| ConfigError::invalid(key, error.to_string()))?;
    if mode == Mode::Live && !base.is_stripe() {
        return Err(ConfigError::invalid(
            key,
            "must be Stripe's own address with a live key",
        ));
    }
    Ok(base)
}

fn transport(values: &Values) -> Result<TransportKind, ConfigError> {
    let key = "stripe.transport";
    match text(values, key).as_deref() {
        None | Some("pooled") => Ok(TransportKind::Pooled),
        Some("stock") => Ok(TransportKind::Stock),
        Some(_) => Err(ConfigError::invalid(key, "must be pooled or stock")),
    }
}

fn origins(values: &Values) -> Result<Vec<String>, ConfigError> {
    let key = "portal.cors_origins";
    let origins = list(values, key);
    for origin in &origins {
        let is_bare = host_of(origin).is_some() && origin.matches('/').count() == 2 && !origin.contains('*');
        if !is_bare {
            return Err(ConfigError::invalid(
                key,
                "must list origins such as https://app.example.com, without a path",
            ));
        }
    }
    Ok(origins)
}

fn frontend_url(values: &Values) -> Result<Option<String>, ConfigError> {
    let key = "portal.frontend_url";
    let Some(url) = text(values, key) else {
        return Ok(None);
    };
    let url = url.trim_end_matches('/').to_owned();
    let is_safe = match host_of(&url) {
        Some(("https", _)) => true,
        Some(("http", host)) => is_loopback(host),
        _ => false,
    };
    if is_safe && origin_of(&url).is_some() && !url.contains(['?', '#']) {
        return Ok(Some(url));
    }
    Err(ConfigError::invalid(
        key,
        "must be a URL such as https://app.example.com, https except on loopback, without query and fragment",
    ))
}

/// Those that are set, else those of the front end and of this service.
fn return_origins(values: &Values, frontend: Option<&str>, public_url: &str) -> Result<Vec<String>, ConfigError> {
    let key = "portal.return_origins";
    let listed = list(values, key);
    if listed.is_empty() {
        return Ok(frontend.into_iter().chain([public_url]).filter_map(origin_of).collect());
    }
    let mut origins = Vec::new();
    for origin in listed {
        match origin_of(&origin).filter(|_| origin.matches('/').count() == 2) {
            Some(origin) => origins.push(origin),
            None => {
                return Err(ConfigError::invalid(
                    key,
                    "must list origins such as https://app.example.com, without a path",
                ));
            }
        }
    }
    Ok(origins)
}

fn jwt(values: &Values) -> Result<Option<JwtConfig>, ConfigError> {
    let algorithms = list(values, "portal.jwt.algorithms");
    let issuer = text(values, "portal.jwt.issuer");
    let audience = text(values, "portal.jwt.audience");
    let hs256_secret = long_secret(values, "portal.jwt.hs256_secret")?;
    let jwks_file = text(values, "portal.jwt.jwks_file").map(PathBuf::from);
    if algorithms.is_empty() && issuer.is_none() && audience.is_none() && hs256_secret.is_none() && jwks_file.is_none()
    {
        return Ok(None);
    }
    let (false, Some(issuer), Some(audience)) = (algorithms.is_empty(), issuer, audience) else {
        let must = "needs algorithms, issuer and audience; set all three, or nothing of portal.jwt";
        return Err(ConfigError::invalid("portal.jwt", must));
    };
    let mut roles = BTreeMap::new();
    for (key, value) in values.iter().filter(|(key, _)| key.starts_with("portal.jwt.roles.")) {
        if !matches!(value.text.as_str(), "viewer" | "member" | "billing" | "admin") {
            return Err(ConfigError::invalid(key, "must be viewer, member, billing or admin"));
        }
        if let Some(name) = key.split('.').nth(3) {
            roles.insert(name.to_owned(), value.text.to_string());
        }
    }
    let claim = |name: &str| text(values, &format!("portal.jwt.claims.{name}")).unwrap_or_else(|| name.to_owned());
    Ok(Some(JwtConfig {
        algorithms,
        issuer,
        audience,
        hs256_secret,
        jwks_file,
        claim_subject: claim("subject"),
        claim_tenant: claim("tenant"),
        claim_role: claim("role"),
        roles,
    }))
}

fn log(values: &Values) -> Result<LogConfig, ConfigError> {
    let format = match text(values, "log.format").as_deref() {
        None => None,
        Some("text") => Some(LogFormat::Text),
        Some("json") => Some(LogFormat::Json),
        Some(_) => return Err(ConfigError::invalid("log.format", "must be text or json")),
    };
    let level = text(values, "log.level").unwrap_or_else(|| "info".into());
    if tracing_subscriber::EnvFilter::try_new(&level).is_err() {
        return Err(ConfigError::invalid(
            "log.level",
            "must be a level such as info, or a filter such as info,subledger=debug",
        ));
    }
    Ok(LogConfig { level, format })
}
