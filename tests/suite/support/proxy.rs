//! A TCP proxy in front of Postgres that misbehaves on demand: an outage, or a COMMIT whose answer is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const PASS: u8 = 0;
const DOWN: u8 = 1;
const LOSE_COMMIT: u8 = 2;

/// The simple query that ends a transaction, as the client writes it.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// Bytes moved at once; larger than any message of the tests' statements is not needed.
const CHUNK: usize = 64 * 1024;

/// A proxy on a port of its own; gone when dropped.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    mode: AtomicU8,
    lost: AtomicUsize,
}

impl Proxy {
    /// In front of the server named in a `postgres://user@host:port/name` URL.
    pub(crate) async fn before(url: &str) -> Self {
        let address = url
            .split('@')
            .nth(1)
            .and_then(|rest| rest.split('/').next())
            .expect("host and port");
        let address = address.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared {
            mode: AtomicU8::new(PASS),
            lost: AtomicUsize::new(0),
        });
        let state = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (state, address) = (Arc::clone(&state), address.clone());
                if state.mode.load(Ordering::SeqCst) == DOWN {
                    continue;
                }
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(&address).await {
                        relay(client, server, state).await;
                    }
                });
            }
        });
        Self {
            port,
            shared,
            accepting,
        }
    }

    /// The same URL through the proxy.
    pub(crate) fn through(&self, url: &str) -> String {
        let (user, rest) = url.split_once('@').expect("a user");
        let path = rest.split_once('/').map_or("", |(_, name)| name);
        format!("{user}@127.0.0.1:{}/{path}", self.port)
    }

    /// From now on connections are cut and refused.
    pub(crate) fn down(&self) {
        self.shared.mode.store(DOWN, Ordering::SeqCst);
    }

    /// Everything passes again.
    pub(crate) fn up(&self) {
        self.shared.mode.store(PASS, Ordering::SeqCst);
    }

    /// The next COMMIT reaches the server, but its answer never comes back: the connection is cut.
    pub(crate) fn lose_next_commit(&self) {
        self.shared.mode.store(LOSE_COMMIT, Ordering::SeqCst);
    }

    /// How many answers to COMMIT were lost.
    pub(crate) fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Moves bytes both ways until one side ends, the mode says down, or an answer to COMMIT is to be lost.
async fn relay(client: TcpStream, server: TcpStream, shared: Arc<Shared>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut up, mut down) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut commit_sent = false;
    loop {
        tokio::select! {
            read = from_client.read(&mut up) => {
                if shared.mode.load(Ordering::SeqCst) == DOWN {
                    return;
                }
                let Some(bytes) = forward(read, &up, &mut to_server).await else { return };
                let commit = bytes.windows(COMMIT.len()).any(|window| window == COMMIT);
                let wanted = shared.mode.compare_exchange(LOSE_COMMIT, PASS, Ordering::SeqCst, Ordering::SeqCst);
                match (commit, wanted) {
                    (true, Ok(_)) => commit_sent = true,
                    // Not a COMMIT: the wish stands for a later one.
                    (false, Ok(_)) => shared.mode.store(LOSE_COMMIT, Ordering::SeqCst),
                    (_, Err(_)) => {}
                }
            }
            read = from_server.read(&mut down) => {
                if commit_sent {
                    // The server has answered, so it has committed; the client will not hear of it.
                    shared.lost.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if forward(read, &down, &mut to_client).await.is_none() {
                    return;
                }
            }
            () = down_now(&shared) => return,
        }
    }
}

async fn forward<'a>(read: std::io::Result<usize>, bytes: &'a [u8], to: &mut OwnedWriteHalf) -> Option<&'a [u8]> {
    let bytes = &bytes[..read.ok().filter(|length| *length > 0)?];
    to.write_all(bytes).await.ok()?;
    Some(bytes)
}

async fn down_now(shared: &Shared) {
    while shared.mode.load(Ordering::SeqCst) != DOWN {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
