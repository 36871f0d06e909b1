//! What comes before the first message: SSLRequest, GSSENCRequest, CancelRequest, StartupMessage.

use crate::frame::STARTUP_BYTES_MAX;
use crate::wire::Wire;
use bytes::{Buf, BufMut, BytesMut};
use heddle_session::{Server, Startup};
use heddle_types::{Error, Result, SqlState};
use pgwire::messages::startup::NegotiateProtocolVersion;
use std::io;

const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// The newest protocol we speak.
const PROTOCOL_NEWEST_MINOR: u32 = 2;

/// How the start went.
pub(crate) enum Begun {
    /// A client wants a session.
    Session(Startup),
    /// Nothing more to do on this socket: a cancel, a probe, or something that is no client.
    Closed,
}

/// Reads until the client has said who it is.
///
/// # Errors
/// Outer: the socket's. Inner: FATAL, to be sent before closing.
pub(crate) async fn negotiate(wire: &mut Wire, server: &Server) -> io::Result<Result<Begun>> {
    let (mut ssl_asked, mut gss_asked) = (false, false);
    loop {
        let Some(mut packet) = packet(wire).await? else { return Ok(Ok(Begun::Closed)) };
        match packet.get_u32() {
            // Bytes that came along in clear with the request would be taken for part of the TLS session: refuse them.
            SSL_REQUEST | GSSENC_REQUEST if !wire.input.is_empty() => {
                let text = "received unencrypted data after SSL request";
                return Ok(Err(Error::new(SqlState::PROTOCOL_VIOLATION, text).fatal()));
            }
            SSL_REQUEST if !ssl_asked => ssl_asked = true,
            GSSENC_REQUEST if !gss_asked => gss_asked = true,
            CANCEL_REQUEST => {
                if packet.remaining() == 8 {
                    let (pid, secret) = (packet.get_i32(), packet.get_u32());
                    server.cancel(pid, secret);
                }
                return Ok(Ok(Begun::Closed));
            }
            version => return Ok(startup(version, packet, wire).map(Begun::Session)),
        }
        wire.output.put_u8(b'N');
        wire.flush().await?;
    }
}

/// One length-prefixed packet without type; None when the peer closed or sent nonsense.
async fn packet(wire: &mut Wire) -> io::Result<Option<BytesMut>> {
    loop {
        if let Some(header) = wire.input.first_chunk::<4>() {
            let length = u32::from_be_bytes(*header) as usize;
            if !(8..=STARTUP_BYTES_MAX).contains(&length) {
                return Ok(None);
            }
            if wire.input.len() >= length {
                let mut packet = wire.input.split_to(length);
                packet.advance(4);
                return Ok(Some(packet));
            }
        }
        if !wire.fill().await? {
            return Ok(None);
        }
    }
}

fn startup(version: u32, packet: BytesMut, wire: &mut Wire) -> Result<Startup> {
    let (major, minor) = (version >> 16, version & 0xffff);
    if major != 3 {
        let text =
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{PROTOCOL_NEWEST_MINOR}");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, text).fatal());
    }
    let pairs = pairs(&packet)?;
    let (unknown, known): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(k, _)| k.starts_with("_pq_."));
    if minor > PROTOCOL_NEWEST_MINOR || !unknown.is_empty() {
        let newest = (3 << 16 | minor.min(PROTOCOL_NEWEST_MINOR)) as i32;
        let names = unknown.into_iter().map(|(k, _)| k).collect();
        wire.put(&NegotiateProtocolVersion::new(newest, names));
    }
    let mut startup = Startup::default();
    for (key, value) in known {
        match key.as_str() {
            "user" => startup.user = value,
            "database" => startup.database = Some(value),
            "options" => startup.parameters.extend(options(&value)?),
            "replication" if matches!(value.as_str(), "off" | "false" | "0" | "no") => {}
            "replication" => return Err(Error::unsupported("the replication protocol").fatal()),
            _ => startup.parameters.push((key, value)),
        }
    }
    Ok(startup)
}

fn malformed() -> Error {
    let text = "invalid startup packet layout: expected terminator as last byte";
    Error::new(SqlState::PROTOCOL_VIOLATION, text).fatal()
}

/// Name and value pairs up to the empty name.
fn pairs(packet: &[u8]) -> Result<Vec<(String, String)>> {
    let mut strings = vec![];
    let mut rest = packet;
    loop {
        let end = rest.iter().position(|b| *b == 0).ok_or_else(malformed)?;
        if end == 0 && strings.len() % 2 == 0 {
            break;
        }
        strings.push(String::from_utf8(rest[..end].to_vec()).map_err(|_| malformed())?);
        rest = &rest[end + 1..];
    }
    Ok(strings.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
}

/// `-c name=value --name=value`, blanks escaped by a backslash.
fn options(text: &str) -> Result<Vec<(String, String)>> {
    let invalid = |word: &str| {
        let text = format!("invalid command-line argument for server process: {word}");
        Error::new(SqlState::SYNTAX_ERROR, text).fatal()
    };
    let mut settings = vec![];
    let mut words = words(text).into_iter();
    while let Some(word) = words.next() {
        let pair = if word == "-c" {
            words.next().ok_or_else(|| invalid(&word))?
        } else if let Some(rest) = word.strip_prefix("-c").or_else(|| word.strip_prefix("--")) {
            rest.to_owned()
        } else {
            return Err(invalid(&word));
        };
        let (name, value) = pair.split_once('=').ok_or_else(|| invalid(&pair))?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn words(text: &str) -> Vec<String> {
    let mut words = vec![];
    let mut word = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            c if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_apart() {
        let got = options(r"-c search_path=a\ b -cTimeZone=UTC --statement-timeout=5s").unwrap();
        let want = [("search_path", "a b"), ("TimeZone", "UTC"), ("statement_timeout", "5s")];
        assert_eq!(got, want.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert!(options("-x").is_err());
    }

    #[test]
    fn pairs_need_a_terminator() {
        assert_eq!(pairs(b"user\0a\0\0").unwrap(), [("user".to_owned(), "a".to_owned())]);
        assert_eq!(pairs(b"options\0\0user\0a\0\0").unwrap().len(), 2);
        assert!(pairs(b"user\0a").is_err());
    }
}
