//! Normalised snapshots of Stripe objects, in our words.
//!
//! Every snapshot carries absolute terms, so one event alone says how the object stood. `None` in a field marked
//! *unknown* means that this API version does not say: it never overwrites what another snapshot said.

mod account;
mod catalogue;
mod invoice;
mod money;
mod subscription;

pub use account::{
    CheckoutMode, CheckoutSnapshot, CheckoutStatus, ContactField, CustomerSnapshot, DiscountSnapshot,
    PaymentMethodSnapshot,
};
pub use catalogue::{
    BalanceTransactionSnapshot, CatalogueSnapshot, CouponSnapshot, PayoutSnapshot, PayoutStatus, PriceSnapshot,
    ProductSnapshot, PromotionCodeSnapshot, TaxRateSnapshot,
};
pub use invoice::{InvoiceLine, InvoicePaymentSnapshot, InvoiceSnapshot, InvoiceStatus, LineKind};
pub use money::{
    ChargeSnapshot, ChargeStatus, CreditNoteSnapshot, DisputeSnapshot, DisputeStatus, RefundSnapshot, RefundStatus,
};
pub use subscription::{
    AppliedDiscount, CollectionPause, Item, Period, ScheduleSnapshot, ScheduleStatus, ScheduledPhase,
    SubscriptionSnapshot, SubscriptionStatus,
};

/// An enum over Stripe's words that keeps the ones it does not know: an unknown value never fails a receipt.
macro_rules! open_words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A word Stripe sent that this version does not know, kept as it came.
            Unrecognised(Box<str>),
        }
        impl $name {
            /// Takes any word.
            #[must_use]
            pub fn from_word(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)*
                    other => Self::Unrecognised(other.into()),
                }
            }
            /// Stripe's word.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Unrecognised(word) => word,
                }
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Ok(Self::from_word(&word))
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "examples": [$($word),*] })
            }
            fn inline_schema() -> bool {
                true
            }
        }
    };
}
pub(crate) use open_words;
