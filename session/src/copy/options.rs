//! COPY's options, checked as PostgreSQL checks them: in its order, with its words.

use heddle_planner::parse::{Copy, CopyOption, CopyValue};
use heddle_types::{Error, Result, SqlState};

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Csv,
    Binary,
}

/// What HEADER says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    None,
    Present,
    /// The names must match the columns.
    Match,
}

/// The columns of a FORCE_* option.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Forced {
    #[default]
    None,
    All,
    Named(Vec<String>),
}

/// Checked options.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub format: Format,
    pub header: Header,
    /// COPY FREEZE: nothing to do here, since rows have no age.
    pub freeze: bool,
    pub null: String,
    pub delimiter: u8,
    pub quote: u8,
    pub escape: u8,
    /// Columns whose values are always quoted.
    pub force_quote: Forced,
    /// Columns whose unquoted NULL string is data.
    pub force_not_null: Forced,
    /// Columns whose quoted NULL string is NULL.
    pub force_null: Forced,
}

/// Encodings of PostgreSQL that are not ours, without punctuation: naming one of them is no mistake.
const OTHER_ENCODINGS: &[&str] = &[
    "abc",
    "alt",
    "big5",
    "eucjis2004",
    "eucjp",
    "euccn",
    "euckr",
    "euctw",
    "gb18030",
    "gbk",
    "iso88591",
    "iso885910",
    "iso885913",
    "iso885914",
    "iso885915",
    "iso885916",
    "iso88592",
    "iso88593",
    "iso88594",
    "iso88595",
    "iso88596",
    "iso88597",
    "iso88598",
    "iso88599",
    "johab",
    "koi8",
    "koi8r",
    "koi8u",
    "latin1",
    "latin10",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin7",
    "latin8",
    "latin9",
    "muleinternal",
    "mskanji",
    "shiftjis",
    "shiftjis2004",
    "sjis",
    "sqlascii",
    "tcvn",
    "tcvn5712",
    "uhc",
    "vscii",
    "win",
    "win1250",
    "win1251",
    "win1252",
    "win1253",
    "win1254",
    "win1255",
    "win1256",
    "win1257",
    "win1258",
    "win866",
];

fn invalid(text: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, text)
}

fn refused(text: impl Into<String>) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, text)
}

fn syntax(text: impl Into<String>) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, text)
}

/// Options as written, each at most once.
#[derive(Default)]
struct Written {
    format: Option<Format>,
    header: Option<Header>,
    freeze: bool,
    null: Option<String>,
    delimiter: Option<String>,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: Forced,
    force_not_null: Forced,
    force_null: Forced,
}

impl Options {
    /// Reads the options of a COPY statement.
    ///
    /// # Errors
    /// `42601` for unknown or repeated options, `0A000` and `22023` for bad values, as PostgreSQL says them.
    pub fn parse(copy: &Copy) -> Result<Self> {
        let mut written = Written::default();
        for (i, option) in copy.options.iter().enumerate() {
            if copy.options[..i].iter().any(|o| o.name == option.name) {
                return Err(syntax("conflicting or redundant options").at(option.position));
            }
            written.read(option, copy.from)?;
        }
        written.check(copy.from)
    }
}

impl Written {
    fn read(&mut self, o: &CopyOption, from: bool) -> Result<()> {
        match o.name.as_str() {
            "format" => self.format = Some(format(o)?),
            "freeze" => self.freeze = boolean(o).ok_or_else(|| syntax("freeze requires a Boolean value"))?,
            "header" => self.header = Some(header(o, from)?),
            "null" => self.null = Some(text(o)?),
            "delimiter" => self.delimiter = Some(text(o)?),
            "quote" => self.quote = Some(text(o)?),
            "escape" => self.escape = Some(text(o)?),
            "force_quote" => self.force_quote = columns(o)?,
            "force_not_null" => self.force_not_null = columns(o)?,
            "force_null" => self.force_null = columns(o)?,
            "encoding" => encoding(o)?,
            other => return Err(syntax(format!("option \"{other}\" not recognized")).at(o.position)),
        }
        Ok(())
    }

    fn check(self, from: bool) -> Result<Options> {
        let format = self.format.unwrap_or(Format::Text);
        let (csv, binary) = (format == Format::Csv, format == Format::Binary);
        if binary && self.delimiter.is_some() {
            return Err(syntax("cannot specify DELIMITER in BINARY mode"));
        }
        if binary && self.null.is_some() {
            return Err(syntax("cannot specify NULL in BINARY mode"));
        }
        let delimiter = single_byte("delimiter", self.delimiter.as_deref(), if csv { b',' } else { b'\t' })?;
        let null = self.null.clone().unwrap_or_else(|| if csv { String::new() } else { "\\N".to_owned() });
        check_ends(delimiter, &null)?;
        if !csv && (delimiter.is_ascii_lowercase() || delimiter.is_ascii_digit() || matches!(delimiter, b'\\' | b'.')) {
            return Err(invalid(format!("COPY delimiter cannot be \"{}\"", delimiter as char)));
        }
        let header = self.header.unwrap_or(Header::None);
        if binary && header != Header::None {
            return Err(refused("cannot specify HEADER in BINARY mode"));
        }
        let only_csv = |given: bool, what: &str| match given && !csv {
            true => Err(refused(format!("COPY {what} available only in CSV mode"))),
            false => Ok(()),
        };
        only_csv(self.quote.is_some(), "quote")?;
        let quote = single_byte("quote", self.quote.as_deref(), b'"')?;
        if csv && delimiter == quote {
            return Err(invalid("COPY delimiter and quote must be different"));
        }
        only_csv(self.escape.is_some(), "escape")?;
        let escape = single_byte("escape", self.escape.as_deref(), quote)?;
        let directed = [
            (&self.force_quote, "force quote", false),
            (&self.force_not_null, "force not null", true),
            (&self.force_null, "force null", true),
        ];
        for (forced, what, wants_from) in directed {
            let given = *forced != Forced::None;
            only_csv(given, what)?;
            if given && wants_from != from {
                let direction = if wants_from { "FROM" } else { "TO" };
                return Err(refused(format!("COPY {what} only available using COPY {direction}")));
            }
        }
        if null.as_bytes().contains(&delimiter) {
            return Err(refused("COPY delimiter must not appear in the NULL specification"));
        }
        if csv && null.as_bytes().contains(&quote) {
            return Err(refused("CSV quote character must not appear in the NULL specification"));
        }
        let Self { freeze, force_quote, force_not_null, force_null, .. } = self;
        Ok(Options { format, header, freeze, null, delimiter, quote, escape, force_quote, force_not_null, force_null })
    }
}

fn check_ends(delimiter: u8, null: &str) -> Result<()> {
    if matches!(delimiter, b'\r' | b'\n') {
        return Err(invalid("COPY delimiter cannot be newline or carriage return"));
    }
    if null.contains(['\r', '\n']) {
        return Err(invalid("COPY null representation cannot use newline or carriage return"));
    }
    Ok(())
}

fn single_byte(name: &str, value: Option<&str>, otherwise: u8) -> Result<u8> {
    match value.map(str::as_bytes) {
        None => Ok(otherwise),
        Some([b]) => Ok(*b),
        Some(_) => Err(refused(format!("COPY {name} must be a single one-byte character"))),
    }
}

/// A value as a string, as PostgreSQL's defGetString reads it.
fn text(o: &CopyOption) -> Result<String> {
    match &o.value {
        CopyValue::None => Err(syntax(format!("{} requires a parameter", o.name))),
        CopyValue::Text(s) => Ok(s.clone()),
        CopyValue::Star => Ok("*".to_owned()),
        CopyValue::List(items) => Ok(items.join(".")),
    }
}

/// A value as a boolean; None when it is none.
fn boolean(o: &CopyOption) -> Option<bool> {
    let CopyValue::Text(word) = &o.value else { return (o.value == CopyValue::None).then_some(true) };
    match word.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Some(true),
        "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn format(o: &CopyOption) -> Result<Format> {
    match text(o)?.as_str() {
        "text" => Ok(Format::Text),
        "csv" => Ok(Format::Csv),
        "binary" => Ok(Format::Binary),
        other => Err(invalid(format!("COPY format \"{other}\" not recognized")).at(o.position)),
    }
}

fn header(o: &CopyOption, from: bool) -> Result<Header> {
    match (boolean(o), &o.value) {
        (Some(true), _) => Ok(Header::Present),
        (Some(false), _) => Ok(Header::None),
        (None, CopyValue::Text(word)) if word.eq_ignore_ascii_case("match") => match from {
            true => Ok(Header::Match),
            false => Err(refused(format!("cannot use \"{word}\" with HEADER in COPY TO"))),
        },
        _ => Err(syntax("header requires a Boolean value or \"match\"")),
    }
}

fn columns(o: &CopyOption) -> Result<Forced> {
    match &o.value {
        CopyValue::Star => Ok(Forced::All),
        CopyValue::List(names) => Ok(Forced::Named(names.clone())),
        _ => Err(invalid(format!("argument to option \"{}\" must be a list of column names", o.name)).at(o.position)),
    }
}

/// The one encoding there is, under its names.
fn encoding(o: &CopyOption) -> Result<()> {
    let name = text(o)?;
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match plain.as_str() {
        "utf8" | "unicode" => Ok(()),
        known if OTHER_ENCODINGS.contains(&known) => Err(Error::unsupported(format!("COPY with encoding \"{name}\""))),
        _ => Err(invalid("argument to option \"encoding\" must be a valid encoding name").at(o.position)),
    }
}
