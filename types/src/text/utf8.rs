//! The encoding check of everything that comes from a client: UTF-8 without NUL, or `22021` as PostgreSQL words it.

use crate::{Error, Result, SqlState};

/// The bytes as text.
///
/// # Errors
/// `22021` naming the bytes of the first character that is not valid; NUL is one.
pub fn check_utf8(bytes: &[u8]) -> Result<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => match memchr::memchr(0, bytes) {
            None => Ok(text),
            Some(_) => Err(invalid(&[0])),
        },
        Err(e) => {
            let valid = e.valid_up_to();
            // Whichever comes first.
            if memchr::memchr(0, &bytes[..valid]).is_some() {
                return Err(invalid(&[0]));
            }
            let rest = &bytes[valid..];
            Err(invalid(&rest[..rest.len().min(claimed_length(rest[0]))]))
        }
    }
}

/// How long the lead byte says that its character is.
fn claimed_length(lead: u8) -> usize {
    match lead {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    }
}

fn invalid(bytes: &[u8]) -> Error {
    let shown: Vec<String> = bytes.iter().map(|b| format!("0x{b:02x}")).collect();
    let text = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
    Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_bytes_are_named() {
        let message = |b: &[u8]| check_utf8(b).unwrap_err().message().rsplit_once(": ").unwrap().1.to_owned();
        assert_eq!(check_utf8("zoë".as_bytes()).unwrap(), "zoë");
        assert_eq!(message(b"a\0b\xff"), "0x00");
        assert_eq!(message(b"a\xff"), "0xff");
        assert_eq!(message(b"a\xe2\x28\xa1b"), "0xe2 0x28 0xa1");
        assert_eq!(message(b"\xc3"), "0xc3");
    }
}
