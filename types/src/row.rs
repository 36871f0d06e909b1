//! How a tuple lies on disk: {format u8, natts varint, null bitmap, values}. Values follow the column types, which the
//! row does not repeat. A row with fewer attributes than the layout was written before ADD COLUMN: the missing values
//! come from the layout, so that nothing is rewritten. Byte table in docs/formats/row.md.
//!
//! Called by the relational engine's readers and by DML. Checksums are the business of the store below (redb, the log).

use crate::array::{is_null, write_null_bitmap};
use crate::arrow::is_null_at;
use crate::stored::{Reader, corrupted, value, width, write_at, write_value, write_varint};
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
    /// Bytes of each attribute; 0 where a length says it.
    widths: Arc<[u8]>,
}

/// A row's attributes that were stored: their count, null bitmap and bytes.
struct Stored<'a> {
    natts: usize,
    nulls: &'a [u8],
    values: Reader<'a>,
}

/// Where a row has the value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is NULL.
    Null,
    /// The row is older than the attribute: it is the layout's missing value.
    Missing,
    /// Its bytes, without the length that may stand before them.
    At {
        /// First byte in the row
        start: usize,
        /// Byte after the last
        end: usize,
    },
}

/// Goes over a row once, from attribute to attribute; what is not asked for is stepped over.
pub struct RowWalk<'a> {
    row: &'a [u8],
    nulls: Option<&'a [u8]>,
    widths: &'a [u8],
    /// The attribute at `position`.
    at: usize,
    position: usize,
}

impl RowWalk<'_> {
    /// Where an attribute (0-based) is. Attributes are asked for in ascending order.
    ///
    /// # Errors
    /// `XX001` when the row ends before.
    #[inline]
    pub fn place(&mut self, attribute: usize) -> Result<Place> {
        debug_assert!(attribute >= self.at, "attributes are asked for in ascending order");
        while self.at < attribute.min(self.widths.len()) {
            self.step()?;
        }
        if attribute >= self.widths.len() { Ok(Place::Missing) } else { self.step() }
    }

    /// Takes the attribute at `position`.
    #[inline]
    fn step(&mut self) -> Result<Place> {
        let at = self.at;
        self.at += 1;
        if self.nulls.is_some_and(|nulls| is_null(nulls, at)) {
            return Ok(Place::Null);
        }
        let (start, len) = match self.widths[at] {
            0 => self.sized()?,
            width => (self.position, usize::from(width)),
        };
        match start.checked_add(len).filter(|end| *end <= self.row.len()) {
            Some(end) => {
                self.position = end;
                Ok(Place::At { start, end })
            }
            None => Err(corrupted("stored value ends early")),
        }
    }

    /// Where the value behind a length begins, and its length.
    #[inline]
    fn sized(&self) -> Result<(usize, usize)> {
        match self.row.get(self.position) {
            Some(&short) if short < 0x80 => Ok((self.position + 1, usize::from(short))),
            _ => {
                let mut rest = Reader(self.row.get(self.position..).unwrap_or_default());
                let len = usize::try_from(rest.varint()?).map_err(|_| corrupted("stored length is malformed"))?;
                Ok((self.row.len() - rest.0.len(), len))
            }
        }
    }
}

impl RowLayout {
    /// A layout; `missing` has one entry per type.
    pub fn new(types: Vec<PgType>, missing: Vec<Datum>) -> Self {
        assert_eq!(types.len(), missing.len(), "one missing value per attribute");
        let classes: Arc<[Class]> = types.iter().map(|t| t.class()).collect();
        let widths = classes.iter().map(|c| width(*c).unwrap_or(0)).collect();
        Self { types: types.into(), missing: missing.into(), classes, widths }
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
        let mut walk = self.walk(row)?;
        if columns.is_sorted_by(|a, b| a < b) {
            for (&column, builder) in columns.iter().zip(builders) {
                let place = walk.place(column)?;
                self.append(row, column, place, builder)?;
            }
            return Ok(());
        }
        let end = columns.iter().max().map_or(0, |last| last + 1);
        let places = (0..end).map(|at| walk.place(at)).collect::<Result<Vec<_>>>()?;
        for (&column, builder) in columns.iter().zip(builders) {
            self.append(row, column, places[column], builder)?;
        }
        Ok(())
    }

    /// Starts at a row's first attribute.
    ///
    /// # Errors
    /// `XX001` on malformed bytes.
    #[inline]
    pub fn walk<'a>(&'a self, row: &'a [u8]) -> Result<RowWalk<'a>> {
        let stored = self.open(row)?;
        let nulls = Some(stored.nulls).filter(|nulls| nulls.iter().any(|byte| *byte != 0));
        let position = row.len() - stored.values.0.len();
        Ok(RowWalk { row, nulls, widths: &self.widths[..stored.natts], at: 0, position })
    }

    /// The value of an attribute, which is at `place` in `row`.
    ///
    /// # Errors
    /// `XX001` on malformed bytes.
    #[inline]
    pub fn value(&self, row: &[u8], attribute: usize, place: Place) -> Result<Datum> {
        match place {
            Place::At { start, end } => value(self.classes[attribute], &row[start..end]),
            Place::Missing => Ok(self.missing[attribute].clone()),
            Place::Null => Ok(Datum::Null),
        }
    }

    /// Appends the value of an attribute, which is at `place` in `row`, to a column of its type.
    ///
    /// # Errors
    /// `XX001` on malformed bytes.
    #[inline]
    pub fn append(
        &self,
        row: &[u8],
        attribute: usize,
        place: Place,
        builder: &mut crate::arrow::ColumnBuilder,
    ) -> Result<()> {
        match place {
            Place::At { start, end } => builder.append_stored(self.classes[attribute], &row[start..end]),
            Place::Missing => builder.append(&self.missing[attribute]),
            Place::Null => {
                builder.append_null();
                Ok(())
            }
        }
    }

    #[inline]
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
