//! One SQL value.

use crate::{Class, Interval, Numeric, PgArray};
use std::sync::Arc;

/// One SQL value in its physical class; the [`crate::PgType`] beside it says what it means.
///
/// Text covers text, varchar, bpchar (without trailing blanks), name, "char", json and jsonb (normalised).
/// Timestamp covers timestamp and timestamptz. Oid covers oid and the reg* types.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    /// SQL NULL of any type.
    Null,
    /// bool
    Bool(bool),
    /// int2
    Int2(i16),
    /// int4
    Int4(i32),
    /// int8
    Int8(i64),
    /// float4
    Float4(f32),
    /// float8
    Float8(f64),
    /// numeric
    Numeric(Numeric),
    /// UTF-8, without NUL
    Text(Arc<str>),
    /// bytea
    Bytea(Arc<[u8]>),
    /// Days since 1970-01-01; `i32::MIN` and `i32::MAX` are the infinities.
    Date(i32),
    /// Microseconds since midnight, 0..=86_400_000_000.
    Time(i64),
    /// Microseconds since 1970-01-01 00:00 (UTC for timestamptz); `i64::MIN` and `i64::MAX` are the infinities.
    Timestamp(i64),
    /// interval
    Interval(Interval),
    /// uuid
    Uuid([u8; 16]),
    /// oid, regclass, regtype …
    Oid(u32),
    /// An array of any element type but array.
    Array(Arc<PgArray>),
}

impl Datum {
    /// A text value.
    pub fn text(s: impl Into<Arc<str>>) -> Self {
        Self::Text(s.into())
    }

    /// Is this SQL NULL?
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Its physical class; `None` for NULL.
    pub fn class(&self) -> Option<Class> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(_) => Class::Bool,
            Self::Int2(_) => Class::Int2,
            Self::Int4(_) => Class::Int4,
            Self::Int8(_) => Class::Int8,
            Self::Float4(_) => Class::Float4,
            Self::Float8(_) => Class::Float8,
            Self::Numeric(_) => Class::Numeric,
            Self::Text(_) => Class::Text,
            Self::Bytea(_) => Class::Bytea,
            Self::Date(_) => Class::Date,
            Self::Time(_) => Class::Time,
            Self::Timestamp(_) => Class::Timestamp,
            Self::Interval(_) => Class::Interval,
            Self::Uuid(_) => Class::Uuid,
            Self::Oid(_) => Class::Oid,
            Self::Array(_) => Class::Array,
        })
    }

    /// Approximate bytes in memory, for the accounts of write sets and caches.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Text(s) => s.len(),
                Self::Bytea(b) => b.len(),
                Self::Array(a) => a.elements.iter().map(Self::memory_bytes).sum(),
                _ => 0,
            }
    }

    /// A bytea value.
    pub fn bytea(b: impl Into<Arc<[u8]>>) -> Self {
        Self::Bytea(b.into())
    }

    /// The boolean inside, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(v) => Some(v),
            _ => None,
        }
    }

    /// The string inside, if this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(s) => Some(s),
            _ => None,
        }
    }

    /// The integer inside int2, int4, int8 or oid.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::Int2(v) => Some(v.into()),
            Self::Int4(v) => Some(v.into()),
            Self::Int8(v) => Some(v),
            Self::Oid(v) => Some(v.into()),
            _ => None,
        }
    }
}
