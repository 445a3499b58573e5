//! Paging: opaque cursors, signed and bound to the list they came from.
//!
//! A cursor is base64url of a JSON place and a tag over (list, filter, place): a cursor of another list, or of the same
//! list with another filter, is refused like an altered one.

use aggregates::time::Timestamp;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::{Answer, Problem, ProblemKind};

/// Longest page.
pub const PAGE_MAX: u32 = 200;
/// Page when nothing is asked.
pub const PAGE_DEFAULT: u32 = 50;
/// Longest cursor.
pub const CURSOR_BYTES_MAX: usize = 512;
/// Totals are told up to here; counting further costs more than the answer is worth.
pub const COUNT_MAX: u64 = 10_000;
/// Entries that are counted at most: one more, to know that there are more.
pub const COUNTED_MAX: u32 = 10_001;
/// Longest span of time a list looks through, in days: ten years, leap days included.
pub const SPAN_DAYS_MAX: i64 = 3_653;
/// Bytes of the tag: 128 bits cannot be guessed, and keep cursors short.
const TAG_BYTES: usize = 16;

/// Parameters of every list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Entries of the page
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before
    #[param(min_length = 23, max_length = 512, pattern = "^[A-Za-z0-9_-]+$")]
    pub cursor: Option<String>,
    /// Count the entries over all pages, up to 10,000
    pub count: Option<bool>,
}

impl Paging {
    /// The page's size.
    pub fn size(&self) -> Answer<u32> {
        match self.limit {
            None => Ok(PAGE_DEFAULT),
            Some(limit) if (1..=PAGE_MAX).contains(&limit) => Ok(limit),
            Some(_) => {
                Err(Problem::malformed(format!("limit is 1 to {PAGE_MAX}")).at("?limit", format!("1 to {PAGE_MAX}")))
            }
        }
    }

    /// The total as it is shown, if it was asked for; `count` counts no further than [`COUNTED_MAX`].
    pub async fn total(&self, count: impl Future<Output = Answer<u64>>) -> Answer<Option<String>> {
        match self.count {
            Some(true) => Ok(Some(shown_count(count.await?))),
            Some(false) | None => Ok(None),
        }
    }
}

/// One page.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    /// The entries.
    pub data: Vec<T>,
    /// Where to go on.
    pub page: PageInfo,
}

/// Where a list goes on.
#[derive(Serialize, ToSchema)]
pub struct PageInfo {
    /// Pass it on as `cursor`; null on the last page.
    pub next_cursor: Option<String>,
    /// Whether there is another page.
    pub has_more: bool,
    /// With `count=true`: entries over all pages, `10,000+` when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<String>,
}

/// Said of a span of time that is too long.
pub const SPAN_RULE: &str = "at most ten years after from; ask for a part of it, or leave one of them out";

/// Whether a span of time is no longer than [`SPAN_DAYS_MAX`]; one that is open at an end is not measured.
#[must_use]
pub fn fits_span(from: Option<Timestamp>, to: Option<Timestamp>) -> bool {
    from.zip(to)
        .is_none_or(|(from, to)| to <= from.plus_seconds(SPAN_DAYS_MAX * 86_400))
}

/// The same for the parameters of a list.
pub fn within_span(from: Option<Timestamp>, to: Option<Timestamp>) -> Answer<()> {
    if fits_span(from, to) {
        return Ok(());
    }
    Err(Problem::malformed(format!("to is {SPAN_RULE}")).at("?to", SPAN_RULE))
}

/// A total as it is shown.
fn shown_count(count: u64) -> String {
    if count > COUNT_MAX {
        "10,000+".to_owned()
    } else {
        count.to_string()
    }
}

/// Signs and reads cursors.
pub struct Cursors(hmac::Key);

impl Cursors {
    /// Keyed by a secret of the ledger, so that cursors hold across restarts and processes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let own = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"subledger/cursor/1");
        Self(hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()))
    }

    fn tag(&self, list: &str, place: &[u8]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(list.as_bytes());
        context.update(&[0]);
        context.update(place);
        let tag = context.sign();
        tag.as_ref().iter().take(TAG_BYTES).copied().collect()
    }

    /// The cursor that goes on after `place` in `list`; `list` names route and filter.
    pub fn write(&self, list: &str, place: &impl Serialize) -> Answer<String> {
        let place = serde_json::to_vec(place).map_err(Problem::internal)?;
        Ok(self.write_bytes(list, &place))
    }

    /// The same for a place that is bytes already.
    #[must_use]
    pub fn write_bytes(&self, list: &str, place: &[u8]) -> String {
        let mut bytes = self.tag(list, place);
        bytes.extend_from_slice(place);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The bytes of a cursor of this list; none: it was altered, or is of another one.
    #[must_use]
    pub fn read_bytes(&self, list: &str, cursor: &str) -> Option<Vec<u8>> {
        if cursor.len() > CURSOR_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (tag, place) = bytes.split_at_checked(TAG_BYTES)?;
        let right: bool = subtle::ConstantTimeEq::ct_eq(tag, &*self.tag(list, place)).into();
        right.then(|| place.to_vec())
    }

    /// The place of a cursor of this list.
    pub fn read<T: DeserializeOwned>(&self, list: &str, cursor: Option<&str>) -> Answer<Option<T>> {
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        let invalid = || {
            Problem::new(
                ProblemKind::InvalidCursor,
                "the cursor was altered or belongs to another list",
            )
        };
        let place = self.read_bytes(list, cursor).ok_or_else(invalid)?;
        serde_json::from_slice(&place).map(Some).map_err(|_| invalid())
    }
}

/// A page as an answer, with `Link: rel="next"`.
pub fn respond<T: Serialize>(page: Page<T>, uri: &Uri) -> Response {
    let mut headers = HeaderMap::new();
    if let Some(cursor) = &page.page.next_cursor
        && let Ok(link) = HeaderValue::from_str(&next_link(uri, cursor))
    {
        headers.insert(header::LINK, link);
    }
    (headers, axum::Json(page)).into_response()
}

fn next_link(uri: &Uri, cursor: &str) -> String {
    let kept = uri.query().unwrap_or_default().split('&');
    let kept = kept.filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let mut query: Vec<&str> = kept.collect();
    let cursor = format!("cursor={cursor}");
    query.push(&cursor);
    format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_list_only() {
        let cursors = Cursors::new(b"secret");
        let cursor = cursors.write("/v1/x?state=new", &(7_u64, "a")).unwrap();
        let read = |list: &str, cursor: &str| cursors.read::<(u64, String)>(list, Some(cursor));
        assert_eq!(read("/v1/x?state=new", &cursor), Ok(Some((7, "a".to_owned()))));
        assert!(read("/v1/x?state=parked", &cursor).is_err());
        assert!(read("/v1/y?state=new", &cursor).is_err());
        for at in 0..cursor.len() {
            let mut altered = cursor.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert!(
                read("/v1/x?state=new", &String::from_utf8(altered).unwrap()).is_err(),
                "{at}"
            );
            assert!(read("/v1/x?state=new", &cursor[..at]).is_err());
        }
        for (length, cursor_length, good) in [(365, 511, true), (366, 512, true), (367, 514, false)] {
            let cursor = cursors.write("list", &"x".repeat(length)).unwrap();
            assert_eq!(cursor.len(), cursor_length);
            assert_eq!(cursors.read::<String>("list", Some(&cursor)).is_ok(), good, "{length}");
        }
        assert!(
            Cursors::new(b"other")
                .read::<(u64, String)>("/v1/x?state=new", Some(&cursor))
                .is_err()
        );
    }

    #[test]
    fn totals_are_told_one_under_at_and_one_over_their_bound() {
        assert_eq!(u64::from(COUNTED_MAX), COUNT_MAX + 1);
        for (count, shown) in [(0, "0"), (9_999, "9999"), (10_000, "10000"), (10_001, "10,000+")] {
            assert_eq!(shown_count(count), shown);
        }
    }

    #[test]
    fn spans_hold_their_bound_one_under_at_and_one_over() {
        let from = Timestamp::from_seconds(1_800_000_000).unwrap();
        let longest = SPAN_DAYS_MAX * 86_400;
        for (seconds, good) in [(-1, true), (longest - 1, true), (longest, true), (longest + 1, false)] {
            let to = Some(from.plus_seconds(seconds));
            assert_eq!(within_span(Some(from), to).is_ok(), good, "{seconds}");
            assert!(within_span(None, to).is_ok());
        }
        assert!(within_span(Some(from), None).is_ok());
    }

    #[test]
    fn the_next_link_keeps_the_filter() {
        let uri: Uri = "/v1/x?state=new&cursor=old&limit=2".parse().unwrap();
        assert_eq!(
            next_link(&uri, "new"),
            "</v1/x?state=new&limit=2&cursor=new>; rel=\"next\""
        );
    }

    #[test]
    fn sizes_hold_their_bounds() {
        for (limit, good) in [(0, false), (1, true), (199, true), (200, true), (201, false)] {
            let paging = Paging {
                limit: Some(limit),
                cursor: None,
                count: None,
            };
            assert_eq!(paging.size().is_ok(), good, "{limit}");
        }
    }
}
