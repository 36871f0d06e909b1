//! The shared error: what happened (SQLSTATE) and what PostgreSQL's ErrorResponse can say about it.

use std::fmt;

/// A five-character SQLSTATE.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SqlState(pub &'static str);

macro_rules! states {
    ($($name:ident = $code:literal,)*) => {
        impl SqlState { $(#[doc = concat!("`", $code, "`")] pub const $name: SqlState = SqlState($code);)* }
        /// Turns a code that came as text into the constant, if we know it.
        pub fn known_state(code: &str) -> Option<SqlState> {
            match code { $($code => Some(SqlState($code)),)* _ => None }
        }
    };
}

states! {
    SUCCESSFUL_COMPLETION = "00000",
    WARNING = "01000",
    PROTOCOL_VIOLATION = "08P01",
    TRANSACTION_RESOLUTION_UNKNOWN = "08007",
    FEATURE_NOT_SUPPORTED = "0A000",
    CARDINALITY_VIOLATION = "21000",
    SEQUENCE_GENERATOR_LIMIT_EXCEEDED = "2200H",
    STRING_DATA_RIGHT_TRUNCATION = "22001",
    NUMERIC_VALUE_OUT_OF_RANGE = "22003",
    NULL_VALUE_NOT_ALLOWED = "22004",
    INVALID_DATETIME_FORMAT = "22007",
    DATETIME_FIELD_OVERFLOW = "22008",
    SUBSTRING_ERROR = "22011",
    DIVISION_BY_ZERO = "22012",
    INTERVAL_FIELD_OVERFLOW = "22015",
    INVALID_ARGUMENT_FOR_LOGARITHM = "2201E",
    INVALID_ARGUMENT_FOR_POWER_FUNCTION = "2201F",
    INVALID_ROW_COUNT_IN_LIMIT = "2201W",
    INVALID_ROW_COUNT_IN_OFFSET = "2201X",
    CHARACTER_NOT_IN_REPERTOIRE = "22021",
    INVALID_PARAMETER_VALUE = "22023",
    INVALID_ESCAPE_SEQUENCE = "22025",
    INVALID_REGULAR_EXPRESSION = "2201B",
    ARRAY_SUBSCRIPT_ERROR = "2202E",
    INVALID_TABLESAMPLE_REPEAT = "2202G",
    INVALID_TABLESAMPLE_ARGUMENT = "2202H",
    INVALID_TEXT_REPRESENTATION = "22P02",
    INVALID_BINARY_REPRESENTATION = "22P03",
    BAD_COPY_FILE_FORMAT = "22P04",
    NOT_NULL_VIOLATION = "23502",
    FOREIGN_KEY_VIOLATION = "23503",
    UNIQUE_VIOLATION = "23505",
    CHECK_VIOLATION = "23514",
    INVALID_CURSOR_STATE = "24000",
    ACTIVE_SQL_TRANSACTION = "25001",
    READ_ONLY_SQL_TRANSACTION = "25006",
    NO_ACTIVE_SQL_TRANSACTION = "25P01",
    IN_FAILED_SQL_TRANSACTION = "25P02",
    INVALID_SQL_STATEMENT_NAME = "26000",
    INVALID_AUTHORIZATION_SPECIFICATION = "28000",
    DEPENDENT_OBJECTS_STILL_EXIST = "2BP01",
    INVALID_CURSOR_NAME = "34000",
    INVALID_SAVEPOINT_SPECIFICATION = "3B001",
    INVALID_CATALOG_NAME = "3D000",
    INVALID_SCHEMA_NAME = "3F000",
    SERIALIZATION_FAILURE = "40001",
    DEADLOCK_DETECTED = "40P01",
    INSUFFICIENT_PRIVILEGE = "42501",
    SYNTAX_ERROR = "42601",
    INVALID_NAME = "42602",
    INVALID_COLUMN_DEFINITION = "42611",
    NAME_TOO_LONG = "42622",
    DUPLICATE_COLUMN = "42701",
    AMBIGUOUS_COLUMN = "42702",
    UNDEFINED_COLUMN = "42703",
    UNDEFINED_OBJECT = "42704",
    DUPLICATE_OBJECT = "42710",
    DUPLICATE_ALIAS = "42712",
    AMBIGUOUS_FUNCTION = "42725",
    GROUPING_ERROR = "42803",
    DATATYPE_MISMATCH = "42804",
    WRONG_OBJECT_TYPE = "42809",
    INVALID_FOREIGN_KEY = "42830",
    CANNOT_COERCE = "42846",
    UNDEFINED_FUNCTION = "42883",
    RESERVED_NAME = "42939",
    GENERATED_ALWAYS = "428C9",
    UNDEFINED_TABLE = "42P01",
    UNDEFINED_PARAMETER = "42P02",
    DUPLICATE_CURSOR = "42P03",
    DUPLICATE_DATABASE = "42P04",
    DUPLICATE_PREPARED_STATEMENT = "42P05",
    DUPLICATE_SCHEMA = "42P06",
    DUPLICATE_TABLE = "42P07",
    AMBIGUOUS_PARAMETER = "42P08",
    INVALID_COLUMN_REFERENCE = "42P10",
    INVALID_TABLE_DEFINITION = "42P16",
    INDETERMINATE_DATATYPE = "42P18",
    INVALID_OBJECT_DEFINITION = "42P17",
    WINDOWING_ERROR = "42P20",
    DISK_FULL = "53100",
    OUT_OF_MEMORY = "53200",
    TOO_MANY_CONNECTIONS = "53300",
    PROGRAM_LIMIT_EXCEEDED = "54000",
    STATEMENT_TOO_COMPLEX = "54001",
    TOO_MANY_COLUMNS = "54011",
    TOO_MANY_ARGUMENTS = "54023",
    OBJECT_NOT_IN_PREREQUISITE_STATE = "55000",
    OBJECT_IN_USE = "55006",
    CANT_CHANGE_RUNTIME_PARAM = "55P02",
    LOCK_NOT_AVAILABLE = "55P03",
    QUERY_CANCELED = "57014",
    ADMIN_SHUTDOWN = "57P01",
    CANNOT_CONNECT_NOW = "57P03",
    IDLE_IN_TRANSACTION_TIMEOUT = "25P03",
    IDLE_SESSION_TIMEOUT = "57P05",
    IO_ERROR = "58030",
    SNAPSHOT_TOO_OLD = "72000",
    INTERNAL_ERROR = "XX000",
    DATA_CORRUPTED = "XX001",
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How loud an error or notice is, as PostgreSQL's S and V fields say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The session ends.
    Fatal,
    /// We went on, but look.
    Warning,
    /// Worth knowing.
    Notice,
    /// For the curious.
    Debug,
}

impl Severity {
    /// PostgreSQL's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Warning => "WARNING",
            Self::Notice => "NOTICE",
            Self::Debug => "DEBUG",
        }
    }
}

/// The fields of an ErrorResponse or NoticeResponse.
#[derive(Clone, Debug)]
pub struct Fields {
    /// ERROR unless [`Error::fatal`] was called.
    pub severity: Severity,
    /// SQLSTATE.
    pub code: SqlState,
    /// Primary message: lower case, no period, names the object and its kind.
    pub message: String,
    /// Full sentences.
    pub detail: Option<String>,
    /// Full sentences.
    pub hint: Option<String>,
    /// 1-based character position in the query text the client sent.
    pub position: Option<u32>,
    /// Where it happened (field W), e.g. `COPY t, line 2, column a: "x"`.
    pub context: Option<String>,
    /// Schema of the object concerned.
    pub schema: Option<String>,
    /// Table concerned.
    pub table: Option<String>,
    /// Column concerned.
    pub column: Option<String>,
    /// Data type concerned.
    pub datatype: Option<String>,
    /// Constraint concerned.
    pub constraint: Option<String>,
    /// Source routine (field R); clients match `RevalidateCachedQuery`.
    pub routine: Option<&'static str>,
}

/// The error every crate returns at its edge. One pointer wide.
#[derive(Clone)]
pub struct Error(Box<Fields>);

/// A NOTICE or WARNING on its way to the client.
pub type Notice = Error;

/// Shorthand.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with `code` and PostgreSQL-style `message`.
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self(Box::new(Fields {
            severity: Severity::Error,
            code,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            context: None,
            schema: None,
            table: None,
            column: None,
            datatype: None,
            constraint: None,
            routine: None,
        }))
    }

    /// `0A000`: says what is missing.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{what} is not supported"))
    }

    /// `XX000`: a bug of ours, never a user's mistake.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(SqlState::INTERNAL_ERROR, message)
    }

    /// A notice or warning with `severity`.
    pub fn notice(severity: Severity, code: SqlState, message: impl Into<String>) -> Notice {
        let mut e = Self::new(code, message);
        e.0.severity = severity;
        e
    }

    /// Sets the DETAIL.
    pub fn detail(mut self, s: impl Into<String>) -> Self {
        self.0.detail = Some(s.into());
        self
    }

    /// Sets the HINT.
    pub fn hint(mut self, s: impl Into<String>) -> Self {
        self.0.hint = Some(s.into());
        self
    }

    /// Forgets the position.
    pub fn unplaced(mut self) -> Self {
        self.0.position = None;
        self
    }

    /// Sets the position (1-based, characters) unless an inner one is already known.
    pub fn at(mut self, position: Option<u32>) -> Self {
        if self.0.position.is_none() {
            self.0.position = position;
        }
        self
    }

    /// Moves a known position by `chars`: from a statement's own text to the query string around it.
    pub fn shifted(mut self, chars: u32) -> Self {
        self.0.position = self.0.position.map(|p| p + chars);
        self
    }

    /// Sets the CONTEXT.
    pub fn context(mut self, s: impl Into<String>) -> Self {
        self.0.context = Some(s.into());
        self
    }

    /// Adds an outer line to the CONTEXT.
    pub fn within(mut self, place: impl Into<String>) -> Self {
        let place = place.into();
        self.0.context = Some(match self.0.context {
            Some(inner) => format!("{inner}\n{place}"),
            None => place,
        });
        self
    }

    /// Names schema and table.
    pub fn relation(mut self, schema: impl Into<String>, table: impl Into<String>) -> Self {
        self.0.schema = Some(schema.into());
        self.0.table = Some(table.into());
        self
    }

    /// Names the column.
    pub fn column(mut self, s: impl Into<String>) -> Self {
        self.0.column = Some(s.into());
        self
    }

    /// Names the constraint.
    pub fn constraint(mut self, s: impl Into<String>) -> Self {
        self.0.constraint = Some(s.into());
        self
    }

    /// Names the routine (field R).
    pub fn routine(mut self, s: &'static str) -> Self {
        self.0.routine = Some(s);
        self
    }

    /// Ends the session.
    pub fn fatal(mut self) -> Self {
        self.0.severity = Severity::Fatal;
        self
    }

    /// SQLSTATE.
    pub fn code(&self) -> SqlState {
        self.0.code
    }

    /// The primary message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// All fields, for the wire.
    pub fn fields(&self) -> &Fields {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.message, self.0.code)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Error {}
