//! Accepts connections, from TCP and from a Unix socket, and spreads them over one current-thread runtime per core; a request
//! runs to completion on the runtime that owns its connection.

use crate::connection;
use crate::socket::{Accepted, SocketFile};
use heddle_env::Disk;
use heddle_session::Server;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
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
    /// Folder for a Unix socket, named by the port.
    pub socket_dir: Option<PathBuf>,
    /// Runtimes (threads) that own connections.
    pub workers: usize,
}

/// A running listener.
pub struct Listener {
    address: SocketAddr,
    server: Arc<Server>,
    stop: tokio::sync::watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    socket_file: Option<SocketFile>,
}

/// How long sessions get to end after they were told to.
const DRAIN_MAX: Duration = Duration::from_secs(10);

impl Listener {
    /// Binds the addresses and starts serving.
    ///
    /// # Errors
    /// The operating system's, with the address: in use, not permitted.
    pub fn start(config: &ListenerConfig, server: Arc<Server>, disk: &Arc<dyn Disk>) -> io::Result<Self> {
        let socket = TcpListener::bind(config.address).map_err(|e| named(&e, &config.address))?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let (socket_file, unix) = match &config.socket_dir {
            Some(dir) => SocketFile::bind(dir, address.port(), disk)
                .map(|(file, unix)| (Some(file), Some(unix)))
                .map_err(|e| named(&e, &dir.display()))?,
            None => (None, None),
        };
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut threads = vec![];
        let mut workers = vec![];
        for i in 0..config.workers.max(1) {
            let (send, receive) = mpsc::unbounded_channel();
            workers.push(send);
            threads.push(worker(i, receive, Arc::clone(&server))?);
        }
        threads.push(acceptor(socket, unix, workers, stopped)?);
        Ok(Self { address, server, stop, threads, socket_file })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The Unix socket's file.
    pub fn socket_path(&self) -> Option<&Path> {
        self.socket_file.as_ref().map(SocketFile::path)
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

fn named(e: &io::Error, address: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(e.kind(), format!("could not listen on {address}: {e}"))
}

/// The next connection of an optional Unix socket.
async fn next_unix(listener: Option<&tokio::net::UnixListener>) -> io::Result<Accepted> {
    match listener {
        Some(listener) => Ok(Accepted::Unix(listener.accept().await?.0.into_std()?)),
        None => std::future::pending().await,
    }
}

async fn next_tcp(listener: &tokio::net::TcpListener) -> io::Result<Accepted> {
    Ok(Accepted::Tcp(listener.accept().await?.0.into_std()?))
}

fn adopt_unix(listener: UnixListener) -> io::Result<tokio::net::UnixListener> {
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

fn acceptor(
    socket: TcpListener,
    unix: Option<UnixListener>,
    workers: Vec<mpsc::UnboundedSender<Accepted>>,
    mut stopped: tokio::sync::watch::Receiver<bool>,
) -> io::Result<JoinHandle<()>> {
    let runtime = runtime()?;
    std::thread::Builder::new().name("pg-accept".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let listeners =
                tokio::net::TcpListener::from_std(socket).and_then(|tcp| Ok((tcp, unix.map(adopt_unix).transpose()?)));
            let (tcp, unix) = match listeners {
                Ok(listeners) => listeners,
                Err(e) => return tracing::error!(error = %e, "cannot listen"),
            };
            let mut turn = 0;
            loop {
                let accepted = tokio::select! {
                    accepted = next_tcp(&tcp) => accepted,
                    accepted = next_unix(unix.as_ref()) => accepted,
                    _ = stopped.wait_for(|s| *s) => return,
                };
                match accepted {
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
    mut connections: mpsc::UnboundedReceiver<Accepted>,
    server: Arc<Server>,
) -> io::Result<JoinHandle<()>> {
    let runtime = runtime()?;
    std::thread::Builder::new().name(format!("pg-worker-{i}")).stack_size(STACK_BYTES).spawn(move || {
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            while let Some(stream) = connections.recv().await {
                match stream.adopt() {
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
