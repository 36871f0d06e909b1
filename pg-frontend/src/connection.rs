//! The message loop of one connection.

use crate::frame::{self, Message, Target};
use crate::socket::Socket;
use crate::startup::{self, Begun};
use crate::wire::{Wire, lost};
use futures::FutureExt;
use heddle_session::{Client, Completion, Server, Session, Startup, Status};
use heddle_types::{Error, Oid, PgType, Result, Severity, SqlState};
use pgwire::messages::data::ParameterDescription;
use pgwire::messages::startup::{Authentication, BackendKeyData, SecretKey};
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// A client that has not said who it is by then is dropped.
const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves one connection to its end.
pub(crate) async fn serve(socket: Socket, server: Arc<Server>) {
    let mut wire = Wire::new(socket);
    let begun = tokio::time::timeout(AUTHENTICATION_TIMEOUT, startup::negotiate(&mut wire, &server)).await;
    let session = match begun {
        Err(_) | Ok(Err(_)) | Ok(Ok(Ok(Begun::Closed))) => return,
        Ok(Ok(Err(e))) => Err(e),
        Ok(Ok(Ok(Begun::Session(startup)))) => Session::connect(&server, Startup { client: wire.client(), ..startup }),
    };
    let session = match session {
        Ok(session) => session,
        Err(e) => {
            wire.error(&e);
            // The peer may be gone already; there is nobody else to tell.
            let _ = wire.flush().await;
            return;
        }
    };
    let mut connection = Connection { wire, session, skip_to_sync: false };
    connection.greet();
    // A panic is a bug of ours; it must not take other connections with it.
    match AssertUnwindSafe(connection.run()).catch_unwind().await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::debug!(error = %e, "connection lost"),
        Err(_) => {
            tracing::error!("a connection panicked and was closed");
            let e = Error::internal("internal error: the session was closed").fatal();
            connection.wire.error(&e);
            let _ = connection.wire.flush().await;
        }
    }
    connection.session.end().await;
}

struct Connection {
    wire: Wire,
    session: Session,
    /// An error was sent in the extended protocol: everything up to Sync is skipped.
    skip_to_sync: bool,
}

/// What to do after a message.
enum Next {
    Go,
    Close,
}

impl Connection {
    fn greet(&mut self) {
        self.wire.put(&Authentication::Ok);
        self.session.flush_side(&mut self.wire);
        let (pid, secret) = self.session.key();
        self.wire.put(&BackendKeyData::new(pid, SecretKey::I32(secret as i32)));
        self.ready();
    }

    fn ready(&mut self) {
        self.session.flush_side(&mut self.wire);
        let status = match self.session.status() {
            Status::Idle => b'I',
            Status::InBlock => b'T',
            Status::Failed => b'E',
        };
        self.wire.ready(status);
        self.session.note_ready();
    }

    async fn run(&mut self) -> io::Result<()> {
        loop {
            let kind = self.wire.input.first().copied();
            let message = match frame::take(&mut self.wire.input) {
                Ok(Some(message)) => message,
                Ok(None) => match self.wait().await? {
                    Next::Go => continue,
                    Next::Close => return Ok(()),
                },
                Err(e) => match self.refuse(e, kind) {
                    Next::Go => continue,
                    Next::Close => return self.wire.flush().await,
                },
            };
            let next = self.handle(message).await;
            if self.wire.lost_sync {
                let text = "terminating connection because protocol synchronization was lost";
                self.wire.error(&Error::new(SqlState::PROTOCOL_VIOLATION, text).fatal());
                return self.wire.flush().await;
            }
            if let Next::Close = next {
                return self.wire.flush().await;
            }
        }
    }

    /// Flushes, then waits for input, the end of the server, or the end of the session's patience.
    async fn wait(&mut self) -> io::Result<Next> {
        self.wire.flush().await?;
        let canceller = self.session.canceller();
        let limit = self.session.idle_limit();
        let idle = async {
            match limit {
                Some((after, e)) => {
                    tokio::time::sleep(after).await;
                    e
                }
                None => std::future::pending().await,
            }
        };
        let end = tokio::select! {
            biased;
            more = self.wire.fill() => return Ok(if more? { Next::Go } else { Next::Close }),
            e = canceller.terminated() => e,
            e = idle => e,
        };
        self.wire.error(&end);
        self.wire.flush().await?;
        Ok(Next::Close)
    }

    /// A frame that could not be read.
    fn refuse(&mut self, e: Error, kind: Option<u8>) -> Next {
        let fatal = e.fields().severity == Severity::Fatal;
        if !fatal && self.skip_to_sync {
            return Next::Go;
        }
        self.session.fail_transaction();
        self.session.flush_side(&mut self.wire);
        self.wire.error(&e);
        if fatal {
            return Next::Close;
        }
        // Bad text in an otherwise sound frame. Who sent a Query waits for ReadyForQuery and sends no Sync.
        match kind {
            Some(b'Q') => self.ready(),
            _ => self.skip_to_sync = true,
        }
        Next::Go
    }

    async fn handle(&mut self, message: Message) -> Next {
        // A Query, too, as in PostgreSQL: only Sync ends the skipping.
        if self.skip_to_sync && !matches!(message, Message::Sync | Message::Terminate) {
            return Next::Go;
        }
        match message {
            Message::Query { sql } => self.query(&sql).await,
            Message::Sync => self.sync().await,
            Message::Terminate => Next::Close,
            Message::Flush => match self.wire.flush().await {
                Ok(()) => Next::Go,
                Err(_) => Next::Close,
            },
            // What is left of a COPY that failed.
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail { .. } => Next::Go,
            Message::Password => {
                let text = "unexpected password message";
                self.refuse(Error::new(SqlState::PROTOCOL_VIOLATION, text).fatal(), None)
            }
            Message::FunctionCall => {
                self.session.fail_transaction();
                self.wire.error(&Error::unsupported("the function call protocol"));
                self.ready();
                Next::Go
            }
            extended => {
                let result = self.extended(extended).await;
                self.settle(result)
            }
        }
    }

    async fn query(&mut self, sql: &str) -> Next {
        let result = self.session.simple_query(sql, &mut self.wire).await;
        self.session.flush_side(&mut self.wire);
        if let Err(e) = result {
            self.wire.error(&e);
            if e.fields().severity == Severity::Fatal || self.wire.lost_sync {
                return Next::Close;
            }
        }
        self.ready();
        Next::Go
    }

    async fn sync(&mut self) -> Next {
        self.skip_to_sync = false;
        let result = self.session.sync().await;
        self.session.flush_side(&mut self.wire);
        if let Err(e) = result {
            self.wire.error(&e);
            if e.fields().severity == Severity::Fatal {
                return Next::Close;
            }
        }
        self.ready();
        Next::Go
    }

    /// Sends the error of an extended message and starts skipping.
    fn settle(&mut self, result: Result<()>) -> Next {
        let Err(e) = result else { return Next::Go };
        self.session.fail_transaction();
        self.session.flush_side(&mut self.wire);
        self.wire.error(&e);
        if e.fields().severity == Severity::Fatal {
            return Next::Close;
        }
        self.skip_to_sync = true;
        Next::Go
    }

    async fn extended(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Parse { name, sql, types } => {
                let declared = types.into_iter().map(|t| PgType::new(Oid(t))).collect();
                self.session.parse(&name, &sql, declared)?;
                self.wire.bare(b'1');
            }
            Message::Bind { portal, statement, formats, values, results } => {
                self.session.bind(&portal, &statement, &formats, &values, results)?;
                self.wire.bare(b'2');
            }
            Message::Describe { target, name } => self.describe(target, &name)?,
            Message::Execute { portal, max_rows } => {
                let max = u32::try_from(max_rows).unwrap_or(0);
                match self.session.execute(&portal, max, &mut self.wire).await? {
                    Completion::Complete(tag) => {
                        self.session.flush_side(&mut self.wire);
                        self.wire.complete(&tag);
                    }
                    Completion::Suspended => self.wire.bare(b's'),
                    Completion::Empty => self.wire.empty(),
                }
            }
            Message::Close { target, name } => {
                match target {
                    Target::Statement => self.session.close_statement(&name),
                    Target::Portal => self.session.close_portal(&name),
                }
                self.wire.bare(b'3');
            }
            _ => return Err(Error::internal("not an extended-protocol message")),
        }
        // A long pipeline must not gather its answers in memory.
        if self.wire.output.len() > 64 << 10 {
            self.wire.flush().await.map_err(|e| lost(&e))?;
        }
        Ok(())
    }

    fn describe(&mut self, target: Target, name: &str) -> Result<()> {
        let description = match target {
            Target::Statement => {
                let d = self.session.describe_statement(name)?;
                self.wire.put(&ParameterDescription::new(d.params.iter().map(|p| p.oid.0).collect()));
                d
            }
            Target::Portal => self.session.describe_portal(name)?,
        };
        match description.columns {
            Some(columns) => self.wire.row_description(columns, description.formats),
            None => self.wire.bare(b'n'),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// A connection keeps room for all that it may ever do: what is large and seldom has to be boxed.
    #[test]
    fn a_connection_that_waits_is_small() {
        let bytes = size(serve);
        assert!(bytes < 8 << 10, "{bytes} bytes");
    }
}
