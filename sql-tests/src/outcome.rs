//! What a statement answered, and its text forms for comparison with the judge.

use std::fmt::Write as _;

/// Fields of an ErrorResponse or NoticeResponse that tests look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// `V`
    pub severity: String,
    /// `C`
    pub code: String,
    /// `M`
    pub message: String,
    /// `D`
    pub detail: Option<String>,
    /// `H`
    pub hint: Option<String>,
    /// `P`
    pub position: Option<String>,
    /// `W`
    pub context: Option<String>,
    /// `s t c d n` in this order, those that are there, as `t=name`.
    pub objects: Vec<String>,
}

impl Fields {
    /// From the body of the message.
    pub fn decode(body: &[u8]) -> Self {
        let mut out = Self::default();
        for field in body.split(|b| *b == 0).filter(|f| !f.is_empty()) {
            let text = String::from_utf8_lossy(&field[1..]).into_owned();
            match field[0] {
                b'V' => out.severity = text,
                b'C' => out.code = text,
                b'M' => out.message = text,
                b'D' => out.detail = Some(text),
                b'H' => out.hint = Some(text),
                b'P' => out.position = Some(text),
                b'W' => out.context = Some(text),
                kind @ (b's' | b't' | b'c' | b'd' | b'n') => out.objects.push(format!("{}={text}", char::from(kind))),
                _ => {}
            }
        }
        out
    }

    /// Code and message.
    pub fn short(&self) -> String {
        format!("{} {}", self.code, self.message)
    }

    /// Everything a client can act on.
    pub fn full(&self) -> String {
        let mut out = self.short();
        for (name, value) in [("detail", &self.detail), ("position", &self.position), ("context", &self.context)] {
            if let Some(value) = value {
                let _ = write!(out, " | {name}: {value}");
            }
        }
        if !self.objects.is_empty() {
            let _ = write!(out, " | {}", self.objects.join(" "));
        }
        out
    }
}

/// A column of RowDescription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name
    pub name: String,
    /// Is there a table behind it?
    pub from_table: bool,
    /// Column number in its table, or 0.
    pub number: u16,
    /// Type OID
    pub type_oid: u32,
    /// Bytes of the type, or negative.
    pub length: i16,
    /// Type modifier
    pub modifier: i32,
    /// 0 text, 1 binary
    pub format: u16,
}

impl Column {
    /// From the body of RowDescription.
    ///
    /// # Panics
    /// When the message is malformed.
    pub fn decode_all(body: &[u8]) -> Vec<Self> {
        let count = u16::from_be_bytes([body[0], body[1]]);
        let mut rest = &body[2..];
        let mut out = vec![];
        for _ in 0..count {
            let end = rest.iter().position(|b| *b == 0).expect("a name ends with 0");
            let name = String::from_utf8_lossy(&rest[..end]).into_owned();
            let f = &rest[end + 1..end + 19];
            out.push(Self {
                name,
                from_table: f[..4] != [0; 4],
                number: u16::from_be_bytes([f[4], f[5]]),
                type_oid: u32::from_be_bytes(f[6..10].try_into().expect("four bytes")),
                length: i16::from_be_bytes([f[10], f[11]]),
                modifier: i32::from_be_bytes(f[12..16].try_into().expect("four bytes")),
                format: u16::from_be_bytes([f[16], f[17]]),
            });
            rest = &rest[end + 19..];
        }
        out
    }

    /// `name:type`, with the modifier when there is one.
    pub fn short(&self) -> String {
        match self.modifier {
            -1 => format!("{}:{}", self.name, self.type_oid),
            m => format!("{}:{}({m})", self.name, self.type_oid),
        }
    }

    /// All fields but the table's OID, which differs between servers.
    pub fn full(&self) -> String {
        let table = if self.from_table { "t" } else { "-" };
        let Self { name, number, type_oid, length, modifier, format, .. } = self;
        format!("{name}:{table}.{number}:{type_oid}:{length}:{modifier}:f{format}")
    }
}

/// The answer to one statement of a string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultSet {
    /// None when there was no RowDescription.
    pub columns: Option<Vec<Column>>,
    /// Values as text.
    pub rows: Vec<Vec<Option<String>>>,
    /// Command tag; empty for EmptyQueryResponse.
    pub tag: String,
}

/// The answer to a Query message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Per statement that completed.
    pub results: Vec<ResultSet>,
    /// The error that ended the string.
    pub error: Option<Fields>,
    /// Rows sent before the error by the statement that failed.
    pub partial: usize,
    /// Notices and warnings.
    pub notices: Vec<Fields>,
    /// COPY TO data.
    pub copied: Vec<u8>,
    /// Status of ReadyForQuery; 0 when a COPY FROM is open.
    pub status: u8,
    /// Why the connection is gone.
    pub lost: Option<String>,
}

impl Outcome {
    /// All rows of all statements.
    pub fn rows(&self) -> impl Iterator<Item = &Vec<Option<String>>> {
        self.results.iter().flat_map(|r| &r.rows)
    }

    /// SQLSTATE, or `ok`.
    pub fn code(&self) -> &str {
        self.error.as_ref().map_or("ok", |e| e.code.as_str())
    }

    /// Tags, rows and error in one line, without columns.
    pub fn short(&self) -> String {
        self.text(Fields::short, false)
    }

    /// The same with column names and types, all error fields, notices and COPY data.
    pub fn full(&self) -> String {
        let mut out = self.text(Fields::full, true);
        for n in &self.notices {
            let _ = write!(out, " {{{} {}}}", n.severity, n.short());
        }
        if !self.copied.is_empty() {
            let _ = write!(out, " <<{}>>", String::from_utf8_lossy(&self.copied).escape_debug());
        }
        out
    }

    fn text(&self, error: impl Fn(&Fields) -> String, columns: bool) -> String {
        let mut parts = vec![];
        for r in &self.results {
            let mut part = String::new();
            if let (true, Some(columns)) = (columns, &r.columns) {
                let columns: Vec<_> = columns.iter().map(Column::short).collect();
                let _ = write!(part, "[{}] ", columns.join(", "));
            }
            let rows: Vec<_> = r.rows.iter().map(|row| row_text(row)).collect();
            if r.columns.is_some() {
                let _ = write!(part, "{} ", rows.join(" "));
            }
            part.push_str(if r.tag.is_empty() { "EMPTY" } else { &r.tag });
            parts.push(part);
        }
        parts.extend(self.error.as_ref().map(|e| format!("ERROR {}", error(e))));
        parts.extend(self.lost.as_ref().map(|e| format!("LOST {e}")));
        parts.join("; ")
    }
}

/// `(a,b,NULL)`
pub fn row_text(row: &[Option<String>]) -> String {
    let values: Vec<_> = row.iter().map(|v| v.as_deref().unwrap_or("NULL")).collect();
    format!("({})", values.join(","))
}
