//! Type names to types.

use super::names::{fold, start};
use heddle_types::{Error, PgType, Result, SqlState, TypeInfo, oid};
use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, IntervalFields, ObjectName, ObjectNamePart, Spanned,
    TimezoneInfo,
};

/// Longest declared length of varchar and char.
const LENGTH_MAX: u64 = 10_485_760;

/// The type a name in SQL stands for, with its modifier.
///
/// # Errors
/// `42704` for unknown names, `22023` for impossible modifiers, `0A000` for types we know of but do not have.
pub(crate) fn resolve_type(ty: &DataType) -> Result<PgType> {
    Ok(match ty {
        DataType::Boolean | DataType::Bool => PgType::new(oid::BOOL),
        DataType::SmallInt(None) | DataType::Int2(None) => PgType::new(oid::INT2),
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => PgType::new(oid::INT4),
        DataType::BigInt(None) | DataType::Int8(None) => PgType::new(oid::INT8),
        DataType::Real | DataType::Float4 => PgType::new(oid::FLOAT4),
        DataType::Float8 | DataType::DoublePrecision => PgType::new(oid::FLOAT8),
        DataType::Float(info) => float(info)?,
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => numeric(info)?,
        DataType::Text => PgType::new(oid::TEXT),
        DataType::Varchar(n) | DataType::CharacterVarying(n) | DataType::CharVarying(n) | DataType::Nvarchar(n) => {
            length(oid::VARCHAR, n.as_ref(), "varchar", None)?
        }
        DataType::Char(n) | DataType::Character(n) => length(oid::BPCHAR, n.as_ref(), "char", Some(1))?,
        DataType::Bytea => PgType::new(oid::BYTEA),
        DataType::Uuid => PgType::new(oid::UUID),
        DataType::JSON => PgType::new(oid::JSON),
        DataType::JSONB => PgType::new(oid::JSONB),
        DataType::Regclass => PgType::new(oid::REGCLASS),
        DataType::Date => PgType::new(oid::DATE),
        DataType::Time(p, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => seconds(oid::TIME, *p),
        DataType::Timestamp(p, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => seconds(oid::TIMESTAMP, *p),
        DataType::Timestamp(p, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => seconds(oid::TIMESTAMPTZ, *p),
        DataType::Interval { fields, precision } => interval(fields.as_ref(), *precision),
        DataType::Array(ArrayElemTypeDef::SquareBracket(inner, _) | ArrayElemTypeDef::AngleBracket(inner)) => {
            array(inner)?
        }
        DataType::Custom(name, modifiers) => custom(name, modifiers)?,
        other => return Err(unknown_type(&other.to_string().to_lowercase())),
    })
}

fn unknown_type(name: &str) -> Error {
    let missing = [
        "timetz",
        "time with time zone",
        "money",
        "inet",
        "cidr",
        "macaddr",
        "macaddr8",
        "bit",
        "varbit",
        "xml",
        "tsvector",
        "tsquery",
        "point",
        "line",
        "lseg",
        "box",
        "path",
        "polygon",
        "circle",
        "int4range",
        "int8range",
        "numrange",
        "tsrange",
        "tstzrange",
        "daterange",
        "xid",
        "xid8",
        "cid",
        "tid",
        "pg_lsn",
        "oidvector",
        "regprocedure",
        "regoper",
        "regoperator",
        "regconfig",
        "regdictionary",
        "refcursor",
        "jsonpath",
    ];
    if missing.contains(&name)
        || name.starts_with("bit(")
        || name.starts_with("bit varying")
        || name.starts_with("time(")
    {
        return Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("type {name} is not supported"));
    }
    Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))
}

fn bad_modifier(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn float(info: &ExactNumberInfo) -> Result<PgType> {
    match info {
        ExactNumberInfo::None => Ok(PgType::new(oid::FLOAT8)),
        ExactNumberInfo::Precision(0) => Err(bad_modifier("precision for type float must be at least 1 bit".into())),
        ExactNumberInfo::Precision(p) if *p <= 24 => Ok(PgType::new(oid::FLOAT4)),
        ExactNumberInfo::Precision(p) if *p <= 53 => Ok(PgType::new(oid::FLOAT8)),
        _ => Err(bad_modifier("precision for type float must be less than 54 bits".into())),
    }
}

fn numeric(info: &ExactNumberInfo) -> Result<PgType> {
    let (p, s) = match info {
        ExactNumberInfo::None => return Ok(PgType::new(oid::NUMERIC)),
        ExactNumberInfo::Precision(p) => (*p, 0),
        ExactNumberInfo::PrecisionAndScale(p, s) => (*p, *s),
    };
    numeric_typmod(p, s)
}

fn numeric_typmod(p: u64, s: i64) -> Result<PgType> {
    if !(1..=1000).contains(&p) {
        return Err(bad_modifier(format!("NUMERIC precision {p} must be between 1 and 1000")));
    }
    if !(-1000..=1000).contains(&s) {
        return Err(bad_modifier(format!("NUMERIC scale {s} must be between -1000 and 1000")));
    }
    Ok(PgType::with_typmod(oid::NUMERIC, (((p as i32) << 16) | (s as i32 & 0x7ff)) + 4))
}

fn length(ty: heddle_types::Oid, n: Option<&CharacterLength>, name: &str, default: Option<u64>) -> Result<PgType> {
    let n = match n {
        Some(CharacterLength::IntegerLength { length, .. }) => Some(*length),
        Some(CharacterLength::Max) => return Err(unknown_type("max")),
        None => default,
    };
    match n {
        None => Ok(PgType::new(ty)),
        Some(0) => Err(bad_modifier(format!("length for type {name} must be at least 1"))),
        Some(n) if n > LENGTH_MAX => Err(bad_modifier(format!("length for type {name} cannot exceed {LENGTH_MAX}"))),
        Some(n) => Ok(PgType::with_typmod(ty, n as i32 + 4)),
    }
}

/// time(p), timestamp(p): PostgreSQL reduces more than six digits to six.
fn seconds(ty: heddle_types::Oid, precision: Option<u64>) -> PgType {
    match precision {
        None => PgType::new(ty),
        Some(p) => PgType::with_typmod(ty, p.min(6) as i32),
    }
}

/// interval's modifier: the mask of its fields and its precision, as in PostgreSQL's timestamp.h.
fn interval(fields: Option<&IntervalFields>, precision: Option<u64>) -> PgType {
    const MONTH: i32 = 1 << 1;
    const YEAR: i32 = 1 << 2;
    const DAY: i32 = 1 << 3;
    const HOUR: i32 = 1 << 10;
    const MINUTE: i32 = 1 << 11;
    const SECOND: i32 = 1 << 12;
    const FULL_RANGE: i32 = 0x7fff;
    const FULL_PRECISION: i32 = 0xffff;
    let range = match fields {
        None => FULL_RANGE,
        Some(f) => match f {
            IntervalFields::Year => YEAR,
            IntervalFields::Month => MONTH,
            IntervalFields::Day => DAY,
            IntervalFields::Hour => HOUR,
            IntervalFields::Minute => MINUTE,
            IntervalFields::Second => SECOND,
            IntervalFields::YearToMonth => YEAR | MONTH,
            IntervalFields::DayToHour => DAY | HOUR,
            IntervalFields::DayToMinute => DAY | HOUR | MINUTE,
            IntervalFields::DayToSecond => DAY | HOUR | MINUTE | SECOND,
            IntervalFields::HourToMinute => HOUR | MINUTE,
            IntervalFields::HourToSecond => HOUR | MINUTE | SECOND,
            IntervalFields::MinuteToSecond => MINUTE | SECOND,
        },
    };
    if range == FULL_RANGE && precision.is_none() {
        return PgType::new(oid::INTERVAL);
    }
    let precision = precision.map_or(FULL_PRECISION, |p| p.min(6) as i32);
    PgType::with_typmod(oid::INTERVAL, (range << 16) | precision)
}

/// The modifier for `interval '…' field [to field]`.
pub(super) fn interval_type(fields: Option<IntervalFields>, precision: Option<u64>) -> PgType {
    interval(fields.as_ref(), precision)
}

fn array(inner: &DataType) -> Result<PgType> {
    let elem = resolve_type(inner)?;
    if elem.element().is_some() {
        // int[][] is int[] in PostgreSQL.
        return Ok(elem);
    }
    let missing = || {
        Error::new(SqlState::UNDEFINED_OBJECT, format!("could not find array type for data type {}", elem.sql_name()))
    };
    elem.array().ok_or_else(missing)
}

fn custom(name: &ObjectName, modifiers: &[String]) -> Result<PgType> {
    let pos = start(name.span());
    let parts: Vec<(String, bool)> = name
        .0
        .iter()
        .filter_map(|p| match p {
            ObjectNamePart::Identifier(i) => Some((fold(i), i.quote_style.is_some())),
            ObjectNamePart::Function(_) => None,
        })
        .collect();
    let (base, schema) = match parts.as_slice() {
        [(base, _)] => (base.as_str(), None),
        [(schema, _), (base, _)] => (base.as_str(), Some(schema.as_str())),
        _ => return Err(unknown_type(&name.to_string()).at(pos)),
    };
    if schema.is_some_and(|s| s != "pg_catalog") {
        return Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("type \"{}.{base}\" does not exist", schema.unwrap_or_default()),
        )
        .at(pos));
    }
    let base = match base {
        "timestamptz" | "name" | "bpchar" => base,
        "dec" | "decimal" => "numeric",
        "string" => return Err(unknown_type(base).at(pos)),
        other => other,
    };
    let info = TypeInfo::by_name(base).filter(|t| usable(t)).ok_or_else(|| unknown_type(base).at(pos))?;
    with_modifiers(info, modifiers).map_err(|e| e.at(pos))
}

/// Pseudo-types cannot be written, except those that functions are declared over.
fn usable(t: &TypeInfo) -> bool {
    t.category != 'P' || t.oid == oid::VOID || t.oid == oid::RECORD
}

fn with_modifiers(info: &TypeInfo, modifiers: &[String]) -> Result<PgType> {
    let numbers: Vec<i64> = modifiers.iter().filter_map(|m| m.parse().ok()).collect();
    match (info.oid, numbers.as_slice()) {
        (ty, []) if modifiers.is_empty() => Ok(PgType::new(ty)),
        (ty @ (oid::TIMESTAMPTZ | oid::TIMESTAMP | oid::TIME), [p]) if *p >= 0 => Ok(seconds(ty, Some(*p as u64))),
        (ty @ (oid::VARCHAR | oid::BPCHAR), [n]) if *n > 0 && *n as u64 <= LENGTH_MAX => {
            Ok(PgType::with_typmod(ty, *n as i32 + 4))
        }
        (oid::NUMERIC, [p]) if *p > 0 => numeric_typmod(*p as u64, 0),
        (oid::NUMERIC, [p, s]) if *p > 0 => numeric_typmod(*p as u64, *s),
        _ => {
            Err(Error::new(SqlState::SYNTAX_ERROR, format!("type modifier is not allowed for type \"{}\"", info.name)))
        }
    }
}
