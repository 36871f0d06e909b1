//! Lifts the integers out of a query text, so that texts which differ only in them share a plan.
//!
//! A quick look at characters, not a tokenizer: whatever it is not sure of, it leaves to the parser by answering false.
//! An integer that int4 holds becomes a parameter of that type, which is what the binder would make of it. The rest of the text
//! stays as it is, other numbers too. Where PostgreSQL reads a bare integer as something else than a value (ORDER BY 1), texts are not lifted.
//! Nor are they with text literals: what `'now'` or `'1/2/2026'` becomes depends on the moment and on settings.

/// Longest text worth remembering.
const TEXT_BYTES_MAX: usize = 1024;
/// Stands in a key for an integer. The protocol's texts end at a NUL, so no text contains one.
const HOLE: char = '\0';
/// Words after which an integer may be the number of a column.
const ORDINAL_WORDS: [&[u8]; 3] = [b"order", b"group", b"distinct"];

/// A text without its integers.
#[derive(Debug, Default)]
pub struct Lifted {
    /// The text with a hole per integer.
    pub key: String,
    /// The integers, in order.
    pub values: Vec<i32>,
}

impl Lifted {
    /// Takes a text apart, into the buffers at hand. False: it is none that can be shared.
    pub fn take(&mut self, sql: &str) -> bool {
        self.key.clear();
        self.values.clear();
        sql.len() <= TEXT_BYTES_MAX && self.scan(sql).is_some()
    }

    /// The text with `$1`, `$2` … for the integers.
    pub fn parameterised(&self) -> String {
        let mut pieces = self.key.split(HOLE);
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for (n, piece) in pieces.enumerate() {
            text.push_str(&format!("${}", n + 1));
            text.push_str(piece);
        }
        text
    }

    fn scan(&mut self, sql: &str) -> Option<()> {
        let bytes = sql.as_bytes();
        let (mut at, mut copied) = (0, 0);
        while let Some(&byte) = bytes.get(at) {
            at = match byte {
                b'\'' => return None,
                b'"' => quoted(bytes, at)?,
                b'0'..=b'9' => {
                    let end = after(bytes, at, |b| is_word(b) || b == b'.');
                    // Not after a point: `.5` is one number.
                    let whole = bytes[..at].last() != Some(&b'.');
                    if let (true, Ok(value)) = (whole, sql[at..end].parse()) {
                        self.key.push_str(&sql[copied..at]);
                        self.key.push(HOLE);
                        self.values.push(value);
                        copied = end;
                    }
                    end
                }
                b if is_word(b) => {
                    let end = after(bytes, at, is_word);
                    if ORDINAL_WORDS.iter().any(|w| bytes[at..end].eq_ignore_ascii_case(w)) {
                        return None;
                    }
                    end
                }
                // Parameters and dollar quotes; comments; more than one statement.
                b'$' => return None,
                b'-' if bytes.get(at + 1) == Some(&b'-') => return None,
                b'/' if bytes.get(at + 1) == Some(&b'*') => return None,
                b';' if !bytes[at + 1..].iter().all(u8::is_ascii_whitespace) => return None,
                _ => at + 1,
            };
        }
        self.key.push_str(&sql[copied..]);
        Some(())
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn after(bytes: &[u8], at: usize, of: impl Fn(u8) -> bool) -> usize {
    bytes[at..].iter().position(|b| !of(*b)).map_or(bytes.len(), |n| at + n)
}

/// The place after a name in quotes; a doubled quote looks like two of them, which is as good.
fn quoted(bytes: &[u8], at: usize) -> Option<usize> {
    let quote = bytes[at];
    bytes[at + 1..].iter().position(|b| *b == quote).map(|n| at + n + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lift(sql: &str) -> Option<(String, Vec<i32>)> {
        let mut lifted = Lifted::default();
        lifted.take(sql).then(|| (lifted.parameterised(), lifted.values))
    }

    #[test]
    fn integers_become_parameters() {
        let check = |sql: &str, text: &str, values: &[i32]| {
            assert_eq!(lift(sql), Some((text.to_owned(), values.to_vec())), "{sql}");
        };
        check("select a from t where k = 5;", "select a from t where k = $1;", &[5]);
        check("select a1 from t2 where k in (1,22)", "select a1 from t2 where k in ($1,$2)", &[1, 22]);
        check("update t set a = a + -7 where k=3", "update t set a = a + -$1 where k=$2", &[7, 3]);
        check("select \"1\"\"2\", \"3\", 4", "select \"1\"\"2\", \"3\", $1", &[4]);
        check("select 2147483647, 2147483648", "select $1, 2147483648", &[i32::MAX]);
        check("select 1.5, .5, 1e3, 5.", "select 1.5, .5, 1e3, 5.", &[]);
        check("begin", "begin", &[]);
    }

    #[test]
    fn texts_that_may_mean_something_else_are_left_alone() {
        for sql in [
            "select a from t order by 1",
            "select a, count(*) from t GROUP BY 1",
            "select distinct on (1) a from t",
            "select $1",
            "select $$a$$",
            "select 1; select 2",
            "select 1 -- one",
            "select /* 1 */ 2",
            "insert into t values (1, 'now')",
            "select \"open",
        ] {
            assert_eq!(lift(sql), None, "{sql}");
        }
        let long = format!("select {}", "1, ".repeat(TEXT_BYTES_MAX));
        assert_eq!(lift(&long), None);
    }
}
