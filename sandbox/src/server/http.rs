//! Serving: HTTP/1.1, bounded bodies and connections; faults of the wire happen here.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::Sandbox;
use crate::engine::{Admission, Exit};
use crate::wire::call::{Call, Reply};
use crate::wire::error::ApiError;

/// Largest body of a call. Stripe's own calls stay far below.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Most connections at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 512;
/// Longest wait for the head of a request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Accepts until told to stop.
pub(super) async fn serve(sandbox: Sandbox, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // Out of descriptors: soon one may be free.
            Err(error) => {
                tracing::warn!(%error, "the sandbox could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (sandbox, mut stopped) = (sandbox.clone(), stopped.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connection(sandbox, stream) => {}
                _ = stopped.changed() => {}
            }
            drop(permit);
        });
    }
}

async fn connection(sandbox: Sandbox, stream: TcpStream) {
    let service = service_fn(move |request| {
        let sandbox = sandbox.clone();
        async move { answer(&sandbox, request).await }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // A connection that ends badly is the caller's matter, or a fault that was asked for.
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection to the sandbox ended");
    }
}

/// A connection that is to be cut.
#[derive(Debug, thiserror::Error)]
#[error("cut, as a fault asked for")]
struct Cut;

async fn answer(sandbox: &Sandbox, request: Request<Incoming>) -> Result<Response<Whole>, Cut> {
    let (head, body) = request.into_parts();
    let mut call = Call::new(head.method.as_str(), head.uri.path());
    call.query = head.uri.query().unwrap_or_default().to_owned();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        call = call.header(name.as_str(), &value);
    }
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        let message = format!("The body is larger than {BODY_BYTES_MAX} bytes, or broke off.");
        let error = ApiError::other(413, "invalid_request_error", message);
        return Ok(response(&Reply::error(&error), Exit::Whole));
    };
    call.body = body.to_bytes().to_vec();
    let admission = sandbox.state().admit(&call);
    let (reply, exit) = match admission {
        Admission::Done(reply, exit) => (reply, exit),
        Admission::Go(admitted) => {
            tokio::time::sleep(Duration::from_millis(admitted.slow_ms())).await;
            sandbox.state().carry_out(&call, *admitted)
        }
    };
    sandbox.wake();
    if exit == Exit::Cut {
        return Err(Cut);
    }
    Ok(response(&reply, exit))
}

fn response(reply: &Reply, exit: Exit) -> Response<Whole> {
    let mut response = Response::new(Whole {
        length: reply.body.len(),
        rest: Some(Bytes::from(reply.body.clone())),
        breaks: exit == Exit::Half,
        flushed: false,
    });
    if let Ok(status) = reply.status.try_into() {
        *response.status_mut() = status;
    }
    for (name, value) in &reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A body that may break off in the middle of what its length promised.
struct Whole {
    length: usize,
    rest: Option<Bytes>,
    breaks: bool,
    /// The first half has had its chance to leave.
    flushed: bool,
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let breaks = self.breaks;
        let frame = match self.rest.take() {
            Some(bytes) if breaks => Some(Ok(Frame::data(bytes.slice(..bytes.len() / 2)))),
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None if breaks && !self.flushed => {
                self.flushed = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            None if breaks => Some(Err(Cut)),
            None => None,
        };
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length as u64)
    }
}

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
