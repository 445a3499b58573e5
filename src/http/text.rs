//! Texts of requests: each kind is read under the very rule that the published document states for it, so that who
//! follows the document is never refused for a text.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aggregates::ids::{ChargeId, CouponId, CustomerId, PlanCode, TenantId};
use aggregates::money::Currency;
use ipnet::IpNet;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::guard::{AccountRef, stripe_id};
use super::redirects::REDIRECT_CHARS_MAX;
use super::resources::event_streams::stream_path;
use crate::process::accounts::{METADATA_CHARS_MAX, METADATA_ENTRIES_MAX, TEXT_CHARS_MAX};

/// Longest text to search for.
pub const SEARCH_CHARS_MAX: usize = 128;
/// Longest reason of an act: a paragraph.
pub const REASON_CHARS_MAX: usize = 500;

/// No control characters.
const PLAIN: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// The same, and not only spaces.
const NAME: &str = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u0020\u007f-\u00a0][^\u0000-\u001f\u007f-\u009f]*$";
/// Something that can be seen, and no NUL, which no store can keep.
const VISIBLE: &str = r"^[^\u0000]*[^\u0000-\u0020\u007f-\u00a0][^\u0000]*$";
/// No NUL.
const STORABLE: &str = r"^[^\u0000]*$";
/// A tenant's own id.
pub const TENANT: &str = r"^(?!me$)(?!cus_)[A-Za-z0-9._:-]{1,128}$";
/// A tenant's own id, or a Stripe customer.
pub const ACCOUNT: &str = r"^((?!me$)(?!cus_)[A-Za-z0-9._:-]{1,128}|cus_[!-~]{0,251})$";
/// Path of a stream.
const STREAM_PATH: &str =
    r"^/v1/(audit/stream|tenants/((?!cus_)[A-Za-z0-9._:-]{1,128}|cus_[!-~]{0,251})/subscription/stream)$";
/// An id of Stripe's.
pub const STRIPE_ID: &str = r"^[!-~]{1,255}$";
const CURRENCY: &str = r"^[A-Za-z]{3}$";

fn string(pattern: impl Into<String>, (min, max): (usize, usize)) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern.into()))
        .min_length(Some(min))
        .max_length(Some(max))
}

macro_rules! texts {
    ($($(#[doc = $doc:literal])+ $name:ident($inner:ty) by $parse:expr, as $schema:expr;)*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name(pub $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let read: fn(&str) -> Result<$inner, String> = $parse;
                read(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let schema: ObjectBuilder = $schema;
                schema.description(Some(concat!($($doc),+).trim())).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

texts! {
    /// 1 to 255 characters without control characters, not only spaces.
    PlainText(String) by plain, as string(NAME, (1, TEXT_CHARS_MAX));
    /// At most 128 characters without control characters.
    SearchText(String) by searched, as string(PLAIN, (0, SEARCH_CHARS_MAX));
    /// 1 to 500 characters, some of them visible; for whoever reads the log later.
    Reason(Box<str>) by reason, as string(VISIBLE, (1, REASON_CHARS_MAX));
    /// Path of a stream of server-sent events: `/v1/audit/stream` or `/v1/tenants/{tenant}/subscription/stream`.
    StreamPath(String) by stream_path, as string(STREAM_PATH, (16, 300));
    /// The caller's own id of a tenant; `me` and names that begin with `cus_` are reserved.
    TenantName(TenantId) by |text| TenantId::parse(text).map_err(|error| error.to_string()), as string(TENANT, (1, 128));
    /// The caller's own id of a tenant, or a Stripe customer (`cus_...`).
    AccountName(AccountRef) by |text| AccountRef::parse(text).map_err(|error| error.to_string()),
        as string(ACCOUNT, (1, 255));
    /// A Stripe customer.
    CustomerName(CustomerId) by |text| stripe_id(text).map_err(|error| error.to_string()),
        as string(STRIPE_ID, (1, 255));
    /// Code of a plan of the catalogue.
    PlanCodeText(PlanCode) by |text| PlanCode::parse(text).map_err(|error| error.to_string()),
        as string("^[a-z0-9_-]{1,64}$", (1, 64));
    /// A coupon at Stripe: printable ASCII without spaces.
    CouponName(CouponId) by coupon, as string(STRIPE_ID, (1, 255));
    /// An invoice or a charge at Stripe.
    ChargeName(ChargeId) by |text| ChargeId::parse(text).map_err(|error| error.to_string()),
        as string(STRIPE_ID, (1, 255));
    /// An address, or a path of the front end.
    RedirectText(String) by redirect, as string("^[!-~]{1,2048}$", (1, REDIRECT_CHARS_MAX));
    /// ISO 4217, in either case.
    CurrencyCode(Currency) by |text| Currency::parse(text).map_err(|error| error.to_string()),
        as string(CURRENCY, (3, 3));
    /// A network such as 10.0.0.0/8 or 2001:db8::/32, or a single address.
    Network(IpNet) by network, as string(network_pattern(), (2, 43));
}

const fn is_visible(c: char) -> bool {
    !matches!(c, '\0'..='\u{20}' | '\u{7f}'..='\u{a0}')
}

fn plain(text: &str) -> Result<String, String> {
    let is_plain = text.chars().any(is_visible) && !text.chars().any(char::is_control);
    if text.chars().count() <= TEXT_CHARS_MAX && is_plain {
        return Ok(text.to_owned());
    }
    Err(format!(
        "1 to {TEXT_CHARS_MAX} characters without control characters, not only spaces"
    ))
}

fn searched(text: &str) -> Result<String, String> {
    if text.chars().count() <= SEARCH_CHARS_MAX && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "at most {SEARCH_CHARS_MAX} characters without control characters"
    ))
}

fn reason(text: &str) -> Result<Box<str>, String> {
    if text.chars().count() <= REASON_CHARS_MAX && text.chars().any(is_visible) && !text.contains('\0') {
        return Ok(text.trim().into());
    }
    Err(format!("1 to {REASON_CHARS_MAX} characters, some of them visible"))
}

fn coupon(text: &str) -> Result<CouponId, String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return CouponId::parse(text).map_err(|error| error.to_string());
    }
    Err("1 to 255 printable ASCII characters without spaces".to_owned())
}

fn redirect(text: &str) -> Result<String, String> {
    if (1..=REDIRECT_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "1 to {REDIRECT_CHARS_MAX} printable ASCII characters without spaces"
    ))
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    let parsed = text.parse::<IpNet>().or_else(|_| address());
    parsed.map_err(|_| "a network such as 10.0.0.0/8 or 2001:db8::/32, or an address".to_owned())
}

fn network_pattern() -> String {
    let byte = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)";
    let four = format!(r"{byte}(\.{byte}){{3}}(/(3[0-2]|[12]?\d))?");
    let h = "[0-9A-Fa-f]{1,4}";
    let mut six = vec![
        format!("({h}:){{7}}{h}"),
        format!("({h}:){{1,7}}:"),
        format!(":((:{h}){{1,7}}|:)"),
    ];
    six.extend((1..=6).map(|right| format!("({h}:){{1,{}}}(:{h}){{1,{right}}}", 7 - right)));
    let six = six.join("|");
    format!(r"^({four}|({six})(/(12[0-8]|1[01]\d|[1-9]?\d))?)$")
}

/// A tenant's own words: texts by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Metadata(pub BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = BTreeMap::<String, String>::deserialize(deserializer)?;
        if entries.len() > METADATA_ENTRIES_MAX {
            return Err(D::Error::custom(format!("at most {METADATA_ENTRIES_MAX} keys")));
        }
        let fits = |text: &str| text.chars().count() <= METADATA_CHARS_MAX && !text.contains('\0');
        if entries
            .iter()
            .any(|(key, value)| key.is_empty() || !fits(key) || !fits(value))
        {
            let rule = format!("keys have 1, values 0 to {METADATA_CHARS_MAX} characters, none of them NUL");
            return Err(D::Error::custom(rule));
        }
        Ok(Self(entries))
    }
}

impl PartialSchema for Metadata {
    fn schema() -> RefOr<Schema> {
        let value = Schema::from(string(STORABLE, (0, METADATA_CHARS_MAX)));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("The caller's own words: at most 50 texts by key."))
            .property_names(Some(string(STORABLE, (1, METADATA_CHARS_MAX))))
            .additional_properties(Some(value))
            .max_properties(Some(METADATA_ENTRIES_MAX))
            .into()
    }
}

impl ToSchema for Metadata {}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads<T: for<'de> Deserialize<'de>>(text: &str) -> bool {
        serde_json::from_value::<T>(text.into()).is_ok()
    }

    #[test]
    fn texts_hold_their_length_one_under_at_and_one_over() {
        for (length, good) in [(0, false), (1, true), (254, true), (255, true), (256, false)] {
            assert_eq!(reads::<PlainText>(&"é".repeat(length)), good, "{length}");
            assert_eq!(reads::<CustomerName>(&"c".repeat(length)), good, "{length}");
        }
        for (length, good) in [(0, false), (1, true), (499, true), (500, true), (501, false)] {
            assert_eq!(reads::<Reason>(&"r".repeat(length)), good, "{length}");
        }
        for (length, good) in [(0, true), (127, true), (128, true), (129, false)] {
            assert_eq!(reads::<SearchText>(&"s".repeat(length)), good, "{length}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_no_reason() {
        for bad in [" ", "\n\t ", "\u{a0}\u{85}", "a\0b"] {
            assert!(!reads::<Reason>(bad), "{bad:?}");
        }
        let reason: Reason = serde_json::from_value("  two\nlines ".into()).unwrap();
        assert_eq!(&*reason.0, "two\nlines");
    }

    #[test]
    fn names_without_control_characters_are_taken() {
        for (text, good) in [
            ("Zoë & Søn 漢", true),
            ("a\nb", false),
            ("\u{85}", false),
            (" ", false),
            ("\0", false),
        ] {
            assert_eq!(reads::<PlainText>(text), good, "{text:?}");
        }
        for (text, good) in [
            ("cus_1", true),
            ("acme", true),
            ("me", false),
            ("cus 1", false),
            ("cus_é", false),
        ] {
            assert_eq!(reads::<AccountName>(text), good, "{text}");
        }
        for (text, good) in [("cus_1", false), ("acme", true), ("me", false), ("ME", true)] {
            assert_eq!(reads::<TenantName>(text), good, "{text}");
        }
    }

    #[test]
    fn networks_of_both_kinds_and_single_addresses_are_taken() {
        for good in ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "::/0"] {
            assert!(reads::<Network>(good), "{good}");
        }
        for bad in ["10.0.0.0/33", "10.0.0", "::/129", "localhost", ""] {
            assert!(!reads::<Network>(bad), "{bad}");
        }
    }

    #[test]
    fn metadata_holds_its_bounds_one_under_at_and_one_over() {
        let reads =
            |entries: BTreeMap<String, String>| serde_json::from_value::<Metadata>(serde_json::json!(entries)).is_ok();
        for (count, good) in [(0, true), (49, true), (50, true), (51, false)] {
            let entries = (0..count).map(|n| (n.to_string(), String::new())).collect();
            assert_eq!(reads(entries), good, "{count}");
        }
        for (length, good) in [(1, true), (499, true), (500, true), (501, false)] {
            let text = "x".repeat(length);
            assert_eq!(
                reads(BTreeMap::from([("k".to_owned(), text.clone())])),
                good,
                "{length}"
            );
            assert_eq!(reads(BTreeMap::from([(text, String::new())])), good, "{length}");
        }
        assert!(!reads(BTreeMap::from([(String::new(), String::new())])));
    }
}
