//! jsonwebtoken over ring: HS256 both ways, RS256, ES256 and EdDSA for verifying only.
//!
//! The crate has no cryptography of its own here (its ready providers bring `rsa` or a second C library), and panics
//! on first use without a provider, so [`install`] is called before anything reads or writes a token.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, Result};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::hmac;
use ring::signature as asymmetric;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // Keys are read from JWK documents, never derived from private ones, which is all these functions are for.
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(unsupported()),
        rsa_pub_components_from_public_key: |_| Err(unsupported()),
        ec_pub_components_from_private_key: |_, _| Err(unsupported()),
        ed_pub_components_from_private_key: |_, _| Err(unsupported()),
        compute_digest: |_, _| Err(unsupported()),
    },
};

/// Makes ring the process's provider; calling it again changes nothing.
pub fn install() {
    // An error means that a provider is installed already, and ours is the only one in the program.
    let _ = PROVIDER.install_default();
}

fn unsupported() -> Error {
    ErrorKind::UnsupportedAlgorithm.into()
}

fn bytes(key: &DecodingKey, family: AlgorithmFamily) -> Result<Vec<u8>> {
    if key.family() != family {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    key.try_get_as_bytes().map(<[u8]>::to_vec)
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if *algorithm != Algorithm::HS256 || key.family() != AlgorithmFamily::Hmac {
        return Err(unsupported());
    }
    Ok(Box::new(Mac(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))))
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let public = |key, verification: &'static dyn asymmetric::VerificationAlgorithm| PublicKey {
        algorithm: *algorithm,
        verification,
        key,
    };
    if *algorithm == Algorithm::HS256 {
        let secret = bytes(key, AlgorithmFamily::Hmac)?;
        Ok(Box::new(Mac(hmac::Key::new(hmac::HMAC_SHA256, &secret))))
    } else if *algorithm == Algorithm::ES256 {
        let point = bytes(key, AlgorithmFamily::Ec)?;
        Ok(Box::new(public(point, &asymmetric::ECDSA_P256_SHA256_FIXED)))
    } else if *algorithm == Algorithm::EdDSA {
        Ok(Box::new(public(bytes(key, AlgorithmFamily::Ed)?, &asymmetric::ED25519)))
    } else if *algorithm == Algorithm::RS256 {
        rsa(key)
    } else {
        Err(unsupported())
    }
}

fn rsa(key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    match key.kind() {
        DecodingKeyKind::SecretOrDer(_) => Ok(Box::new(PublicKey {
            algorithm: Algorithm::RS256,
            verification: &asymmetric::RSA_PKCS1_2048_8192_SHA256,
            key: bytes(key, AlgorithmFamily::Rsa)?,
        })),
        DecodingKeyKind::RsaModulusExponent { n, e } => Ok(Box::new(RsaComponents {
            n: n.clone(),
            e: e.clone(),
        })),
    }
}

fn refused<E>(_: E) -> signature::Error {
    signature::Error::new()
}

struct Mac(hmac::Key);

impl Signer<Vec<u8>> for Mac {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl Verifier<Vec<u8>> for Mac {
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        hmac::verify(&self.0, message, tag).map_err(refused)
    }
}

impl JwtSigner for Mac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Mac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

struct PublicKey {
    algorithm: Algorithm,
    verification: &'static dyn asymmetric::VerificationAlgorithm,
    key: Vec<u8>,
}

impl Verifier<Vec<u8>> for PublicKey {
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        asymmetric::UnparsedPublicKey::new(self.verification, &self.key)
            .verify(message, tag)
            .map_err(refused)
    }
}

impl JwtVerifier for PublicKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

struct RsaComponents {
    n: Vec<u8>,
    e: Vec<u8>,
}

impl Verifier<Vec<u8>> for RsaComponents {
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        asymmetric::RsaPublicKeyComponents { n: &self.n, e: &self.e }
            .verify(&asymmetric::RSA_PKCS1_2048_8192_SHA256, message, tag)
            .map_err(refused)
    }
}

impl JwtVerifier for RsaComponents {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}
