//! API keys: `subl_<test|live>_<8-character id>_<43-character secret>`, 256 random bits.
//!
//! Stored are the id and HMAC-SHA256(pepper, secret), so a stolen table opens nothing. The secret is base64url and may
//! contain `_`: the text is split into four at most.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

use super::Mode;

/// First part of every key.
pub const PREFIX: &str = "subl_";
/// First part of the local admin token.
pub const ADMIN_PREFIX: &str = "subladm_";
/// Characters of a key's public id.
pub const ID_CHARACTERS: usize = 8;
/// Characters of a secret: 32 bytes as base64url without padding.
pub const SECRET_CHARACTERS: usize = 43;
/// Shortest pepper, in bytes: as wide as the hash it keys.
pub const PEPPER_BYTES_MIN: usize = 32;

/// Letters and digits that cannot be mistaken for each other.
const ID_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The key under which secrets are stored.
#[derive(Clone)]
pub struct Pepper(hmac::Key);

/// The pepper is too short to protect the stored secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("auth.key_pepper must hold at least {PEPPER_BYTES_MIN} bytes; `subledger init` makes one")]
pub struct PepperError;

impl Pepper {
    /// Takes at least 32 bytes.
    pub fn parse(text: &str) -> Result<Self, PepperError> {
        if text.len() < PEPPER_BYTES_MIN {
            return Err(PepperError);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes())))
    }

    /// What is stored of a secret.
    #[must_use]
    pub fn seal(&self, secret: &str) -> [u8; 32] {
        let mut sealed = [0; 32];
        sealed.copy_from_slice(hmac::sign(&self.0, secret.as_bytes()).as_ref());
        sealed
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(masked)")
    }
}

/// A key as its holder shows it.
pub struct PresentedKey<'a> {
    /// Of which ledger it is.
    pub mode: Mode,
    /// Its public id.
    pub id: &'a str,
    secret: &'a str,
}

impl<'a> PresentedKey<'a> {
    /// Splits the text; nothing when it is not of the form.
    #[must_use]
    pub fn find(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix(PREFIX)?.splitn(3, '_');
        let mode = match parts.next()? {
            "test" => Mode::Test,
            "live" => Mode::Live,
            _ => return None,
        };
        let (id, secret) = (parts.next()?, parts.next()?);
        let fits = id.len() == ID_CHARACTERS
            && id.bytes().all(|b| ID_ALPHABET.contains(&b))
            && secret.len() == SECRET_CHARACTERS
            && secret
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        fits.then_some(Self { mode, id, secret })
    }

    /// Whether its secret is the stored one; the time taken says nothing about how much of it was right.
    #[must_use]
    pub fn opens(&self, sealed: &[u8; 32], pepper: &Pepper) -> bool {
        pepper.seal(self.secret).ct_eq(sealed).into()
    }
}

/// A key just made: the only moment at which its text exists on our side.
pub struct NewKey {
    /// Public id.
    pub id: String,
    /// The whole key, to be shown once.
    pub text: String,
    /// What is stored.
    pub sealed: [u8; 32],
}

/// The system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes; no secret can be made")]
pub struct RandomError;

impl NewKey {
    /// Makes a key. `seed` decides its public id, so that a repeated command names the same key; the secret is random.
    pub fn try_new(mode: Mode, pepper: &Pepper, seed: &[u8; 32]) -> Result<Self, RandomError> {
        let id: String = seed
            .iter()
            .take(ID_CHARACTERS)
            .filter_map(|byte| ID_ALPHABET.get(usize::from(byte % 32)))
            .map(|letter| char::from(*letter))
            .collect();
        let secret = URL_SAFE_NO_PAD.encode(random::<32>()?);
        let sealed = pepper.seal(&secret);
        let text = format!("{PREFIX}{}_{id}_{secret}", mode.as_str());
        Ok(Self { id, text, sealed })
    }
}

/// A local admin token: known to this process and to whoever may read its `serve.json`.
#[derive(Clone)]
pub struct AdminToken(String);

impl AdminToken {
    /// Makes one.
    pub fn try_new() -> Result<Self, RandomError> {
        Ok(Self(format!(
            "{ADMIN_PREFIX}{}",
            URL_SAFE_NO_PAD.encode(random::<32>()?)
        )))
    }

    /// The text for `serve.json`.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is this one, in constant time.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(masked)")
    }
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pepper() -> Pepper {
        Pepper::parse("a pepper of at least thirty-two bytes").unwrap()
    }

    #[test]
    fn a_new_key_opens_what_was_stored_and_no_other_does() {
        for number in 0..200 {
            let key = NewKey::try_new(Mode::Test, &pepper(), &[number; 32]).unwrap();
            let shown = PresentedKey::find(&key.text).expect("its own form, also when the secret contains _");
            assert!(shown.mode == Mode::Test && shown.id == key.id);
            assert!(shown.opens(&key.sealed, &pepper()));
            let other = NewKey::try_new(Mode::Test, &pepper(), &[number; 32]).unwrap();
            assert_eq!(other.id, key.id, "the id follows the seed, the secret does not");
            assert!(!shown.opens(&other.sealed, &pepper()));
        }
    }

    #[test]
    fn what_is_no_key_is_not_read() {
        let good = format!("subl_live_abcdefgh_{}", "x".repeat(43));
        assert!(PresentedKey::find(&good).is_some());
        for bad in [
            good.replace("live", "prod"),
            good.replace("abcdefgh", "abcdefg"),
            good.replace("abcdefgh", "abcdef'h"),
            format!("{good}x"),
            good[..good.len() - 1].to_owned(),
            good.replace("subl_", "SUBL_"),
            good.replace('x', "é"),
            String::new(),
        ] {
            assert!(PresentedKey::find(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_short_pepper_is_refused_and_none_is_shown() {
        assert!(Pepper::parse(&"x".repeat(31)).is_err());
        assert_eq!(format!("{:?}", pepper()), "Pepper(masked)");
        let token = AdminToken::try_new().unwrap();
        assert!(token.is(token.reveal()) && !token.is("subladm_"));
        assert_eq!(format!("{token:?}"), "AdminToken(masked)");
    }
}
