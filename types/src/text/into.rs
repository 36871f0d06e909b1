//! Text forms straight into Arrow columns: what COPY FROM is made of. No Datum and no allocation for the usual types.

use super::{TextSettings, integer, parse, parse_f32, parse_f64};
use crate::arrow::ColumnBuilder;
use crate::{PgType, Result, datetime, oid};

/// [`parse`]s a value of `ty` and appends it to a column of that type.
///
/// # Errors
/// As [`parse`]; `54000` when the column is full. Nothing was appended then.
pub fn parse_into(column: &mut ColumnBuilder, s: &str, ty: PgType, settings: &TextSettings) -> Result<()> {
    match (column, ty.oid) {
        (ColumnBuilder::Int2(b), oid::INT2) => b.append_value(integer::parse_i16(s)?),
        (ColumnBuilder::Int4(b), oid::INT4) => b.append_value(integer::parse_i32(s)?),
        (ColumnBuilder::Int8(b), oid::INT8) => b.append_value(integer::parse_i64(s)?),
        (ColumnBuilder::Float4(b), oid::FLOAT4) => b.append_value(parse_f32(s)?),
        (ColumnBuilder::Float8(b), oid::FLOAT8) => b.append_value(parse_f64(s)?),
        (ColumnBuilder::Date(b), oid::DATE) => b.append_value(datetime::parse_date(s, &settings.datetime)?),
        (ColumnBuilder::Timestamp(b), oid::TIMESTAMP) => {
            let t = datetime::parse_timestamp(s, &settings.datetime)?;
            b.append_value(datetime::round_timestamp(t, ty.typmod)?);
        }
        (ColumnBuilder::Timestamp(b), oid::TIMESTAMPTZ) => {
            let t = datetime::parse_timestamptz(s, &settings.datetime)?;
            b.append_value(datetime::round_timestamp(t, ty.typmod)?);
        }
        (column, oid::TEXT) => column.append_text(s)?,
        (column, oid::VARCHAR) if ty.typmod < 0 => column.append_text(s)?,
        (column, _) => column.append(&parse(s, ty, settings)?)?,
    }
    Ok(())
}
