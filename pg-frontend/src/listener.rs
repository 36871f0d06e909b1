//! Accepts connections and spreads them over one current-thread runtime per core; a request runs to completion on the
//! runtime that owns its connection.

use crate::connection;
use heddle_session::Server;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

/// Where to listen and with how many runtimes.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Runtimes (threads) that own connections.
    pub workers: usize,
}

/// A running listener.
pub struct Listener {
    address: SocketAddr,
    server: Arc<Server>,
    stop: tokio::sync::watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// How long sessions get to end after they were told to.
const DRAIN_MAX: Duration = Duration::from_secs(10);

impl Listener {
    /// Binds the address and starts serving.
    ///
    /// # Errors
    /// The operating system's: address in use, not permitted.
    pub fn start(config: &ListenerConfig, server: Arc<Server>) -> io::Result<Self> {
        let socket = TcpListener::bind(config.address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut threads = vec![];
        let mut workers = vec![];
        for i in 0..config.workers.max(1) {
            let (send, receive) = mpsc::unbounded_channel();
            workers.push(send);
            threads.push(worker(i, receive, Arc::clone(&server))?);
        }
        threads.push(acceptor(socket, workers, stopped)?);
        Ok(Self { address, server, stop, threads })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more, ends the sessions, waits for the threads.
    pub fn shutdown(self) {
        // The receiver lives in the acceptor thread; when that is gone there is nothing left to stop.
        let _ = self.stop.send(true);
        self.server.close();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a network thread panicked");
            }
        }
    }
}

/// Parsing and binding ask for 32 MiB of stack, and get a new one mapped, used and unmapped each time when their thread has
/// less. Pages that are never touched cost nothing.
const STACK_BYTES: usize = 64 << 20;

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn acceptor(
    socket: TcpListener,
    workers: Vec<mpsc::UnboundedSender<TcpStream>>,
    mut stopped: tokio::sync::watch::Receiver<bool>,
) -> io::Result<JoinHandle<()>> {
    let runtime = runtime()?;
    std::thread::Builder::new().name("pg-accept".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let listener = match tokio::net::TcpListener::from_std(socket) {
                Ok(l) => l,
                Err(e) => return tracing::error!(error = %e, "cannot listen"),
            };
            let mut turn = 0;
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = stopped.wait_for(|s| *s) => return,
                };
                match accepted.and_then(|(stream, _)| stream.into_std()) {
                    Ok(stream) => {
                        turn = (turn + 1) % workers.len();
                        // A worker ends only after this sender is dropped.
                        let _ = workers[turn].send(stream);
                    }
                    Err(e) => {
                        // Out of file descriptors, most likely: going on at once would spin.
                        tracing::warn!(error = %e, "accept failed");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
    })
}

fn worker(
    i: usize,
    mut connections: mpsc::UnboundedReceiver<TcpStream>,
    server: Arc<Server>,
) -> io::Result<JoinHandle<()>> {
    let runtime = runtime()?;
    std::thread::Builder::new().name(format!("pg-worker-{i}")).stack_size(STACK_BYTES).spawn(move || {
        heddle_env::short_slices();
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            while let Some(stream) = connections.recv().await {
                match adopt(stream) {
                    Ok(stream) => {
                        tokio::task::spawn_local(connection::serve(stream, Arc::clone(&server)));
                    }
                    Err(e) => tracing::warn!(error = %e, "cannot serve a connection"),
                }
            }
        });
        // Sessions were told to end: let them say so to their clients.
        let drained = runtime.block_on(async { tokio::time::timeout(DRAIN_MAX, local).await });
        if drained.is_err() {
            tracing::warn!("sessions did not end in time and were dropped");
        }
    })
}

fn adopt(stream: TcpStream) -> io::Result<tokio::net::TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    socket2::SockRef::from(&stream).set_keepalive(true)?;
    tokio::net::TcpStream::from_std(stream)
}
