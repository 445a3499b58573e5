//! Identifiers, parsed once at the border and never interchangeable inside.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Longest identifier accepted anywhere, in bytes (Stripe's own limit for keys).
pub const ID_BYTES_MAX: usize = 255;

/// The text is not an identifier of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {kind}: {rule}")]
pub struct IdError {
    /// What it should have been, in words.
    pub kind: &'static str,
    /// The rule it breaks.
    pub rule: &'static str,
    /// The refused text, cut to 64 characters.
    pub value: String,
}

fn refuse(kind: &'static str, rule: &'static str, value: &str) -> IdError {
    IdError {
        kind,
        rule,
        value: value.chars().take(64).collect(),
    }
}

fn printable(kind: &'static str, text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > ID_BYTES_MAX {
        return Err(refuse(kind, "1 to 255 bytes", text));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(refuse(kind, "no spaces and no control characters", text));
    }
    Ok(())
}

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident = $kind:literal by $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text if it is such an identifier.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let check: fn(&'static str, &str) -> Result<(), IdError> = $check;
                check($kind, text)?;
                Ok(Self(text.into()))
            }
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(de::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $kind })
            }
            fn inline_schema() -> bool {
                true
            }
        }
    )*};
}

id! {
    /// A tenant, by the caller's own name for it: 1 to 128 of `[A-Za-z0-9._:-]`, case-sensitive.
    /// `me` and names that begin with `cus_` are taken: they address accounts in another way.
    TenantId = "tenant id" by tenant_rule;
    /// A stream of the log. Only derived streams contain `#`.
    StreamId = "stream id" by printable;
    /// A Stripe customer (`cus_...`).
    CustomerId = "Stripe customer id" by printable;
    /// A Stripe event (`evt_...`), or `body:<sha256>` of a signed body without one.
    StripeEventId = "Stripe event id" by printable;
    /// A Stripe subscription (`sub_...`).
    SubscriptionId = "Stripe subscription id" by printable;
    /// A Stripe subscription item (`si_...`), or `<subscription>#0` for the oldest single-plan shape.
    ItemId = "Stripe subscription item id" by printable;
    /// A Stripe price (`price_...`), or a plan of the older shape.
    PriceId = "Stripe price id" by printable;
    /// A Stripe product (`prod_...`).
    ProductId = "Stripe product id" by printable;
    /// A Stripe invoice (`in_...`), or the event id for an upcoming invoice, which has none.
    InvoiceId = "Stripe invoice id" by printable;
    /// A line of a Stripe invoice (`il_...`).
    LineId = "Stripe invoice line id" by printable;
    /// A Stripe charge (`ch_...`, `py_...`).
    ChargeId = "Stripe charge id" by printable;
    /// A Stripe payment intent (`pi_...`).
    PaymentIntentId = "Stripe payment intent id" by printable;
    /// A Stripe refund (`re_...`).
    RefundId = "Stripe refund id" by printable;
    /// A Stripe dispute (`dp_...`, `du_...`), or the charge's id for shapes without one.
    DisputeId = "Stripe dispute id" by printable;
    /// A Stripe credit note (`cn_...`).
    CreditNoteId = "Stripe credit note id" by printable;
    /// A Stripe checkout session (`cs_...`).
    CheckoutSessionId = "Stripe checkout session id" by printable;
    /// A Stripe subscription schedule (`sub_sched_...`).
    ScheduleId = "Stripe subscription schedule id" by printable;
    /// A Stripe payment method (`pm_...`) or an older source (`card_...`, `src_...`).
    PaymentMethodId = "Stripe payment method id" by printable;
    /// A Stripe coupon; merchants choose these ids freely.
    CouponId = "Stripe coupon id" by text_rule;
    /// A Stripe discount (`di_...`).
    DiscountId = "Stripe discount id" by printable;
    /// A Stripe invoice payment (`inpay_...`).
    InvoicePaymentId = "Stripe invoice payment id" by printable;
    /// A Stripe balance transaction (`txn_...`).
    BalanceTransactionId = "Stripe balance transaction id" by printable;
    /// A Stripe payout (`po_...`).
    PayoutId = "Stripe payout id" by printable;
    /// A plan of the catalogue: 1 to 64 of `[a-z0-9_-]`.
    PlanCode = "plan code" by plan_rule;
}

/// An intent: what a person asked for that has an effect at Stripe. It is the id of the event that records it and the
/// idempotency key of its call, in its one form: 36 characters, lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentId(Uuid);

impl IntentId {
    /// Of the id its event will have.
    #[must_use]
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }
    /// Takes the text if it is one, in the form we send.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let parsed = Uuid::try_parse(text).ok().map(Self);
        let canonical = parsed.filter(|id| id.to_string() == text);
        canonical.ok_or_else(|| refuse("intent id", "a UUID of 36 characters in lower case", text))
    }
    /// The id of its event.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}
impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_hyphenated())
    }
}
impl fmt::Debug for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
impl Serialize for IntentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for IntentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}
impl JsonSchema for IntentId {
    fn schema_name() -> Cow<'static, str> {
        "IntentId".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uuid" })
    }
    fn inline_schema() -> bool {
        true
    }
}

fn text_rule(kind: &'static str, text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > ID_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(refuse(kind, "1 to 255 bytes without control characters", text));
    }
    Ok(())
}

fn tenant_rule(kind: &'static str, text: &str) -> Result<(), IdError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    if text.is_empty() || text.len() > 128 || !text.bytes().all(allowed) {
        return Err(refuse(kind, "1 to 128 of the characters A-Z a-z 0-9 . _ : -", text));
    }
    if text == "me" || text.starts_with("cus_") {
        return Err(refuse(kind, "`me` and names that begin with `cus_` are reserved", text));
    }
    if matches!(text, "." | "..") {
        return Err(refuse(kind, "`.` and `..` are steps of a path, not names in it", text));
    }
    Ok(())
}

fn plan_rule(kind: &'static str, text: &str) -> Result<(), IdError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
        return Err(refuse(kind, "1 to 64 of the characters a-z 0-9 _ -", text));
    }
    Ok(())
}

impl StripeEventId {
    /// The id of a signed body that has none of its own: `body:<its SHA-256 in hex>`.
    #[must_use]
    pub fn of_body(sha256: &[u8; 32]) -> Self {
        let hex: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("body:{hex}").into())
    }
}

impl StreamId {
    /// The account stream of a tenant that is known when the stream is opened.
    #[must_use]
    pub fn of_tenant(tenant: &TenantId) -> Self {
        Self(format!("tenant:{tenant}").into())
    }

    /// The account stream of a Stripe customer no tenant is known for yet.
    #[must_use]
    pub fn of_customer(customer: &CustomerId) -> Self {
        Self(escape(customer.as_str()).into())
    }

    /// The stream of a Stripe object that has no customer: its id, with `#`, `%` and spaces escaped,
    /// because `#` parts a derived stream from the one it belongs to.
    #[must_use]
    pub fn of_object(id: &str) -> Self {
        Self(escape(id).into())
    }

    /// What decides the partition: the id up to the first `#`.
    #[must_use]
    pub fn routing_key(&self) -> &str {
        self.0.split('#').next().unwrap_or(&self.0)
    }
}

fn escape(id: &str) -> String {
    id.replace('%', "%25").replace('#', "%23").replace(' ', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_and_malformed_tenants_are_refused() {
        for bad in ["", "me", "cus_123", "a b", "a/b", ".", "..", "ä", &"x".repeat(129)] {
            assert!(TenantId::parse(bad).is_err(), "{bad}");
        }
        for good in ["acme", "ME", "org:42", "a.b-c_d", &"x".repeat(128)] {
            assert!(TenantId::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn derived_streams_share_their_accounts_routing_key() {
        let usage = StreamId::parse("tenant:42#usage#tokens#2026-11-01").unwrap();
        assert_eq!(usage.routing_key(), "tenant:42");
        assert_eq!(StreamId::of_object("a#b c").as_str(), "a%23b%20c");
    }
}
