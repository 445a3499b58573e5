//! Walks along Stripe's lists: newest first, at most 100 objects a page, the id of an object is the cursor.
//!
//! A page stays the current one until the caller says that everything on it is recorded; the caller keeps the cursor,
//! so a walk that broke off goes on where it was.

use serde_json::Value;

use super::{Answer, Delay, GatewayError, Listing, OnAccount, Page, Read, StripeGateway};

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
        self.check(&answer)?;
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

    /// A page that is none, or leads nowhere, must not look like the end of the list: what follows would never be read.
    fn check(&self, answer: &Answer) -> Result<(), GatewayError> {
        let rows = answer.object.get("data").and_then(Value::as_array);
        let reason = match rows.map(|rows| rows.last()) {
            None => "a list without its objects",
            Some(Some(last)) if answer.has_more() => match last.get("id").and_then(Value::as_str) {
                None => "a list goes on behind an object without id",
                Some(id) if self.cursor() == Some(id) => "a list goes on where it was",
                Some(_) => return Ok(()),
            },
            Some(_) => return Ok(()),
        };
        Err(GatewayError::Transient(Delay {
            reason: reason.to_owned(),
            status: Some(answer.status),
            retry_after: None,
        }))
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use serde_json::json;

    use super::*;
    use crate::stripe::gateway::{Call, CallKey, Refusal, RequestHash};

    /// Gives the same page whatever is asked.
    struct Stuck(Value);

    impl StripeGateway for Stuck {
        fn call<'a>(
            &'a self,
            _: &'a OnAccount,
            _: CallKey,
            _: &'a Call,
        ) -> BoxFuture<'a, Result<Answer, GatewayError>> {
            std::future::ready(Err(GatewayError::Permanent(Refusal::unsent("none", "it only reads")))).boxed()
        }

        fn read<'a>(&'a self, _: &'a OnAccount, _: &'a Read) -> BoxFuture<'a, Result<Answer, GatewayError>> {
            let answer = Answer {
                object: self.0.clone(),
                body: Bytes::new(),
                status: 200,
                request_id: None,
                replayed: false,
                api_version: None,
                stripe_time: None,
            };
            std::future::ready(Ok(answer)).boxed()
        }

        fn hash(&self, _: CallKey, _: &Call) -> RequestHash {
            RequestHash([0; 32])
        }
    }

    fn events() -> Listing {
        Listing::Events {
            types: Vec::new(),
            since: None,
        }
    }

    #[tokio::test]
    async fn what_is_no_page_of_a_list_is_not_its_end() {
        for (object, after) in [
            (json!({}), None),
            (json!({"object": "event", "id": "evt_1"}), None),
            (json!({"data": {}}), None),
            (json!({"data": [{"object": "event"}], "has_more": true}), None),
            (json!({"data": [{"id": "evt_1"}], "has_more": true}), Some("evt_1")),
        ] {
            let mut walk = Walk::older(events(), after);
            let read = walk.read(&Stuck(object.clone()), &OnAccount::own()).await;
            assert!(matches!(read, Err(GatewayError::Transient(_))), "{object}: {read:?}");
            walk.recorded();
            assert!(!walk.is_finished(), "{object}");
        }
    }

    #[tokio::test]
    async fn the_last_page_is_the_one_that_says_so() {
        for object in [
            json!({"data": []}),
            json!({"data": [{"id": "evt_1"}], "has_more": false}),
        ] {
            let mut walk = Walk::older(events(), None);
            assert!(walk.read(&Stuck(object), &OnAccount::own()).await.unwrap().is_some());
            walk.recorded();
            assert!(walk.is_finished());
        }
    }
}
