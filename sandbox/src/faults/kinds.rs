//! The kinds of faults, each with its own settings and the point at which it strikes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Edit, Point, Values};

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Trouble {
    /// The event is delivered again, so many times, at once or later.
    Duplicate {
        #[serde(default = "one")]
        times: u32,
        #[serde(default)]
        after_ms: i64,
    },
    /// The event waits until so many later ones have passed it, or for `hold_ms`.
    Reorder {
        #[serde(default = "three")]
        window: u64,
        #[serde(default = "second")]
        hold_ms: i64,
    },
    /// The event is delivered later.
    Delay { ms: i64 },
    /// The event is never delivered; lists have it.
    Drop {},
    /// Events are held until there are so many, or for `hold_ms`, and then come all at once.
    Burst {
        #[serde(default = "ten")]
        size: u64,
        #[serde(default = "second")]
        hold_ms: i64,
    },
    /// The event is delivered in another version's shape.
    VersionSkew { version: String },
    /// A thin event is delivered instead of the snapshot.
    ThinOnly {},
    /// A thin event is delivered as well.
    BothKinds {},
    /// The endpoint's secret changes: for a while both sign, then only the new one. Done at once.
    SecretRoll {
        #[serde(default)]
        secret: Option<String>,
        #[serde(default = "day")]
        overlap_seconds: i64,
    },
    /// The signature is made with another secret.
    BadSignature {},
    /// The signature's time is so many seconds ago.
    StaleTimestamp {
        #[serde(default = "ten_minutes")]
        seconds: i64,
    },
    /// Too many requests.
    #[serde(rename = "http_429")]
    Http429 {
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// A fault of the server: kept under the idempotency key or not, with the work done or not.
    #[serde(rename = "http_500")]
    Http500 {
        #[serde(default)]
        stored: bool,
        #[serde(default)]
        done: bool,
    },
    /// A page of some proxy.
    #[serde(rename = "http_502_html")]
    Http502Html {},
    /// The answer comes late. The call is in progress meanwhile.
    Slow { ms: u64 },
    /// The work is done and the connection is cut.
    LostReply {},
    /// The work is done and the answer ends in the middle.
    TruncatedBody {},
    /// A word nobody knows stands in a field.
    UnknownEnum {
        #[serde(default = "status")]
        field: String,
        #[serde(default = "unheard")]
        value: String,
    },
    /// A field is not there.
    MissingField { field: String },
    /// A field nobody knows is there.
    ExtraField {
        #[serde(default = "extra")]
        field: String,
        #[serde(default)]
        value: Value,
    },
    /// Events and signatures carry a time that is off by so many seconds.
    ClockSkew { seconds: i64 },
    /// All events of a step have one second; with `at`, that one.
    SameSecond {
        #[serde(default)]
        at: Option<i64>,
    },
    /// An object changes without an event: with `object`, that one at once; without, the events it strikes never happen.
    MutateSilently {
        #[serde(default)]
        object: Option<String>,
        #[serde(default)]
        set: Values,
    },
    /// An object is missing in the first so many lists.
    ListGap {
        #[serde(default = "lists")]
        lists: u64,
    },
}

fn one() -> u32 {
    1
}
fn lists() -> u64 {
    1
}
fn three() -> u64 {
    3
}
fn ten() -> u64 {
    10
}
fn second() -> i64 {
    1_000
}
fn day() -> i64 {
    86_400
}
fn ten_minutes() -> i64 {
    600
}
fn status() -> String {
    "status".to_owned()
}
fn unheard() -> String {
    "unheard_of".to_owned()
}
fn extra() -> String {
    "sandbox_extra".to_owned()
}

impl Trouble {
    /// Whether this kind strikes there. Changes of objects strike answers when they have a path, else deliveries.
    #[must_use]
    pub fn strikes_at(&self, point: Point<'_>, has_path: bool) -> bool {
        match self {
            Self::Duplicate { .. }
            | Self::Reorder { .. }
            | Self::Delay { .. }
            | Self::Drop {}
            | Self::Burst { .. }
            | Self::VersionSkew { .. }
            | Self::ThinOnly {}
            | Self::BothKinds {} => matches!(point, Point::Queue(..)),
            Self::BadSignature {} | Self::StaleTimestamp { .. } => matches!(point, Point::Attempt(..)),
            Self::Http429 { .. }
            | Self::Http500 { .. }
            | Self::Http502Html {}
            | Self::Slow { .. }
            | Self::LostReply {}
            | Self::TruncatedBody {} => matches!(point, Point::Call(method, _) if method != "LIST"),
            Self::UnknownEnum { .. } | Self::MissingField { .. } | Self::ExtraField { .. } => match point {
                Point::Call(method, _) => has_path && method != "LIST",
                Point::Queue(..) => !has_path,
                Point::Event(_) | Point::Attempt(..) => false,
            },
            Self::ClockSkew { .. } | Self::SameSecond { .. } => matches!(point, Point::Event(_)),
            Self::MutateSilently { object, .. } => object.is_none() && matches!(point, Point::Event(_)),
            Self::ListGap { .. } => matches!(point, Point::Call("LIST", _)),
            Self::SecretRoll { .. } => false,
        }
    }

    /// The change of an object, when this kind is one.
    #[must_use]
    pub fn edit(&self) -> Option<Edit> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "only these three change an object")]
        match self {
            Self::UnknownEnum { field, value } => Some(Edit::set(field, json!(value))),
            Self::ExtraField { field, value } => Some(Edit::set(field, value.clone())),
            Self::MissingField { field } => Some(Edit::remove(field)),
            _ => None,
        }
    }
}
