//! The signature of a webhook: `Stripe-Signature: t=<unix seconds>,v1=<64 hex digits>[,v1=..][,v0=..]`.
//!
//! What is signed are the bytes `t` + `.` + body, so the input here is always the body as it was
//! received, never text that was decoded and written again. Every configured secret is tried
//! against every `v1` value without an early exit, so several endpoints and a secret being rolled
//! need no rule of their own, and the time taken says nothing about which of them matched.

use std::fmt;
use std::sync::Arc;

use aggregates::time::Timestamp;
use ring::hmac;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Longest header read, in bytes: sixteen elements need a quarter of it.
pub const HEADER_BYTES_MAX: usize = 4096;
/// Most elements in one header. Stripe sends one `v1` per live secret, two while a secret is rolled.
pub const HEADER_ELEMENTS_MAX: usize = 16;
/// Bytes of an HMAC-SHA256 tag.
const TAG_BYTES: usize = 32;
/// What the signing scheme is called in the header. `v0` is Stripe's fake scheme and never counts.
const SCHEME: &[u8] = b"v1";

/// One signing secret of a webhook endpoint, by the name the operator gave it.
#[derive(Clone)]
pub struct NamedSecret {
    name: Arc<str>,
    key: hmac::Key,
}

/// A secret or a tolerance that cannot be used; refused before the service starts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// An empty key would accept what anyone signs with an empty key.
    #[error("webhook secret {name:?} is blank; copy the endpoint's signing secret (whsec_...) from Stripe")]
    BlankSecret {
        /// Its configured name.
        name: String,
    },
    /// Outside the range in which replay protection and clock error are both sensible.
    #[error("webhook tolerance of {seconds} s is out of range; choose 60 to 900 seconds")]
    Tolerance {
        /// What was configured.
        seconds: i64,
    },
}

impl NamedSecret {
    /// Takes the whole secret string, `whsec_` included, as Stripe signs with it; blank text is refused.
    pub fn parse(name: &str, secret: &str) -> Result<Self, VerifierError> {
        let secret = secret.trim();
        if secret.is_empty() || secret == "whsec_" {
            return Err(VerifierError::BlankSecret { name: name.to_owned() });
        }
        Ok(Self {
            name: name.into(),
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
        })
    }

    /// The configured name; it may be logged and stored, the secret never.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for NamedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamedSecret({:?}, masked)", self.name)
    }
}

/// How old a signature may be, in seconds: 60 to 900, 300 unless configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance(i64);

impl Tolerance {
    /// Fails outside 60 to 900 seconds.
    pub fn parse(seconds: i64) -> Result<Self, VerifierError> {
        if (60..=900).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(VerifierError::Tolerance { seconds })
        }
    }

    /// The tolerance in seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0
    }
}

impl Default for Tolerance {
    /// 300 seconds, as both official SDKs.
    fn default() -> Self {
        Self(300)
    }
}

/// A body that was signed with one of our secrets, recently enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The configured name of the secret that matched.
    pub secret_name: Arc<str>,
    /// When Stripe signed this delivery.
    pub timestamp: Timestamp,
    /// Seconds by which the signature lies in the future beyond the tolerance. It is accepted, as by
    /// both official SDKs, because the likely fault is our own clock; whoever gets this counts and warns.
    pub future_skew_seconds: Option<i64>,
}

/// Why a delivery is refused. The caller of the endpoint learns none of this; it is counted by reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Nothing to check; most likely not Stripe.
    #[error("the request has no Stripe-Signature header")]
    NoHeader,
    /// The header breaks its own grammar.
    #[error("the Stripe-Signature header is malformed: {0}")]
    Malformed(&'static str),
    /// No configured secret made any of the signatures; a wrong secret or a changed body.
    #[error("no configured webhook secret matches the signature; compare the endpoint's signing secret with ours")]
    NoMatch,
    /// Rightly signed, but too long ago. Many in a row mean that our clock is ahead.
    #[error("the signature is {age_seconds} s old; if this goes on, check this machine's clock")]
    TooOld {
        /// Our clock less the signature's time.
        age_seconds: i64,
    },
}

impl SignatureError {
    /// A stable word for metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoHeader => "no_header",
            Self::Malformed(_) => "malformed",
            Self::NoMatch => "no_match",
            Self::TooOld { .. } => "too_old",
        }
    }
}

/// Checks deliveries against a fixed set of secrets.
#[derive(Clone, Debug)]
pub struct Verifier {
    secrets: Arc<[NamedSecret]>,
    tolerance: Tolerance,
}

impl Verifier {
    /// A verifier without secrets is legal and refuses everything.
    #[must_use]
    pub fn new(secrets: Vec<NamedSecret>, tolerance: Tolerance) -> Self {
        Self {
            secrets: secrets.into(),
            tolerance,
        }
    }

    /// Accepts the body if one of the secrets signed it at most the tolerance ago.
    ///
    /// `header` is the value of `Stripe-Signature` as bytes, `body` the body as received. The age is
    /// looked at only after a match, so that a wrong signature and an old one stay distinct.
    pub fn verify(&self, header: Option<&[u8]>, body: &[u8], now: Timestamp) -> Result<Verified, SignatureError> {
        let header = Header::parse(header.unwrap_or_default())?;
        let secret_name = self.matching(&header, body).ok_or(SignatureError::NoMatch)?;
        let age_seconds = now.seconds().saturating_sub(header.timestamp.seconds());
        if age_seconds > self.tolerance.0 {
            return Err(SignatureError::TooOld { age_seconds });
        }
        Ok(Verified {
            secret_name,
            timestamp: header.timestamp,
            future_skew_seconds: (age_seconds < -self.tolerance.0).then(|| age_seconds.saturating_neg()),
        })
    }

    /// All pairs of secret and signature are compared, whatever matched before.
    fn matching(&self, header: &Header<'_>, body: &[u8]) -> Option<Arc<str>> {
        let none = u64::MAX;
        let mut found = none;
        for (index, secret) in (0_u64..).zip(self.secrets.iter()) {
            let tag = tag_of(&secret.key, header.signed_at, body);
            let mut hit = Choice::from(0);
            for candidate in &header.candidates {
                hit |= candidate.ct_eq(tag.as_ref());
            }
            found.conditional_assign(&index, hit);
        }
        let index = usize::try_from(found).ok()?;
        self.secrets.get(index).map(|secret| Arc::clone(&secret.name))
    }
}

/// The header taken apart.
struct Header<'a> {
    /// The digits of `t` exactly as signed.
    signed_at: &'a [u8],
    timestamp: Timestamp,
    candidates: Vec<[u8; TAG_BYTES]>,
}

impl<'a> Header<'a> {
    fn parse(header: &'a [u8]) -> Result<Self, SignatureError> {
        if header.trim_ascii().is_empty() {
            return Err(SignatureError::NoHeader);
        }
        if header.len() > HEADER_BYTES_MAX {
            return Err(SignatureError::Malformed("longer than 4096 bytes"));
        }
        if header.split(|byte| *byte == b',').count() > HEADER_ELEMENTS_MAX {
            return Err(SignatureError::Malformed("more than 16 elements"));
        }
        let mut signed_at = None;
        let mut candidates = Vec::new();
        for element in header.split(|byte| *byte == b',') {
            let Some(at) = element.iter().position(|byte| *byte == b'=') else {
                continue;
            };
            let (scheme, value) = element.split_at(at);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            match scheme.trim_ascii() {
                b"t" if signed_at.replace(value).is_some() => {
                    return Err(SignatureError::Malformed("more than one t"));
                }
                scheme if scheme == SCHEME => candidates.extend(tag_from_hex(value)),
                _ => {}
            }
        }
        let signed_at = signed_at.ok_or(SignatureError::Malformed("no t"))?;
        let timestamp = seconds(signed_at).ok_or(SignatureError::Malformed("t is not a time in whole seconds"))?;
        if candidates.is_empty() {
            return Err(SignatureError::Malformed("no v1 signature of 64 hex digits"));
        }
        Ok(Self {
            signed_at,
            timestamp,
            candidates,
        })
    }
}

/// Digits only: no sign, no fraction, no other script's digits.
fn seconds(digits: &[u8]) -> Option<Timestamp> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Timestamp::from_seconds(seconds).ok()
}

/// A value of another length or alphabet is no candidate; upper-case digits are.
fn tag_from_hex(value: &[u8]) -> Option<[u8; TAG_BYTES]> {
    let mut tag = [0; TAG_BYTES];
    hex::decode_to_slice(value, &mut tag).ok()?;
    Some(tag)
}

fn tag_of(key: &hmac::Key, signed_at: &[u8], body: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(signed_at);
    context.update(b".");
    context.update(body);
    context.sign()
}

/// A `Stripe-Signature` header for `body`, as Stripe would send it at `at`: for the demo, the sandbox and tests.
#[must_use]
pub fn sign(secret: &str, at: Timestamp, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let seconds = at.seconds();
    let tag = tag_of(&key, seconds.to_string().as_bytes(), body);
    format!("t={seconds},v1={}", hex::encode(tag))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "whsec_test_secret";
    const BODY: &[u8] = br#"{"id":"evt_1"}"#;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds).unwrap()
    }

    fn verifier(secrets: &[(&str, &str)]) -> Verifier {
        let secrets = secrets
            .iter()
            .map(|(name, secret)| NamedSecret::parse(name, secret).unwrap());
        Verifier::new(secrets.collect(), Tolerance::default())
    }

    fn ours() -> Verifier {
        verifier(&[("main", SECRET)])
    }

    fn v1(secret: &str, seconds: i64, body: &[u8]) -> String {
        sign(secret, at(seconds), body).split_once("v1=").unwrap().1.to_owned()
    }

    #[test]
    fn a_known_answer() {
        // HMAC-SHA256("whsec_test_secret", "1700000000.{}"), computed with Python's hmac module.
        assert_eq!(
            sign(SECRET, at(1_700_000_000), b"{}"),
            "t=1700000000,v1=ceb8863f7208fa249a6cd8f951e993c7563412aca65866f6272283debe143ab3"
        );
    }

    #[test]
    fn a_blank_secret_or_a_silly_tolerance_is_refused_before_it_can_accept_anything() {
        for blank in ["", "  ", "whsec_", "\n"] {
            assert!(NamedSecret::parse("main", blank).is_err(), "{blank:?}");
        }
        for seconds in [-1, 0, 59, 901, i64::MAX] {
            assert!(Tolerance::parse(seconds).is_err(), "{seconds}");
        }
        assert_eq!(Tolerance::parse(60).map(Tolerance::seconds), Ok(60));
        let masked = format!("{:?}", ours());
        assert!(!masked.contains(SECRET), "{masked}");
    }

    #[test]
    fn hostile_headers_are_refused_by_name() {
        let good = v1(SECRET, 1000, BODY);
        let cases: Vec<(String, &str)> = vec![
            (String::new(), "no_header"),
            ("   ".into(), "no_header"),
            ("t".into(), "malformed"),
            ("t=1000".into(), "malformed"),
            (format!("v1={good}"), "malformed"),
            (format!("t=,v1={good}"), "malformed"),
            (format!("t=1000,t=1000,v1={good}"), "malformed"),
            (format!("t=-1000,v1={good}"), "malformed"),
            (format!("t=+1000,v1={good}"), "malformed"),
            (format!("t=1e3,v1={good}"), "malformed"),
            (format!("t=1000.0,v1={good}"), "malformed"),
            (format!("t=\u{661}\u{660}\u{660}\u{660},v1={good}"), "malformed"),
            (format!("t=99999999999999999999,v1={good}"), "malformed"),
            (format!("t=999999999999999,v1={good}"), "malformed"),
            (format!("t=1000,v0={good}"), "malformed"),
            (format!("t=1000,V1={good}"), "malformed"),
            (format!("t=1000,v2={good}"), "malformed"),
            ("t=1000,v1=".into(), "malformed"),
            (format!("t=1000,v1={}", &good[1..]), "malformed"),
            (format!("t=1000,v1={good}0"), "malformed"),
            (format!("t=1000,v1=0x{}", &good[2..]), "malformed"),
            (format!("t=1000,v1={}zz", &good[2..]), "malformed"),
            (format!("t=1000,v1=v1={good}"), "malformed"),
            (format!("t=1000;v1={good}"), "malformed"),
            (format!("t=1000{},v1={good}", ",v1=00".repeat(15)), "malformed"),
            (format!("t=1000,v1={good},x={}", "y".repeat(4096)), "malformed"),
            (format!("t=1001,v1={good}"), "no_match"),
            (format!("t=01000,v1={good}"), "no_match"),
            (format!("t=1000,v1={}", "0".repeat(64)), "no_match"),
        ];
        for (header, reason) in cases {
            let refused = ours().verify(Some(header.as_bytes()), BODY, at(1000)).unwrap_err();
            assert_eq!(refused.reason(), reason, "{header}");
        }
        assert_eq!(ours().verify(None, BODY, at(1000)), Err(SignatureError::NoHeader));
        let not_text = [b"t=1000,v1=".as_slice(), &[0xff; 64]].concat();
        assert_eq!(
            ours().verify(Some(&not_text), BODY, at(1000)).unwrap_err().reason(),
            "malformed"
        );
    }

    #[test]
    fn unusual_but_right_headers_are_accepted() {
        let good = v1(SECRET, 1000, BODY);
        for header in [
            format!("t=1000,v1={}", good.to_uppercase()),
            format!(" t = 1000 , v1 = {good} "),
            format!("v1={good},t=1000"),
            format!("t=1000,v0=x,v9=y,nonsense,,v1={good},"),
            format!("t=1000,v1={},v1={good}", "0".repeat(64)),
            format!("t=1000,v1=short,v1={good},v1={}", "f".repeat(64)),
            format!("t=1000,v1={good}{}", ",v1=00".repeat(14)),
        ] {
            let verified = ours().verify(Some(header.as_bytes()), BODY, at(1000)).unwrap();
            assert_eq!(&*verified.secret_name, "main", "{header}");
        }
    }

    #[test]
    fn any_of_several_secrets_matches_and_is_named() {
        let several = verifier(&[("old", "whsec_old"), ("new", "whsec_new"), ("connect", "whsec_connect")]);
        for (name, secret) in [("old", "whsec_old"), ("new", "whsec_new"), ("connect", "whsec_connect")] {
            let header = sign(secret, at(1000), BODY);
            let verified = several.verify(Some(header.as_bytes()), BODY, at(1000)).unwrap();
            assert_eq!(&*verified.secret_name, name);
        }
        let rolled = format!(
            "{},v1={}",
            sign("whsec_unknown", at(1000), BODY),
            v1("whsec_new", 1000, BODY)
        );
        let verified = several.verify(Some(rolled.as_bytes()), BODY, at(1000)).unwrap();
        assert_eq!(&*verified.secret_name, "new");
        let header = sign("new", at(1000), BODY);
        assert_eq!(
            several.verify(Some(header.as_bytes()), BODY, at(1000)),
            Err(SignatureError::NoMatch),
            "the whole secret is the key, its prefix included"
        );
        let nobody = verifier(&[]);
        assert_eq!(
            nobody.verify(Some(header.as_bytes()), BODY, at(1000)),
            Err(SignatureError::NoMatch)
        );
    }

    #[test]
    fn age_counts_only_for_what_is_rightly_signed() {
        let header = sign(SECRET, at(10_000), BODY);
        let outcome = |now| ours().verify(Some(header.as_bytes()), BODY, at(now));
        assert_eq!(outcome(10_299).unwrap().future_skew_seconds, None);
        assert_eq!(outcome(10_300).unwrap().timestamp, at(10_000));
        assert_eq!(outcome(10_301), Err(SignatureError::TooOld { age_seconds: 301 }));
        assert_eq!(outcome(9_700).unwrap().future_skew_seconds, None);
        assert_eq!(outcome(9_699).unwrap().future_skew_seconds, Some(301));
        let forged = sign("whsec_other", at(1), BODY);
        assert_eq!(
            ours().verify(Some(forged.as_bytes()), BODY, at(10_000)),
            Err(SignatureError::NoMatch)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn what_is_signed_verifies(body in proptest::collection::vec(any::<u8>(), 0..512), seconds in 0_i64..4_000_000_000) {
            let header = sign(SECRET, at(seconds), &body);
            let verified = ours().verify(Some(header.as_bytes()), &body, at(seconds)).unwrap();
            prop_assert_eq!(verified.timestamp, at(seconds));
        }

        #[test]
        fn one_changed_bit_of_the_body_is_refused(mut body in proptest::collection::vec(any::<u8>(), 1..256), place: prop::sample::Index, bit in 0_u8..8) {
            let header = sign(SECRET, at(1000), &body);
            let place = place.index(body.len());
            body[place] ^= 1 << bit;
            prop_assert_eq!(ours().verify(Some(header.as_bytes()), &body, at(1000)), Err(SignatureError::NoMatch));
        }

        #[test]
        fn one_changed_bit_of_the_header_is_refused_or_means_the_same(place: prop::sample::Index, bit in 0_u8..8) {
            let header = sign(SECRET, at(1000), BODY).into_bytes();
            let mut changed = header.clone();
            let place = place.index(changed.len());
            changed[place] ^= 1 << bit;
            // The same hex digit in the other case is the only change that may pass.
            let outcome = ours().verify(Some(&changed), BODY, at(1000));
            let same = changed.to_ascii_lowercase() == header && changed[place].is_ascii_hexdigit();
            prop_assert_eq!(outcome.is_ok(), same, "{}", String::from_utf8_lossy(&changed));
        }

        #[test]
        fn any_header_gets_an_answer(header in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(ours().verify(Some(&header), BODY, at(1000)).is_err());
        }
    }
}
