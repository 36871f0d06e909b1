//! A client's socket: TCP, or a Unix socket under the name PostgreSQL's clients look for, `DIR/.s.PGSQL.PORT`.

use heddle_env::Disk;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// An accepted connection on its way to the runtime that will own it.
pub(crate) enum Accepted {
    Tcp(std::net::TcpStream),
    Unix(UnixStream),
}

/// A connection on its runtime.
pub(crate) enum Socket {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Accepted {
    /// Takes the connection over; inside the runtime that will own it.
    pub fn adopt(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                socket2::SockRef::from(&stream).set_keepalive(true)?;
                tokio::net::TcpStream::from_std(stream).map(Socket::Tcp)
            }
            Self::Unix(stream) => {
                stream.set_nonblocking(true)?;
                tokio::net::UnixStream::from_std(stream).map(Socket::Unix)
            }
        }
    }
}

impl Socket {
    /// The other end's address, if it has one.
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Waits until there is input or the end of the stream.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
        }
    }

    /// Waits until there is input or the end of the stream; bytes that are there, which stay.
    pub async fn peek(&self) -> io::Result<usize> {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        loop {
            let peeked = match self {
                Self::Tcp(stream) => {
                    stream.readable().await?;
                    stream.try_io(Interest::READABLE, || socket2::SockRef::from(stream).peek(&mut byte))
                }
                Self::Unix(stream) => {
                    stream.readable().await?;
                    stream.try_io(Interest::READABLE, || socket2::SockRef::from(stream).peek(&mut byte))
                }
            };
            match peeked {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// The Unix socket's file; removed when dropped.
pub(crate) struct SocketFile {
    path: PathBuf,
    disk: Arc<dyn Disk>,
}

impl SocketFile {
    /// Listens in `dir`. A file that a killed server left is replaced, one that somebody answers on is not.
    ///
    /// # Errors
    /// `AddrInUse` when a server listens there; otherwise the operating system's.
    pub fn bind(dir: &Path, port: u16, disk: &Arc<dyn Disk>) -> io::Result<(Self, UnixListener)> {
        let path = dir.join(format!(".s.PGSQL.{port}"));
        match UnixStream::connect(&path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => disk.remove_file(&path)?,
            Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        Ok((Self { path, disk: Arc::clone(disk) }, listener))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(e) = self.disk.remove_file(&self.path) {
            tracing::warn!(error = %e, path = %self.path.display(), "could not remove the socket file");
        }
    }
}
