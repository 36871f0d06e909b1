//! The sidecar's numbers and strings: LEB128 varints, zigzag for signed ones, prefix-compressed keys.
//!
//! Reading checks bounds; the sidecar's checksum was verified before.

use std::ops::Range;

/// Appends an unsigned number.
pub fn put(out: &mut Vec<u8>, mut v: u128) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Appends a signed number.
pub fn put_signed(out: &mut Vec<u8>, v: i128) {
    put(out, ((v << 1) ^ (v >> 127)) as u128);
}

/// Appends a key by what it shares with the one `before`.
pub fn put_key(out: &mut Vec<u8>, before: &[u8], key: &[u8]) {
    let shared = before.iter().zip(key).take_while(|(a, b)| a == b).count();
    put(out, shared as u128);
    put(out, (key.len() - shared) as u128);
    out.extend_from_slice(&key[shared..]);
}

/// Reads what the functions above wrote; `None` = malformed.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    /// An unsigned number.
    pub fn wide(&mut self) -> Option<u128> {
        let mut v = 0u128;
        for shift in (0..128).step_by(7) {
            let b = self.take(1)?[0];
            v |= u128::from(b & 0x7f) << shift;
            if b & 0x80 == 0 {
                return Some(v);
            }
        }
        None
    }

    /// A signed number.
    pub fn wide_signed(&mut self) -> Option<i128> {
        let v = self.wide()?;
        Some((v >> 1) as i128 ^ -((v & 1) as i128))
    }

    /// An unsigned number that fits.
    pub fn u64(&mut self) -> Option<u64> {
        self.wide()?.try_into().ok()
    }

    /// A signed number that fits.
    pub fn i64(&mut self) -> Option<i64> {
        self.wide_signed()?.try_into().ok()
    }

    /// A count of things that take at least one byte each: never more than there are bytes.
    pub fn count(&mut self) -> Option<usize> {
        let n = usize::try_from(self.wide()?).ok()?;
        (n <= self.0.len()).then_some(n)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Appends to `keys` the key after the one at `before` in it; where it lies.
    pub fn key(&mut self, keys: &mut Vec<u8>, before: Range<usize>) -> Option<Range<usize>> {
        let shared = usize::try_from(self.wide()?).ok().filter(|shared| *shared <= before.len())?;
        let n = self.count()?;
        let start = keys.len();
        keys.extend_from_within(before.start..before.start + shared);
        keys.extend_from_slice(self.take(n)?);
        Some(start..keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let unsigned = [0, 1, 127, 128, u128::from(u64::MAX), u128::MAX];
        let signed = [0, -1, 63, -64, 64, i128::from(i64::MIN), i128::MIN, i128::MAX];
        let mut out = Vec::new();
        unsigned.iter().for_each(|v| put(&mut out, *v));
        signed.iter().for_each(|v| put_signed(&mut out, *v));
        let mut input = Input(&out);
        assert!(unsigned.iter().all(|v| input.wide() == Some(*v)));
        assert!(signed.iter().all(|v| input.wide_signed() == Some(*v)));
        assert!(input.0.is_empty() && input.wide().is_none());
        assert!(Input(&[0x80; 30]).wide().is_none());
    }

    #[test]
    fn keys_come_back() {
        let keys: [&[u8]; 4] = [b"", b"host_1", b"host_10", b"i"];
        let mut out = Vec::new();
        let mut before: &[u8] = b"";
        for key in keys {
            put_key(&mut out, before, key);
            before = key;
        }
        let (mut input, mut read, mut before) = (Input(&out), Vec::new(), 0..0);
        for key in keys {
            before = input.key(&mut read, before).expect("well formed");
            assert_eq!(read[before.clone()], *key);
        }
        assert!(Input(&[3, 0]).key(&mut b"ab".to_vec(), 0..2).is_none());
        assert!(Input(&[0, 9, 1]).key(&mut Vec::new(), 0..0).is_none());
    }
}
