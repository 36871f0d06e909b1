//! COPY's options, checked as PostgreSQL checks them.

use heddle_planner::parse::Copy;
use heddle_types::{Error, Result, SqlState};

/// text or csv
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Csv,
}

/// What HEADER says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    None,
    Present,
    /// The names must match the columns.
    Match,
}

/// Checked options.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub format: Format,
    pub header: Header,
    pub null: String,
    pub delimiter: u8,
    pub quote: u8,
    pub escape: u8,
    /// Columns whose values are always quoted (`*` = all).
    pub force_quote: Vec<String>,
    /// Columns whose unquoted NULL string is data.
    pub force_not_null: Vec<String>,
    /// Columns whose quoted NULL string is NULL.
    pub force_null: Vec<String>,
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, text)
}

fn unsupported(text: impl Into<String>) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, text)
}

fn single_byte(name: &str, value: &str) -> Result<u8> {
    match value.as_bytes() {
        [b] => Ok(*b),
        _ => Err(unsupported(format!("COPY {name} must be a single one-byte character"))),
    }
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
}

impl Options {
    /// Reads the options of a COPY statement.
    ///
    /// # Errors
    /// `42601` for unknown or repeated options, `0A000` and `22023` for bad values, as PostgreSQL says them.
    pub fn parse(copy: &Copy) -> Result<Self> {
        let find = |name: &str| copy.options.iter().find(|o| o.name == name);
        for (i, option) in copy.options.iter().enumerate() {
            if copy.options[..i].iter().any(|o| o.name == option.name) {
                let e = Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options");
                return Err(e.at(option.position));
            }
        }
        let format = find("format");
        let position = format.and_then(|o| o.position);
        let format = match format.map_or("text", |o| o.value.as_str()) {
            "text" => Format::Text,
            "csv" => Format::Csv,
            "binary" => return Err(Error::unsupported("COPY in binary format")),
            other => return Err(invalid(format!("COPY format \"{other}\" not recognized")).at(position)),
        };
        let csv = format == Format::Csv;
        let mut options = Self {
            format,
            header: Header::None,
            null: if csv { String::new() } else { "\\N".to_owned() },
            delimiter: if csv { b',' } else { b'\t' },
            quote: b'"',
            escape: b'"',
            force_quote: vec![],
            force_not_null: vec![],
            force_null: vec![],
        };
        for o in &copy.options {
            options.apply(&o.name, &o.value, o.position, copy.from, csv)?;
        }
        if find("escape").is_none() {
            options.escape = options.quote;
        }
        options.check()?;
        Ok(options)
    }

    fn apply(&mut self, name: &str, value: &str, position: Option<u32>, from: bool, csv: bool) -> Result<()> {
        let only_csv =
            |what: &str| if csv { Ok(()) } else { Err(unsupported(format!("COPY {what} available only in CSV mode"))) };
        match name {
            "format" | "freeze" => {}
            "header" => self.header = header(value, from)?,
            "null" => self.null = value.to_owned(),
            "delimiter" => self.delimiter = single_byte("delimiter", value)?,
            "quote" => {
                only_csv("quote")?;
                self.quote = single_byte("quote", value)?;
            }
            "escape" => {
                only_csv("escape")?;
                self.escape = single_byte("escape", value)?;
            }
            "force_quote" => {
                only_csv("force quote")?;
                self.force_quote = list(value);
            }
            "force_not_null" => {
                only_csv("force not null")?;
                self.force_not_null = list(value);
            }
            "force_null" => {
                only_csv("force null")?;
                self.force_null = list(value);
            }
            "encoding" => {
                let plain: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
                if !matches!(plain.to_ascii_lowercase().as_str(), "utf8" | "unicode" | "sqlascii") {
                    return Err(Error::unsupported(format!("COPY with encoding \"{value}\"")));
                }
            }
            other => {
                return Err(
                    Error::new(SqlState::SYNTAX_ERROR, format!("option \"{other}\" not recognized")).at(position)
                );
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if matches!(self.delimiter, b'\r' | b'\n') {
            return Err(invalid("COPY delimiter cannot be newline or carriage return"));
        }
        if self.null.contains(['\r', '\n']) {
            return Err(invalid("COPY null representation cannot use newline or carriage return"));
        }
        if self.format == Format::Text
            && (self.delimiter.is_ascii_lowercase()
                || self.delimiter.is_ascii_digit()
                || matches!(self.delimiter, b'\\' | b'.'))
        {
            return Err(invalid(format!("COPY delimiter cannot be \"{}\"", self.delimiter as char)));
        }
        if self.format == Format::Csv && self.delimiter == self.quote {
            return Err(invalid("COPY delimiter and quote must be different"));
        }
        if self.null.as_bytes().contains(&self.delimiter) {
            return Err(invalid("COPY delimiter must not appear in the NULL specification"));
        }
        if self.format == Format::Csv && self.null.as_bytes().contains(&self.quote) {
            return Err(invalid("CSV quote character must not appear in the NULL specification"));
        }
        Ok(())
    }
}

fn header(value: &str, from: bool) -> Result<Header> {
    match value.to_ascii_lowercase().as_str() {
        "" | "true" | "on" | "1" => Ok(Header::Present),
        "false" | "off" | "0" => Ok(Header::None),
        "match" if from => Ok(Header::Match),
        "match" => Err(unsupported("cannot use \"match\" with HEADER in COPY TO")),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, "header requires a Boolean value or \"match\"")),
    }
}
