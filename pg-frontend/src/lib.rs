//! The PostgreSQL protocol, version 3: our own message loop around pgwire's message encoders.
//!
//! | module | subject |
//! |---|---|
//! | [`frame`] | bytes to frontend messages, every length checked |
//! | `wire` | buffers and socket of one connection; the [`heddle_session::Client`] a session talks to |
//! | `startup` | SSLRequest, GSSENCRequest, CancelRequest, StartupMessage |
//! | `connection` | the message loop: simple and extended queries, errors, Sync |
//! | `socket` | TCP and Unix sockets alike, the Unix socket's file |
//! | `spare` | buffers that idle connections hand on |
//! | `listener` | accepts connections and spreads them over one runtime per core |
//!
//! Invariants
//! 1. A frame's length is checked before a byte of its body is looked at; a malformed frame closes this connection (08P01) and no other.
//! 2. Output is flushed before the loop waits for input, and whenever it passes a bound: a result never gathers in memory.
//! 3. After an error in the extended protocol everything up to Sync is skipped; each Sync gets exactly one ReadyForQuery.
//!
//! Why our own frame reader: pgwire 0.42's decoders panic on bodies shorter than they claim and replace invalid UTF-8 silently.

mod connection;
pub mod frame;
mod listener;
mod socket;
mod spare;
mod startup;
mod wire;

pub use listener::{Listener, ListenerConfig};
