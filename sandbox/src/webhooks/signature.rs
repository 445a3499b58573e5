//! `Stripe-Signature`: the time, and one HMAC per secret that signs.

use ring::hmac;

/// The header for a body.
#[must_use]
pub fn header(at: i64, body: &[u8], secrets: &[String]) -> String {
    let mut text = format!("t={at}");
    for secret in secrets {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{at}.").as_bytes());
        context.update(body);
        text.push_str(",v1=");
        text.push_str(&hex::encode(context.sign().as_ref()));
    }
    text
}

#[test]
fn a_signature_is_the_hmac_of_time_and_body() {
    // Computed with another implementation of HMAC-SHA256.
    let known = "04339dc4f01d6541e8d3b7e4bd93cd2d4f680ccb28592270900b08e49cc09e57";
    let header = header(1_700_000_000, b"{}", &["whsec_a".to_owned(), "whsec_b".to_owned()]);
    let parts: Vec<&str> = header.split(',').collect();
    assert_eq!(parts[0], "t=1700000000");
    assert_eq!(parts[1], format!("v1={known}"));
    assert_eq!(parts.len(), 3);
    assert!(parts[1] != parts[2] && parts.iter().skip(1).all(|part| part.len() == 67));
}
