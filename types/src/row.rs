//! How a tuple lies on disk: {format u8, natts varint, null bitmap, values}. Values follow the column types, which the
//! row does not repeat. A row with fewer attributes than the layout was written before ADD COLUMN: the missing values
//! come from the layout, so that nothing is rewritten. Byte table in docs/formats/row.md.
//!
//! Called by the relational engine's readers and by DML. Checksums are the business of the store below (redb, the log).

use crate::array::{is_null, write_null_bitmap};
use crate::arrow::is_null_at;
use crate::stored::{Reader, corrupted, write_at, write_value, write_varint};
use crate::{Class, Datum, PgType, Result};
use arrow::array::ArrayRef;
use std::sync::Arc;

/// The row format written today; see docs/formats/row.md.
pub const FORMAT: u8 = 1;

/// The columns of a relation's tuples, by attribute number (dropped ones keep their place and encode as NULL).
#[derive(Clone, Debug)]
pub struct RowLayout {
    /// Type per attribute.
    pub types: Arc<[PgType]>,
    /// What a row that lacks the attribute reads as (PostgreSQL's attmissingval).
    pub missing: Arc<[Datum]>,
    classes: Arc<[Class]>,
}

/// A row's attributes that were stored: their count, null bitmap and bytes.
struct Stored<'a> {
    natts: usize,
    nulls: &'a [u8],
    values: Reader<'a>,
}

impl RowLayout {
    /// A layout; `missing` has one entry per type.
    pub fn new(types: Vec<PgType>, missing: Vec<Datum>) -> Self {
        assert_eq!(types.len(), missing.len(), "one missing value per attribute");
        let classes = types.iter().map(|t| t.class()).collect();
        Self { types: types.into(), missing: missing.into(), classes }
    }

    /// Encodes one value per attribute. Each value is NULL or of its attribute's class.
    pub fn encode(&self, values: &[Datum]) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + values.len() * 10);
        self.encode_to(&mut out, values);
        out
    }

    /// [`Self::encode`], appending to `out`.
    pub fn encode_to(&self, out: &mut Vec<u8>, values: &[Datum]) {
        assert_eq!(values.len(), self.types.len(), "one value per attribute");
        out.push(FORMAT);
        write_varint(out, values.len() as u64);
        write_null_bitmap(out, values);
        for (i, value) in values.iter().enumerate() {
            // A value of another class would be read back as something else: better to stop before it is written.
            assert!(
                value.class().is_none_or(|c| c == self.classes[i]),
                "attribute {} is not a {:?}",
                i + 1,
                self.classes[i]
            );
            write_value(out, value);
        }
    }

    /// [`Self::encode_to`] of row `i` of columns, one per attribute, each in its type's own form.
    pub fn encode_at(&self, out: &mut Vec<u8>, columns: &[ArrayRef], i: usize) {
        assert_eq!(columns.len(), self.types.len(), "one column per attribute");
        out.push(FORMAT);
        write_varint(out, columns.len() as u64);
        let nulls = out.len();
        out.resize(nulls + columns.len().div_ceil(8), 0);
        for (n, column) in columns.iter().enumerate() {
            if is_null_at(column, i) {
                out[nulls + n / 8] |= 1 << (n % 8);
            } else {
                write_at(out, column, self.classes[n], i);
            }
        }
    }

    /// Decodes all attributes. `XX001` on malformed bytes.
    pub fn decode(&self, row: &[u8]) -> Result<Vec<Datum>> {
        let mut stored = self.open(row)?;
        let mut out = Vec::with_capacity(self.types.len());
        for i in 0..stored.natts {
            out.push(if is_null(stored.nulls, i) { Datum::Null } else { stored.values.value(self.classes[i])? });
        }
        if !stored.values.0.is_empty() {
            return Err(corrupted("row has bytes after its last attribute"));
        }
        out.extend_from_slice(&self.missing[stored.natts..]);
        Ok(out)
    }

    /// Decodes some attributes (0-based, in any order): one value each. What lies behind the last of them is not looked at.
    pub fn decode_some(&self, row: &[u8], columns: &[usize]) -> Result<Vec<Datum>> {
        let mut out = Vec::new();
        self.decode_some_into(row, columns, &mut out)?;
        Ok(out)
    }

    /// [`Self::decode_some`], in place of what `out` has.
    pub fn decode_some_into(&self, row: &[u8], columns: &[usize], out: &mut Vec<Datum>) -> Result<()> {
        let mut stored = self.open(row)?;
        out.clear();
        out.resize(columns.len(), Datum::Null);
        let end = columns.iter().max().map_or(0, |last| last + 1);
        for at in 0..end.min(stored.natts) {
            if is_null(stored.nulls, at) {
                continue;
            }
            if !columns.contains(&at) {
                stored.values.skip(self.classes[at])?;
                continue;
            }
            let value = stored.values.value(self.classes[at])?;
            for (_, slot) in columns.iter().zip(out.iter_mut()).filter(|(column, _)| **column == at) {
                *slot = value.clone();
            }
        }
        for (&column, slot) in columns.iter().zip(out.iter_mut()).filter(|(column, _)| **column >= stored.natts) {
            *slot = self.missing[column].clone();
        }
        Ok(())
    }

    /// Decodes straight into Arrow builders: `columns[i]` is the attribute (0-based) that goes to `builders[i]`.
    ///
    /// After an error the builders may differ in length; the caller drops them.
    pub fn decode_into(
        &self,
        row: &[u8],
        columns: &[usize],
        builders: &mut [crate::arrow::ColumnBuilder],
    ) -> Result<()> {
        assert_eq!(columns.len(), builders.len(), "one builder per column");
        let mut stored = self.open(row)?;
        if !columns.is_sorted_by(|a, b| a < b) {
            return self.decode_into_any_order(&stored, columns, builders);
        }
        let mut at = 0;
        for (&column, builder) in columns.iter().zip(builders) {
            while at < column.min(stored.natts) {
                if !is_null(stored.nulls, at) {
                    stored.values.skip(self.classes[at])?;
                }
                at += 1;
            }
            self.decode_one(&mut stored, column, builder)?;
            at = column + 1;
        }
        Ok(())
    }

    /// [`Self::decode_into`] when the columns are not in attribute order, or repeat.
    fn decode_into_any_order(
        &self,
        stored: &Stored<'_>,
        columns: &[usize],
        builders: &mut [crate::arrow::ColumnBuilder],
    ) -> Result<()> {
        let mut rest = Reader(stored.values.0);
        let mut starts = Vec::with_capacity(stored.natts);
        for i in 0..stored.natts {
            starts.push(rest.0);
            if !is_null(stored.nulls, i) {
                rest.skip(self.classes[i])?;
            }
        }
        for (&column, builder) in columns.iter().zip(builders) {
            let values = Reader(starts.get(column).copied().unwrap_or_default());
            self.decode_one(&mut Stored { values, ..*stored }, column, builder)?;
        }
        Ok(())
    }

    /// Appends attribute `i`, at which `stored.values` stands.
    fn decode_one(&self, stored: &mut Stored<'_>, i: usize, builder: &mut crate::arrow::ColumnBuilder) -> Result<()> {
        if i >= stored.natts {
            return builder.append(&self.missing[i]);
        }
        if is_null(stored.nulls, i) {
            builder.append_null();
            return Ok(());
        }
        builder.append_stored(&mut stored.values, self.classes[i])
    }

    fn open<'a>(&self, row: &'a [u8]) -> Result<Stored<'a>> {
        let mut values = Reader(row);
        let [format] = values.fixed::<1>()?;
        if format != FORMAT {
            return Err(corrupted("row has an unknown format"));
        }
        let natts = usize::try_from(values.varint()?).unwrap_or(usize::MAX);
        if natts > self.types.len() {
            return Err(corrupted("row has more attributes than its relation"));
        }
        let nulls = values.take(natts.div_ceil(8))?;
        Ok(Stored { natts, nulls, values })
    }
}
