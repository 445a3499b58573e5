//! Portal tokens: JWTs that the host application signs for its signed-in users.
//!
//! What is believed: the tenant, subject and role claims of a token whose algorithm, issuer and audience are the
//! configured ones and whose `exp` has not passed. What is never believed: the token's own choice of algorithm, a key
//! inside the token, a missing `exp`, `iss` or `aud`.

use std::collections::BTreeMap;

use aggregates::ids::TenantId;
use aggregates::time::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::{AuthError, Kind, Principal, Role, ScopeSet, crypto};

/// Clocks of two machines may differ by this much, in seconds.
pub const LEEWAY_SECONDS: i64 = 30;
/// Shortest shared secret: HS256 is as strong as its key, and 32 bytes is the width of the hash.
pub const SECRET_BYTES_MIN: usize = 32;
/// Longest token read; real ones are below 2 kB.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Most keys in a key set; issuers rotate among two or three.
const KEYS_MAX: usize = 64;

/// Names of the claims that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// Who: by default `sub`.
    pub subject: String,
    /// Which tenant: by default `tenant_id`.
    pub tenant: String,
    /// Which role: by default `role`.
    pub role: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            subject: "sub".into(),
            tenant: "tenant_id".into(),
            role: "role".into(),
        }
    }
}

/// How portal tokens are checked.
#[derive(Clone, Default)]
pub struct PortalSettings {
    /// Accepted algorithms: `HS256`, `RS256`, `ES256`, `EdDSA`.
    pub algorithms: Vec<String>,
    /// The only accepted `iss`.
    pub issuer: String,
    /// The only accepted `aud`.
    pub audience: String,
    /// Shared secret for HS256, at least 32 bytes.
    pub hs256_secret: Option<Vec<u8>>,
    /// A JWKS document with the public keys of the other algorithms.
    pub jwks: Option<String>,
    /// Names of the claims.
    pub claims: ClaimNames,
    /// The host's role names to ours.
    pub roles: BTreeMap<String, String>,
}

/// Settings by which no token could be checked safely.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortalSettingsError {
    /// Nothing to check with.
    #[error("portal.jwt needs algorithms, issuer and audience; set all three or none")]
    Incomplete,
    /// An algorithm we do not verify.
    #[error("portal.jwt.algorithms: {0:?} is not offered; choose among HS256, RS256, ES256, EdDSA")]
    Algorithm(String),
    /// The secret is missing or short.
    #[error("portal.jwt.hs256_secret must hold at least {SECRET_BYTES_MIN} bytes when HS256 is among the algorithms")]
    Secret,
    /// The key set is missing, malformed or has no usable key.
    #[error("portal.jwt.jwks_file: {0}")]
    KeySet(String),
    /// The role map names a role that does not exist.
    #[error("portal.jwt.roles: {0:?} is no role; choose among viewer, member, billing, admin")]
    Role(String),
}

struct SetKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Checks portal tokens.
pub struct PortalVerifier {
    algorithms: Vec<Algorithm>,
    issuer: String,
    audience: String,
    secret: Option<DecodingKey>,
    set: Vec<SetKey>,
    claims: ClaimNames,
    roles: BTreeMap<String, Role>,
}

impl PortalVerifier {
    /// Reads the settings; every error says which one to correct.
    pub fn try_new(settings: &PortalSettings) -> Result<Self, PortalSettingsError> {
        crypto::install();
        if settings.algorithms.is_empty() || settings.issuer.is_empty() || settings.audience.is_empty() {
            return Err(PortalSettingsError::Incomplete);
        }
        let algorithms: Vec<Algorithm> = settings
            .algorithms
            .iter()
            .map(|name| algorithm(name))
            .collect::<Result<_, _>>()?;
        let secret = match &settings.hs256_secret {
            Some(secret) if secret.len() >= SECRET_BYTES_MIN => Some(DecodingKey::from_secret(secret)),
            Some(_) => return Err(PortalSettingsError::Secret),
            None if algorithms.contains(&Algorithm::HS256) => return Err(PortalSettingsError::Secret),
            None => None,
        };
        let set = match &settings.jwks {
            Some(text) => key_set(text)?,
            None if algorithms.iter().any(|a| *a != Algorithm::HS256) => {
                return Err(PortalSettingsError::KeySet("needed for RS256, ES256 and EdDSA".into()));
            }
            None => Vec::new(),
        };
        let role = |(theirs, ours): (&String, &String)| match Role::find(ours) {
            Some(role) => Ok((theirs.clone(), role)),
            None => Err(PortalSettingsError::Role(ours.clone())),
        };
        Ok(Self {
            algorithms,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            secret,
            set,
            claims: settings.claims.clone(),
            roles: settings.roles.iter().map(role).collect::<Result<_, _>>()?,
        })
    }

    /// The caller behind a token, or why it is refused.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Principal, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::Refused("token_too_long"));
        }
        let header = decode_header(token).map_err(|_| AuthError::Refused("token_malformed"))?;
        if !self.algorithms.contains(&header.alg) {
            return Err(AuthError::Refused("token_algorithm"));
        }
        let key = self.key(header.alg, header.kid.as_deref())?;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // Times are judged below by our own clock, which tests can set.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims =
            decode::<Map<String, Value>>(token, key, &validation).map_err(|_| AuthError::Refused("token_invalid"))?;
        self.principal(&claims.claims, now)
    }

    fn key(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<&DecodingKey, AuthError> {
        if algorithm == Algorithm::HS256 {
            return self.secret.as_ref().ok_or(AuthError::Refused("token_algorithm"));
        }
        let fits = |key: &&SetKey| key.algorithm == algorithm && (kid.is_none() || key.kid.as_deref() == kid);
        let mut found = self.set.iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(key), None) => Ok(&key.key),
            (Some(key), Some(_)) if kid.is_some() => Ok(&key.key),
            (Some(_), Some(_)) => Err(AuthError::Refused("token_key_ambiguous")),
            (None, _) => Err(AuthError::Refused("token_key_unknown")),
        }
    }

    fn principal(&self, claims: &Map<String, Value>, now: Timestamp) -> Result<Principal, AuthError> {
        let seconds = |name: &str| claims.get(name).and_then(whole_seconds);
        let expires = seconds("exp").ok_or(AuthError::Refused("token_without_exp"))?;
        if expires.saturating_add(LEEWAY_SECONDS) <= now.seconds() {
            return Err(AuthError::Refused("token_expired"));
        }
        if claims.contains_key("nbf") {
            let begins = seconds("nbf").ok_or(AuthError::Refused("token_nbf"))?;
            if begins > now.seconds().saturating_add(LEEWAY_SECONDS) {
                return Err(AuthError::Refused("token_not_yet_valid"));
            }
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let tenant = text(&self.claims.tenant).ok_or(AuthError::Refused("token_without_tenant"))?;
        let tenant = TenantId::parse(tenant).map_err(|_| AuthError::Refused("token_tenant"))?;
        let subject = text(&self.claims.subject).unwrap_or_default();
        if subject.is_empty() || subject.len() > 255 || subject.chars().any(char::is_control) {
            return Err(AuthError::Refused("token_without_subject"));
        }
        Ok(Principal {
            kind: Kind::Portal {
                subject: subject.into(),
                role: text(&self.claims.role).map_or(Role::Viewer, |name| self.role(name)),
            },
            tenant: Some(tenant),
            scopes: ScopeSet::EMPTY,
            expires_at: Timestamp::from_seconds(expires).ok(),
        })
    }

    /// An unknown role may look and nothing else. A map, once given, is the only way to a role.
    fn role(&self, name: &str) -> Role {
        let ours = if self.roles.is_empty() {
            Role::find(name)
        } else {
            self.roles.get(name).copied()
        };
        ours.unwrap_or(Role::Viewer)
    }
}

fn algorithm(name: &str) -> Result<Algorithm, PortalSettingsError> {
    match name {
        "HS256" => Ok(Algorithm::HS256),
        "RS256" => Ok(Algorithm::RS256),
        "ES256" => Ok(Algorithm::ES256),
        "EdDSA" => Ok(Algorithm::EdDSA),
        other => Err(PortalSettingsError::Algorithm(other.to_owned())),
    }
}

fn key_set(text: &str) -> Result<Vec<SetKey>, PortalSettingsError> {
    let fault = |what: String| PortalSettingsError::KeySet(what);
    let set: JwkSet = serde_json::from_str(text).map_err(|error| fault(format!("not a JWKS document: {error}")))?;
    if set.keys.len() > KEYS_MAX {
        return Err(fault(format!("more than {KEYS_MAX} keys")));
    }
    let mut keys = Vec::new();
    for jwk in &set.keys {
        let key = DecodingKey::from_jwk(jwk).map_err(|error| fault(error.to_string()))?;
        let algorithm = match key.family() {
            jsonwebtoken::AlgorithmFamily::Rsa => Algorithm::RS256,
            jsonwebtoken::AlgorithmFamily::Ec => Algorithm::ES256,
            jsonwebtoken::AlgorithmFamily::Ed => Algorithm::EdDSA,
            // A shared secret in a file of public keys is a mistake, and would let a public file sign.
            jsonwebtoken::AlgorithmFamily::Hmac => continue,
        };
        keys.push(SetKey {
            kid: jwk.common.key_id.clone(),
            algorithm,
            key,
        });
    }
    if keys.is_empty() {
        return Err(fault("holds no RSA, P-256 or Ed25519 key".into()));
    }
    Ok(keys)
}

/// JWT times are JSON numbers; some libraries write them with a fraction, which is cut off without arithmetic on it.
fn whole_seconds(value: &Value) -> Option<i64> {
    let number = value.as_number()?;
    number.as_i64().or_else(|| {
        number
            .to_string()
            .split_once('.')
            .and_then(|(whole, _)| whole.parse().ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn settings() -> PortalSettings {
        PortalSettings {
            algorithms: vec!["HS256".into()],
            issuer: "https://host.example".into(),
            audience: "subledger".into(),
            hs256_secret: Some(SECRET.to_vec()),
            ..PortalSettings::default()
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_seconds(1_800_000_000).unwrap()
    }

    fn claims() -> Value {
        json!({ "iss": "https://host.example", "aud": "subledger", "exp": 1_800_000_600, "sub": "user-1",
            "tenant_id": "acme", "role": "billing" })
    }

    fn token(claims: &Value) -> String {
        encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET)).unwrap()
    }

    #[test]
    fn a_right_token_names_tenant_subject_and_role() {
        let verifier = PortalVerifier::try_new(&settings()).unwrap();
        let principal = verifier.verify(&token(&claims()), now()).unwrap();
        assert_eq!(principal.tenant.as_ref().map(TenantId::as_str), Some("acme"));
        assert_eq!(principal.role(), Some(Role::Billing));
        assert_eq!(principal.scope_name(), "user:acme/user-1");
        assert_eq!(principal.scopes, ScopeSet::EMPTY);
    }

    #[test]
    fn every_wrong_claim_is_refused() {
        let verifier = PortalVerifier::try_new(&settings()).unwrap();
        for (change, reason) in [
            (json!({ "iss": "https://evil.example" }), "token_invalid"),
            (json!({ "iss": null }), "token_invalid"),
            (json!({ "aud": "other" }), "token_invalid"),
            (json!({ "aud": null }), "token_invalid"),
            (json!({ "exp": null }), "token_invalid"),
            (json!({ "exp": 1_799_999_970 }), "token_expired"),
            (json!({ "exp": "1800000600" }), "token_invalid"),
            (json!({ "nbf": 1_800_000_031 }), "token_not_yet_valid"),
            (json!({ "tenant_id": null }), "token_without_tenant"),
            (json!({ "tenant_id": "*" }), "token_tenant"),
            (json!({ "tenant_id": "cus_1" }), "token_tenant"),
            (json!({ "sub": "" }), "token_without_subject"),
        ] {
            let mut claims = claims();
            for (name, value) in change.as_object().unwrap() {
                if value.is_null() {
                    claims.as_object_mut().unwrap().remove(name);
                } else {
                    claims[name] = value.clone();
                }
            }
            let answer = verifier.verify(&token(&claims), now());
            let refused = match &answer {
                Err(AuthError::Refused(reason)) => *reason,
                other => panic!("{change}: {other:?}"),
            };
            assert_eq!(refused, reason, "{change}");
        }
        let mut just = claims();
        just["exp"] = json!(1_799_999_971);
        assert!(
            verifier.verify(&token(&just), now()).is_ok(),
            "29 s ago is within the leeway"
        );
    }

    #[test]
    fn the_token_does_not_choose_its_algorithm() {
        let verifier = PortalVerifier::try_new(&settings()).unwrap();
        let good = token(&claims());
        let (_, rest) = good.split_once('.').unwrap();
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#, r#"{"alg":"RS256"}"#] {
            use base64::Engine as _;
            let forged = format!(
                "{}.{rest}",
                base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header)
            );
            assert!(verifier.verify(&forged, now()).is_err(), "{header}");
        }
        assert!(verifier.verify(&good[..good.len() - 1], now()).is_err());
        for garbage in ["", "a.b.c", "....", &"x".repeat(TOKEN_BYTES_MAX + 1)] {
            assert!(verifier.verify(garbage, now()).is_err());
        }
    }

    #[test]
    fn roles_are_mapped_and_unknown_ones_may_only_look() {
        let mut mapped = settings();
        mapped.roles.insert("owner".into(), "admin".into());
        let verifier = PortalVerifier::try_new(&mapped).unwrap();
        for (theirs, ours) in [
            ("owner", Role::Admin),
            ("billing", Role::Viewer),
            ("nobody", Role::Viewer),
        ] {
            let mut claims = claims();
            claims["role"] = json!(theirs);
            assert_eq!(verifier.verify(&token(&claims), now()).unwrap().role(), Some(ours));
        }
    }

    #[test]
    fn public_keys_verify_by_ring() {
        use base64::Engine as _;
        use ring::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let random = ring::rand::SystemRandom::new();
        let ed = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let signing = &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let ec = EcdsaKeyPair::generate_pkcs8(signing, &random).unwrap();
        let ec = EcdsaKeyPair::from_pkcs8(signing, ec.as_ref(), &random).unwrap();
        let point = ec.public_key().as_ref();
        let jwks = json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": engine.encode(ed.public_key().as_ref()) },
            { "kty": "EC", "crv": "P-256", "kid": "ec", "x": engine.encode(&point[1..33]), "y": engine.encode(&point[33..]) },
        ]});
        let verifier = PortalVerifier::try_new(&PortalSettings {
            algorithms: vec!["EdDSA".into(), "ES256".into()],
            hs256_secret: None,
            jwks: Some(jwks.to_string()),
            ..settings()
        })
        .unwrap();
        let unsigned = |header: &Value| {
            format!(
                "{}.{}",
                engine.encode(header.to_string()),
                engine.encode(claims().to_string())
            )
        };
        let message = unsigned(&json!({ "alg": "EdDSA", "kid": "ed" }));
        let by_ed = format!("{message}.{}", engine.encode(ed.sign(message.as_bytes()).as_ref()));
        let message = unsigned(&json!({ "alg": "ES256", "kid": "ec" }));
        let by_ec = format!(
            "{message}.{}",
            engine.encode(ec.sign(&random, message.as_bytes()).unwrap().as_ref())
        );
        assert!(verifier.verify(&by_ed, now()).is_ok());
        assert!(verifier.verify(&by_ec, now()).is_ok());
        let flipped = by_ed.replacen("eyJ", "eyK", 1);
        assert!(verifier.verify(&flipped, now()).is_err());
        let message = unsigned(&json!({ "alg": "EdDSA", "kid": "gone" }));
        let unknown = format!("{message}.{}", engine.encode(ed.sign(message.as_bytes()).as_ref()));
        assert_eq!(
            verifier.verify(&unknown, now()),
            Err(AuthError::Refused("token_key_unknown"))
        );
        // A shared-secret token cannot pass off a public key as the secret: HS256 is not configured here.
        assert_eq!(
            verifier.verify(&token(&claims()), now()),
            Err(AuthError::Refused("token_algorithm"))
        );
    }

    #[test]
    fn unsafe_settings_are_refused() {
        let incomplete = PortalSettings {
            issuer: String::new(),
            ..settings()
        };
        assert_eq!(
            PortalVerifier::try_new(&incomplete).err(),
            Some(PortalSettingsError::Incomplete)
        );
        let none = PortalSettings {
            algorithms: vec!["none".into()],
            ..settings()
        };
        assert_eq!(
            PortalVerifier::try_new(&none).err(),
            Some(PortalSettingsError::Algorithm("none".into()))
        );
        let short = PortalSettings {
            hs256_secret: Some(vec![1; 31]),
            ..settings()
        };
        assert_eq!(PortalVerifier::try_new(&short).err(), Some(PortalSettingsError::Secret));
        let empty = PortalSettings {
            jwks: Some(r#"{"keys":[]}"#.into()),
            ..settings()
        };
        assert!(matches!(
            PortalVerifier::try_new(&empty).err(),
            Some(PortalSettingsError::KeySet(_))
        ));
    }
}
