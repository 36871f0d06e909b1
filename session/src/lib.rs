//! The narrow waist between frontends and the database: sessions that execute SQL.
//!
//! A frontend owns a socket and a [`Session`]; it calls [`Session::simple_query`] or the extended verbs
//! ([`Session::parse`], [`Session::bind`], [`Session::execute`], [`Session::sync`]) and gets rows, notices and COPY data through the
//! [`Client`] it passes in, so that back-pressure is the socket's own.
//!
//! Invariants
//! 1. A statement's effects are acknowledged (`complete`) only after its transaction step is as durable as PostgreSQL's would be:
//!    the last statement of a simple query and Sync commit first.
//! 2. An error never leaves a half transaction: implicit ones are rolled back, explicit ones are failed (25P02).
//! 3. Portals die with their transaction.

mod activity;
mod client;
mod copy;
mod cursor;
mod encode;
mod inventory;
mod names;
mod point;
mod portal;
mod prepared;
mod run;
mod server;
mod session;
pub mod settings;
mod temporary;
mod texts;
mod transaction;
mod utility;

pub use client::{Client, CopyFormatCodes, RowEncoder};
pub use heddle_planner::bound::OutputColumn;
pub use portal::Completion;
pub use server::{Canceller, Server, ServerOptions};
pub use session::{Description, Session, Startup, Status};
