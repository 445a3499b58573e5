//! A connection that ends when its caller is too slow, whatever it is slow with: sending a request's head, asking
//! again, or taking an answer.
//!
//! hyper's own limit on heads runs from the moment a connection may send the next one, so it cannot tell a slow sender
//! from a kept connection that is merely quiet, and it does not run before the protocol is known. Here the clock of a
//! head begins with its first byte, and a quiet connection has a longer one of its own.
//!
//! 1. [`Timed`] wraps the stream: it sees when bytes come, and of HTTP/2 where frames begin and end.
//! 2. [`Requests`] counts what runs on the connection: a body on its way and a handler at work are not idle. Their own
//!    limits are `extract::BODY_TIME_MAX` and `edge::REQUEST_TIME_MAX`.
//! 3. A limit that passed shows to hyper as a failed read or write, and hyper closes the connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::frames::Wire;

/// How long a caller may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From the first byte of a request's head to its last.
    pub head: Duration,
    /// Without a request.
    pub idle: Duration,
    /// Without taking any byte of an answer that waits to be sent.
    pub answer: Duration,
}

/// The requests of one connection.
#[derive(Debug)]
pub struct Requests {
    opened: Instant,
    running: AtomicUsize,
    begun: AtomicU64,
    /// When the last one ended, in microseconds after `opened`.
    ended: AtomicU64,
}

/// A request that runs until this is dropped.
#[derive(Debug)]
pub struct Running(Arc<Requests>);

impl Requests {
    /// Of a connection that was opened just now.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            running: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        })
    }

    /// One more.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::AcqRel);
        self.begun.fetch_add(1, Ordering::AcqRel);
        Running(Arc::clone(self))
    }

    fn are_running(&self) -> bool {
        self.running.load(Ordering::Acquire) > 0
    }

    fn begun(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// When the last one ended; when the connection was opened, before there was one.
    fn ended_at(&self) -> Instant {
        self.opened + Duration::from_micros(self.ended.load(Ordering::Acquire))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = u64::try_from(self.0.opened.elapsed().as_micros()).unwrap_or(u64::MAX);
        // Before the count: who sees nothing running sees when that began.
        self.0.ended.store(ended, Ordering::Release);
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The body of an answer; its request runs until it was handed over whole or given up.
#[derive(Debug)]
pub struct Counted {
    body: Body,
    _running: Running,
}

impl Counted {
    /// The body of the answer to this request.
    #[must_use]
    pub const fn new(body: Body, running: Running) -> Self {
        Self {
            body,
            _running: running,
        }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream with limits on its caller's time.
pub struct Timed<S> {
    stream: S,
    times: Times,
    requests: Arc<Requests>,
    wire: Wire,
    /// Since when a head is on its way, and which one.
    head: Option<(Instant, u64)>,
    /// Since when the caller takes nothing.
    stalled: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<S> Timed<S> {
    /// Of a stream that was opened just now.
    #[must_use]
    pub fn new(stream: S, times: Times, requests: Arc<Requests>) -> Self {
        Self {
            stream,
            times,
            requests,
            wire: Wire::default(),
            head: None,
            stalled: None,
            alarm: None,
        }
    }

    /// Looks at bytes that came.
    fn came(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.wire.feed(bytes);
        let on_its_way = match &self.wire {
            Wire::Frames(frames) => frames.is_partial(),
            // Bytes of HTTP/1 belong to a head unless a request runs: then they are its body, or wait behind it.
            Wire::Unknown(_) | Wire::Lines => !self.requests.are_running(),
        };
        if !on_its_way {
            self.head = None;
        } else if self.head_since().is_none() {
            self.head = Some((Instant::now(), self.present_head()));
        }
    }

    /// Tells one head from the next: by the requests that have begun, or by the frames that have ended.
    fn present_head(&self) -> u64 {
        match &self.wire {
            Wire::Unknown(_) | Wire::Lines => self.requests.begun(),
            Wire::Frames(frames) => frames.ended(),
        }
    }

    /// Since when the present head is on its way.
    fn head_since(&self) -> Option<Instant> {
        let (since, which) = self.head?;
        (which == self.present_head()).then_some(since)
    }

    /// When the caller will have been too slow; a later look if nothing is awaited of it now.
    fn deadline(&self) -> Instant {
        let head = self.head_since().map(|since| since + self.times.head);
        let answer = self.stalled.map(|since| since + self.times.answer);
        let idle = (!self.requests.are_running()).then(|| self.requests.ended_at() + self.times.idle);
        let first = head.into_iter().chain(answer).chain(idle).min();
        first.unwrap_or_else(|| Instant::now() + self.times.idle)
    }

    /// Whether the caller was too slow; else wakes the task when it will have been.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let deadline = self.deadline();
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            // One that rings early costs another look; moving it for every request would cost more.
            if alarm.deadline() > deadline {
                alarm.as_mut().reset(deadline);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return false;
            }
            if deadline <= Instant::now() {
                return true;
            }
            alarm.as_mut().reset(deadline);
        }
    }

    /// A write that could not be made now.
    fn waits_to_write<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.stalled.get_or_insert_with(Instant::now);
        if self.is_overdue(cx) {
            return Poll::Ready(Err(too_slow()));
        }
        Poll::Pending
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the caller was too slow")
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(read) => {
                this.came(buffer.filled().get(before..).unwrap_or_default());
                Poll::Ready(read)
            }
            Poll::Pending if this.is_overdue(cx) => Poll::Ready(Err(too_slow())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write(cx, bytes) {
            Poll::Pending => this.waits_to_write(cx),
            written @ Poll::Ready(_) => {
                this.stalled = None;
                written
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write_vectored(cx, bytes) {
            Poll::Pending => this.waits_to_write(cx),
            written @ Poll::Ready(_) => {
                this.stalled = None;
                written
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}
