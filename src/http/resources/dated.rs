//! What the lists of an account's money share: newest first by when a thing was made, with the same filters.

use aggregates::time::Timestamp;
use axum::http::Uri;
use axum::response::Response;
use projections::invoices::list::InvoiceFilter;
use projections::money::list::MoneyFilter;
use projections::runner::Freshness;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::http::account::Account;
use crate::http::page::{self, Page, PageInfo, Paging};
use crate::http::position;
use crate::http::problem::Answer;
use crate::http::state::Service;
use crate::http::text::PlainText;

/// Which of them; everything given must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DatedQuery {
    /// Stripe's word for the status, for instance `open`, `paid`, `succeeded` or `failed`
    status: Option<PlainText>,
    /// Made at or after
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Made before
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Entries of the page
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before
    #[param(min_length = 23, max_length = 512, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Count the entries over all pages, up to 10,000
    count: Option<bool>,
}

impl DatedQuery {
    /// For the money view.
    #[must_use]
    pub fn money(&self) -> MoneyFilter {
        MoneyFilter {
            status: self.status.as_ref().map(|status| status.0.clone()),
            from: self.from,
            to: self.to,
        }
    }

    /// For the invoices view; a status that is asked for is not left out.
    #[must_use]
    pub fn invoices(&self, without: &'static [&'static str]) -> InvoiceFilter {
        InvoiceFilter {
            status: self.status.as_ref().map(|status| status.0.clone()),
            without,
            from: self.from,
            to: self.to,
        }
    }
}

/// A page that was asked for.
pub struct DatedPage {
    list_name: String,
    paging: Paging,
    size: u32,
    after: Option<(Timestamp, String)>,
}

impl DatedPage {
    /// Checks what is asked; `filter` in words binds the cursor to it.
    pub fn asked(service: &Service, account: &Account, query: &DatedQuery, filter: &str) -> Answer<Self> {
        page::within_span(query.from, query.to)?;
        let paging = Paging {
            limit: query.limit,
            cursor: query.cursor.clone(),
            count: query.count,
        };
        let size = paging.size()?;
        let list_name = format!("{} {filter}", account.stream);
        let after = service.cursors.read(&list_name, paging.cursor.as_deref())?;
        Ok(Self {
            list_name,
            paging,
            size,
            after,
        })
    }

    /// Where it begins.
    #[must_use]
    pub fn after(&self) -> Option<(Timestamp, &str)> {
        self.after.as_ref().map(|(made, id)| (*made, id.as_str()))
    }

    /// Rows to read: one more than it holds, to know whether there is another page.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.size + 1
    }

    /// Cuts the rows to the page; answers where the next one begins.
    pub fn cut<R>(
        &self,
        rows: &mut Vec<(String, R)>,
        made: impl Fn(&R) -> Option<Timestamp>,
    ) -> Option<(Timestamp, String)> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if rows.len() <= size {
            return None;
        }
        rows.truncate(size);
        let (id, row) = rows.last()?;
        Some((made(row)?, id.clone()))
    }

    /// The finished page.
    pub async fn respond<T: Serialize>(
        self,
        service: &Service,
        (data, next): (Vec<T>, Option<(Timestamp, String)>),
        counted: impl Future<Output = Answer<u64>>,
        freshness: &Freshness,
        uri: &Uri,
    ) -> Answer<Response> {
        let next = next.map(|place| service.cursors.write(&self.list_name, &place));
        let next_cursor = next.transpose()?;
        let info = PageInfo {
            has_more: next_cursor.is_some(),
            next_cursor,
            count: self.paging.total(counted).await?,
        };
        let mut response = page::respond(Page { data, page: info }, uri);
        position::announce_view(freshness, response.headers_mut());
        Ok(response)
    }
}
