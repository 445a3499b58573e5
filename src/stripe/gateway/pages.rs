//! Walks along Stripe's lists: newest first, at most 100 objects a page, the id of an object is the cursor.
//!
//! A page stays the current one until the caller says that everything on it is recorded; the caller keeps the cursor,
//! so a walk that broke off goes on where it was.

use serde_json::Value;

use super::{Answer, GatewayError, Listing, OnAccount, Page, Read, StripeGateway};

/// Which way a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Older,
    Newer,
}

/// A walk.
#[derive(Clone, Debug)]
pub struct Walk {
    list: Listing,
    way: Way,
    page: Page,
    /// The edges of the page that was read last, and whether more follows.
    read: Option<(Option<Box<str>>, bool)>,
    finished: bool,
}

impl Walk {
    /// From the newest object, or from behind `cursor`, towards the oldest.
    #[must_use]
    pub fn older(list: Listing, cursor: Option<&str>) -> Self {
        let page = cursor.map_or(Page::Newest, |id| Page::After(id.into()));
        Self::along(list, Way::Older, page)
    }

    /// From the object `cursor` towards the newest.
    #[must_use]
    pub fn newer(list: Listing, cursor: &str) -> Self {
        Self::along(list, Way::Newer, Page::Before(cursor.into()))
    }

    const fn along(list: Listing, way: Way, page: Page) -> Self {
        Self {
            list,
            way,
            page,
            read: None,
            finished: false,
        }
    }

    /// Reads the current page; its objects in the order of the walk. Nothing once the walk is over.
    pub async fn read(
        &mut self,
        gateway: &dyn StripeGateway,
        account: &OnAccount,
    ) -> Result<Option<Answer>, GatewayError> {
        if self.finished {
            return Ok(None);
        }
        let question = Read::List {
            list: self.list.clone(),
            page: self.page.clone(),
        };
        let mut answer = gateway.read(account, &question).await?;
        if self.way == Way::Newer
            && let Some(Value::Array(rows)) = answer.object.get_mut("data")
        {
            rows.reverse();
        }
        let edge = answer
            .rows()
            .last()
            .and_then(|row| row.get("id"))
            .and_then(Value::as_str);
        self.read = Some((edge.map(Into::into), answer.has_more()));
        Ok(Some(answer))
    }

    /// Everything on the page is recorded: the next one is due.
    pub fn recorded(&mut self) {
        let Some((edge, has_more)) = self.read.take() else {
            return;
        };
        match edge {
            Some(edge) => {
                self.finished = !has_more;
                self.page = match self.way {
                    Way::Older => Page::After(edge),
                    Way::Newer => Page::Before(edge),
                };
            }
            // An empty page has nowhere to go on from, whatever it says.
            None => self.finished = true,
        }
    }

    /// Where the walk goes on: the last object that is recorded.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        match &self.page {
            Page::Newest => None,
            Page::After(id) | Page::Before(id) => Some(id),
        }
    }

    /// Nothing is left.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.finished
    }
}
