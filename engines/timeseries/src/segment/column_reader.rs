//! Decodes the pages of a column of a group, one after the other, into an Arrow array.

use super::blob::take_blob;
use super::coding::Reader;
use super::columns::{ALL_NULL, NO_NULLS, SOME_NULLS, with_numbers};
use super::data_file::PCO_ALONE;
use super::error::Malformed;
use super::items::{Items, take_items};
use super::numbers::Unpacker;
use super::steps::Stepped;
use super::times::decode_runs;
use super::varint::Input;
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, FixedSizeBinaryArray, NullBufferBuilder, PrimitiveArray,
    StringArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{ArrowPrimitiveType, DataType, TimestampMicrosecondType};
use std::ops::Range;
use std::sync::Arc;

/// Collects the rows of pages.
pub trait ColumnReader: Send {
    /// Appends the `wanted` ones (ascending, not none) of the `rows` rows of `page`.
    fn page(&mut self, page: &[u8], rows: usize, wanted: &[Range<usize>]) -> Result<(), Malformed>;

    /// So many rows will come.
    fn reserve(&mut self, _rows: usize) {}

    /// Bytes that were collected, where they may be many.
    fn bytes(&self) -> usize {
        0
    }

    /// The rows that were collected; none are after that.
    fn finish(&mut self) -> Result<ArrayRef, Malformed>;
}

/// Reads times of type `ty`.
pub fn times(ty: &DataType, head: &[u8]) -> Result<Box<dyn ColumnReader>, Malformed> {
    let numbers = if head.is_empty() { None } else { Some(Unpacker::new(head)?) };
    Ok(Box::new(Times { ty: ty.clone(), numbers, out: Vec::new() }))
}

/// Reads a field of type `ty` in a segment of this version.
pub fn field(ty: &DataType, head: &[u8], version: u32) -> Result<Box<dyn ColumnReader>, Malformed> {
    Ok(with_numbers!(ty, T => Box::new(Numbers::<T>::new(ty, head, version)?), _ => match ty {
        DataType::Boolean => Box::new(Bits::default()),
        other => Box::new(Values::new(other)),
    }))
}

struct Times {
    ty: DataType,
    /// None = runs.
    numbers: Option<Unpacker<i64>>,
    out: Vec<i64>,
}

impl ColumnReader for Times {
    fn page(&mut self, page: &[u8], rows: usize, wanted: &[Range<usize>]) -> Result<(), Malformed> {
        match &self.numbers {
            Some(numbers) => numbers.read(page, rows, wanted, &mut self.out),
            None => decode_runs(page, wanted, &mut self.out),
        }
    }

    fn reserve(&mut self, rows: usize) {
        self.out.reserve(rows);
    }

    fn finish(&mut self) -> Result<ArrayRef, Malformed> {
        Ok(primitive::<TimestampMicrosecondType>(&self.ty, std::mem::take(&mut self.out), None))
    }
}

fn primitive<T: ArrowPrimitiveType>(ty: &DataType, values: Vec<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(ty.clone()))
}

/// Which rows of a page have a value.
enum Present {
    All,
    None,
    /// All rows of the page.
    Some(BooleanBuffer),
}

impl Present {
    fn take(input: &mut Input<'_>, rows: usize) -> Result<Self, Malformed> {
        match input.take(1) {
            Some(&[NO_NULLS]) => Ok(Self::All),
            Some(&[ALL_NULL]) => Ok(Self::None),
            Some(&[SOME_NULLS]) => Ok(Self::Some(take_bits(input, rows)?)),
            _ => Err(Malformed::new("a page does not say which rows are NULL")),
        }
    }

    /// How many of `rows`.
    fn count(&self, rows: Range<usize>) -> usize {
        match self {
            Self::All => rows.len(),
            Self::None => 0,
            Self::Some(bits) => bits.slice(rows.start, rows.len()).count_set_bits(),
        }
    }

    /// Which of the values are those of the `wanted` rows.
    fn values(&self, wanted: &[Range<usize>]) -> Vec<Range<usize>> {
        let (mut row, mut value) = (0, 0);
        let of = |rows: &Range<usize>| {
            let start = value + self.count(row..rows.start);
            (row, value) = (rows.end, start + self.count(rows.clone()));
            start..value
        };
        wanted.iter().map(of).collect()
    }

    /// Those of `rows`, counted from its start.
    fn places(&self, rows: &Range<usize>) -> Box<dyn Iterator<Item = usize> + '_> {
        match self {
            Self::All => Box::new(0..rows.len()),
            Self::None => Box::new(std::iter::empty()),
            Self::Some(bits) => {
                let places: Vec<usize> = bits.slice(rows.start, rows.len()).set_indices().collect();
                Box::new(places.into_iter())
            }
        }
    }

    fn append_to(&self, nulls: &mut Option<NullBufferBuilder>, wanted: &[Range<usize>]) {
        let nulls = nulls.get_or_insert_with(|| NullBufferBuilder::new(0));
        for rows in wanted {
            match self {
                Self::All => nulls.append_n_non_nulls(rows.len()),
                Self::None => nulls.append_n_nulls(rows.len()),
                Self::Some(bits) => nulls.append_buffer(&NullBuffer::new(bits.slice(rows.start, rows.len()))),
            }
        }
    }
}

fn finish_nulls(nulls: &mut Option<NullBufferBuilder>) -> Option<NullBuffer> {
    nulls.take().and_then(|mut nulls| nulls.finish())
}

fn take_bits(input: &mut Input<'_>, rows: usize) -> Result<BooleanBuffer, Malformed> {
    let bytes = take_blob(input)?;
    if bytes.len() != rows.div_ceil(8) {
        return Err(Malformed::new("a page has another number of bits than rows"));
    }
    Ok(BooleanBuffer::new(Buffer::from_vec(bytes), 0, rows))
}

struct Numbers<T: ArrowPrimitiveType<Native: Stepped>> {
    ty: DataType,
    numbers: Reader<T::Native>,
    out: Vec<T::Native>,
    nulls: Option<NullBufferBuilder>,
}

impl<T: ArrowPrimitiveType<Native: Stepped>> Numbers<T> {
    fn new(ty: &DataType, head: &[u8], version: u32) -> Result<Self, Malformed> {
        let numbers = if version == PCO_ALONE { Reader::pco(head)? } else { Reader::new(head)? };
        Ok(Self { ty: ty.clone(), numbers, out: Vec::new(), nulls: None })
    }
}

impl<T: ArrowPrimitiveType<Native: Stepped>> ColumnReader for Numbers<T> {
    fn page(&mut self, page: &[u8], rows: usize, wanted: &[Range<usize>]) -> Result<(), Malformed> {
        let mut input = Input(page);
        let present = Present::take(&mut input, rows)?;
        if let Present::All = present {
            self.numbers.read(input.0, rows, wanted, &mut self.out)?;
        } else {
            let mut values = Vec::new();
            self.numbers.read(input.0, present.count(0..rows), &present.values(wanted), &mut values)?;
            let mut values = values.into_iter();
            for rows in wanted {
                let start = self.out.len();
                self.out.resize(start + rows.len(), Default::default());
                present.places(rows).zip(&mut values).for_each(|(place, value)| self.out[start + place] = value);
            }
        }
        present.append_to(&mut self.nulls, wanted);
        Ok(())
    }

    fn reserve(&mut self, rows: usize) {
        self.out.reserve(rows);
    }

    fn finish(&mut self) -> Result<ArrayRef, Malformed> {
        Ok(primitive::<T>(&self.ty, std::mem::take(&mut self.out), finish_nulls(&mut self.nulls)))
    }
}

struct Bits {
    out: BooleanBufferBuilder,
    nulls: Option<NullBufferBuilder>,
}

impl Default for Bits {
    fn default() -> Self {
        Self { out: BooleanBufferBuilder::new(0), nulls: None }
    }
}

impl ColumnReader for Bits {
    fn page(&mut self, page: &[u8], rows: usize, wanted: &[Range<usize>]) -> Result<(), Malformed> {
        let mut input = Input(page);
        let present = Present::take(&mut input, rows)?;
        let bits = match present {
            Present::None => BooleanBuffer::new_unset(rows),
            _ => take_bits(&mut input, rows)?,
        };
        wanted.iter().for_each(|rows| self.out.append_buffer(&bits.slice(rows.start, rows.len())));
        present.append_to(&mut self.nulls, wanted);
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef, Malformed> {
        Ok(Arc::new(BooleanArray::new(self.out.finish(), finish_nulls(&mut self.nulls))))
    }
}

/// Text, bytes, and values of fixed width.
struct Values {
    ty: DataType,
    bytes: Vec<u8>,
    /// Where each row begins and the last one ends; not for fixed widths.
    offsets: Vec<i32>,
    nulls: Option<NullBufferBuilder>,
}

impl Values {
    fn new(ty: &DataType) -> Self {
        Self { ty: ty.clone(), bytes: Vec::new(), offsets: vec![0], nulls: None }
    }

    fn width(&self) -> Option<usize> {
        match self.ty {
            DataType::FixedSizeBinary(width) => Some(width as usize),
            _ => None,
        }
    }

    /// Appends `rows`, the first of which with a value has item `first`.
    fn append(&mut self, present: &Present, rows: &Range<usize>, items: &Items, first: usize) -> Result<(), Malformed> {
        let mut items = items.from(first);
        let mut places = present.places(rows).peekable();
        for row in 0..rows.len() {
            let item = if places.next_if_eq(&row).is_some() { items.next() } else { None };
            self.bytes.extend_from_slice(item.unwrap_or_default());
            match self.width() {
                Some(width) if item.is_none() => self.bytes.resize(self.bytes.len() + width, 0),
                Some(_) => {}
                None => self
                    .offsets
                    .push(i32::try_from(self.bytes.len()).map_err(|_| Malformed::new("values are too long"))?),
            }
        }
        Ok(())
    }
}

impl ColumnReader for Values {
    fn page(&mut self, page: &[u8], rows: usize, wanted: &[Range<usize>]) -> Result<(), Malformed> {
        let mut input = Input(page);
        let present = Present::take(&mut input, rows)?;
        let items = match present.count(0..rows) {
            0 => Items::default(),
            n => take_items(&mut input, n, self.width())?,
        };
        for (rows, values) in wanted.iter().zip(present.values(wanted)) {
            self.append(&present, rows, &items, values.start)?;
        }
        present.append_to(&mut self.nulls, wanted);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn finish(&mut self) -> Result<ArrayRef, Malformed> {
        let bytes = Buffer::from_vec(std::mem::take(&mut self.bytes));
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let nulls = finish_nulls(&mut self.nulls);
        let offsets = || OffsetBuffer::new(offsets.into());
        Ok(match self.ty {
            DataType::Utf8 => Arc::new(StringArray::try_new(offsets(), bytes, nulls)?),
            DataType::FixedSizeBinary(width) => Arc::new(FixedSizeBinaryArray::try_new(width, bytes, nulls)?),
            _ => Arc::new(BinaryArray::try_new(offsets(), bytes, nulls)?),
        })
    }
}
