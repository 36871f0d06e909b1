//! Conjuncts that a scan of rows tests by itself, on the encoded row, before it builds anything: comparisons of a column with one
//! value for the whole scan, with a few of them, or with another column.
//!
//! They are exact, so they are not applied again above. What is compared is what the plan compares: whole numbers, dates and
//! times as integers, texts and bytes byte by byte, numerics and floats as their sort keys order them.

use super::cell::is_steady;
use super::name;
use super::range::Operand;
use super::udf::as_sort_key;
use crate::bound::TableScan;
use crate::function::from_df;
use arrow::datatypes::DataType;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{Expr as Df, Operator};
use datafusion::physical_expr::PhysicalExpr;
use heddle_engines::condition::Comparison;
use heddle_types::key::{self, KeyOrder, compare_floats};
use heddle_types::numeric::small_parts;
use heddle_types::row::{Place, RowLayout, RowWalk};
use heddle_types::{Class, Datum, Error, Numeric, PgType, Result, oid};
use std::cmp::Ordering;
use std::sync::Arc;

/// A conjunct that a scan tests.
#[derive(Clone, Debug)]
pub(super) struct RowFilter {
    /// Place in `table.columns`
    column: usize,
    class: Class,
    test: Written,
}

#[derive(Clone, Debug)]
enum Written {
    Null(bool),
    /// With any of these values.
    Compare(Comparison, Vec<Operand>),
    /// With another column of the class.
    Column(Comparison, usize),
}

/// A conjunct as it stands in the plan.
struct Parsed<'a> {
    column: usize,
    test: ParsedTest<'a>,
}

enum ParsedTest<'a> {
    Null(bool),
    Compare { comparison: Comparison, values: Vec<&'a Df>, keyed: bool, ty: PgType },
    Column(Comparison, usize),
}

/// Can a scan answer it completely?
pub(super) fn is_row_filter(scan: &TableScan, filter: &Df) -> bool {
    let mut parsed = vec![];
    parse(scan, filter, &mut parsed).is_some()
}

impl RowFilter {
    /// Those that a conjunct consists of; none when the scan cannot answer it. `physical` makes expressions over no columns.
    pub fn of(
        scan: &TableScan,
        filter: &Df,
        physical: &dyn Fn(&Df) -> DfResult<Arc<dyn PhysicalExpr>>,
    ) -> DfResult<Vec<Self>> {
        let mut parsed = vec![];
        if parse(scan, filter, &mut parsed).is_none() {
            return Ok(vec![]);
        }
        let made = |p: Parsed<'_>| {
            let test = match p.test {
                ParsedTest::Null(is) => Written::Null(is),
                ParsedTest::Column(comparison, other) => Written::Column(comparison, other),
                ParsedTest::Compare { comparison, values, keyed, ty } => {
                    let operand = |v: &&Df| Ok(Operand { expr: physical(v)?, keyed, ty });
                    Written::Compare(comparison, values.iter().map(operand).collect::<DfResult<_>>()?)
                }
            };
            Ok(Self { column: p.column, class: scan.table.columns[p.column].ty.class(), test })
        };
        parsed.into_iter().map(made).collect()
    }

    /// The columns it looks at.
    pub fn columns(&self) -> impl Iterator<Item = usize> {
        let other = match self.test {
            Written::Column(_, other) => Some(other),
            _ => None,
        };
        std::iter::once(self.column).chain(other)
    }
}

/// Takes a conjunct apart; None when there is something in it that a scan cannot answer.
fn parse<'a>(scan: &TableScan, filter: &'a Df, out: &mut Vec<Parsed<'a>>) -> Option<()> {
    match filter {
        Df::BinaryExpr(b) if b.op == Operator::And => {
            parse(scan, &b.left, out)?;
            parse(scan, &b.right, out)
        }
        Df::BinaryExpr(b) if b.op == Operator::Or => {
            let mut values = vec![];
            let (column, keyed, ty) = points(scan, filter, &mut values)?;
            out.push(Parsed { column, test: ParsedTest::Compare { comparison: Comparison::Equal, values, keyed, ty } });
            Some(())
        }
        Df::InList(list) if !list.negated && list.list.iter().all(is_free) => {
            let (column, keyed, ty) = tested(scan, &list.expr)?;
            let values = list.list.iter().collect();
            out.push(Parsed { column, test: ParsedTest::Compare { comparison: Comparison::Equal, values, keyed, ty } });
            Some(())
        }
        Df::BinaryExpr(b) => {
            let comparison = comparison(b.op)?;
            let found = with_value(scan, &b.left, comparison, &b.right)
                .or_else(|| with_value(scan, &b.right, comparison.swapped(), &b.left))
                .or_else(|| with_column(scan, &b.left, comparison, &b.right));
            out.push(found?);
            Some(())
        }
        Df::IsNull(e) => null_test(scan, e, true, out),
        Df::IsNotNull(e) => null_test(scan, e, false, out),
        Df::Not(e) => match &**e {
            Df::IsNull(e) => null_test(scan, e, false, out),
            Df::IsNotNull(e) => null_test(scan, e, true, out),
            _ => None,
        },
        _ => None,
    }
}

fn null_test<'a>(scan: &TableScan, e: &Df, is: bool, out: &mut Vec<Parsed<'a>>) -> Option<()> {
    out.push(Parsed { column: plain(scan, e)?, test: ParsedTest::Null(is) });
    Some(())
}

/// `a = 1 OR a = 2 …`, which is what short IN lists become.
fn points<'a>(scan: &TableScan, e: &'a Df, values: &mut Vec<&'a Df>) -> Option<(usize, bool, PgType)> {
    let Df::BinaryExpr(b) = e else { return None };
    match b.op {
        Operator::Or => {
            let (l, r) = (points(scan, &b.left, values)?, points(scan, &b.right, values)?);
            (l == r).then_some(l)
        }
        Operator::Eq if is_free(&b.right) => {
            values.push(&b.right);
            tested(scan, &b.left)
        }
        Operator::Eq if is_free(&b.left) => {
            values.push(&b.left);
            tested(scan, &b.right)
        }
        _ => None,
    }
}

fn with_value<'a>(scan: &TableScan, column: &Df, comparison: Comparison, value: &'a Df) -> Option<Parsed<'a>> {
    if !is_free(value) {
        return None;
    }
    let (column, keyed, ty) = tested(scan, column)?;
    Some(Parsed { column, test: ParsedTest::Compare { comparison, values: vec![value], keyed, ty } })
}

fn with_column<'a>(scan: &TableScan, a: &Df, comparison: Comparison, b: &Df) -> Option<Parsed<'a>> {
    let (a, b) = (plain(scan, a)?, plain(scan, b)?);
    let class = |at: usize| scan.table.columns[at].ty.class();
    let integers = is_integer(class(a)) && class(a) == class(b);
    integers.then_some(Parsed { column: a, test: ParsedTest::Column(comparison, b) })
}

/// One value for the whole scan.
fn is_free(e: &Df) -> bool {
    e.column_refs().is_empty() && is_steady(e)
}

/// A column on one side of a comparison: itself, its sort key, or widened to another integer. (place, is it a key, type of the
/// other side)
fn tested(scan: &TableScan, e: &Df) -> Option<(usize, bool, PgType)> {
    if let Some(inner) = as_sort_key(e) {
        let column = plain(scan, inner)?;
        let ty = scan.table.columns[column].ty;
        return matches!(ty.class(), Class::Numeric | Class::Float4 | Class::Float8).then_some((column, true, ty));
    }
    let (inner, wide) = match e {
        Df::Cast(cast) => (&*cast.expr, Some(integer(cast.field.data_type())?)),
        other => (other, None),
    };
    let column = plain(scan, inner)?;
    let own = scan.table.columns[column].ty;
    let suits = match own.class() {
        Class::Int2 | Class::Int4 | Class::Int8 => true,
        class if is_integer(class) => wide.is_none(),
        Class::Text => wide.is_none() && own.oid != oid::JSONB,
        Class::Bytea | Class::Uuid => wide.is_none(),
        _ => false,
    };
    suits.then_some((column, false, wide.unwrap_or(own)))
}

/// The type of a widened integer.
pub(super) fn integer(ty: &DataType) -> Option<PgType> {
    match ty {
        DataType::Int16 => Some(PgType::new(oid::INT2)),
        DataType::Int32 => Some(PgType::new(oid::INT4)),
        DataType::Int64 => Some(PgType::new(oid::INT8)),
        _ => None,
    }
}

fn plain(scan: &TableScan, e: &Df) -> Option<usize> {
    let Df::Column(c) = e else { return None };
    scan.columns.iter().find(|(id, _)| name(*id) == c.name).map(|(_, column)| *column)
}

/// The comparison that an operator is.
pub(super) fn comparison(op: Operator) -> Option<Comparison> {
    Some(match op {
        Operator::Lt => Comparison::Less,
        Operator::LtEq => Comparison::LessOrEqual,
        Operator::Eq => Comparison::Equal,
        Operator::NotEq => Comparison::NotEqual,
        Operator::GtEq => Comparison::GreaterOrEqual,
        Operator::Gt => Comparison::Greater,
        _ => return None,
    })
}

/// Is it compared as an integer?
pub(super) fn is_integer(class: Class) -> bool {
    use Class::{Bool, Date, Int2, Int4, Int8, Oid, Time, Timestamp};
    matches!(class, Bool | Int2 | Int4 | Int8 | Date | Time | Timestamp | Oid)
}

/// The conjuncts of a scan, made ready, and the columns it reads: one pass over a row tests it and finds its values.
pub(super) struct Sieve {
    /// Ascending by attribute.
    slots: Vec<Slot>,
    places: Vec<Place>,
    /// Where the projected attributes are among the slots.
    output: Vec<usize>,
}

struct Slot {
    attribute: usize,
    class: Class,
    tests: Vec<Test>,
}

/// What must hold of a stored value.
pub(super) enum Test {
    Null(bool),
    Integer(Comparison, i64),
    Integers(Box<[i64]>),
    Float(Comparison, f64),
    Numeric(Comparison, NumericBound),
    Bytes(Comparison, Box<[u8]>),
    AnyBytes(Box<[Box<[u8]>]>),
    Any(Box<[Test]>),
    /// One of the numbers whose bits are set, counted from the least.
    Among {
        least: i64,
        bits: Box<[u64]>,
    },
    /// With the column in a slot before.
    Slot(Comparison, usize),
}

impl Sieve {
    /// For some attributes; None when no row can pass, because something is compared with NULL.
    pub fn new(filters: &[RowFilter], attributes: &[usize], classes: impl Fn(usize) -> Class) -> Result<Option<Self>> {
        let mut used: Vec<usize> =
            filters.iter().flat_map(RowFilter::columns).chain(attributes.iter().copied()).collect();
        used.sort_unstable();
        used.dedup();
        let slot = |attribute: &usize| used.iter().position(|u| u == attribute).expect("every attribute is in it");
        let output = attributes.iter().map(slot).collect();
        let mut slots: Vec<Slot> =
            used.iter().map(|a| Slot { attribute: *a, class: classes(*a), tests: vec![] }).collect();
        for filter in filters {
            let mine = slot(&filter.column);
            let (at, test) = match &filter.test {
                Written::Null(is) => (mine, Test::Null(*is)),
                Written::Compare(comparison, operands) => match compare(*comparison, operands, filter.class)? {
                    Some(test) => (mine, test),
                    None => return Ok(None),
                },
                Written::Column(comparison, other) => match slot(other) {
                    other if other < mine => (mine, Test::Slot(*comparison, other)),
                    other => (other, Test::Slot(comparison.swapped(), mine)),
                },
            };
            slots[at].tests.push(test);
        }
        let places = vec![Place::Null; slots.len()];
        Ok(Some(Self { slots, places, output }))
    }

    /// Tests one of the attributes for something more.
    pub fn require(&mut self, attribute: usize, test: Test) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.attribute == attribute) {
            slot.tests.push(test);
        }
    }

    /// Does the row pass? Then [`Self::places`] says where its values are.
    #[inline]
    pub fn passes(&mut self, layout: &RowLayout, row: &[u8]) -> Result<bool> {
        let mut walk = layout.walk(row)?;
        for at in 0..self.slots.len() {
            if !self.slot_passes(at, layout, &mut walk, row)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[inline]
    fn slot_passes(&mut self, at: usize, layout: &RowLayout, walk: &mut RowWalk<'_>, row: &[u8]) -> Result<bool> {
        let slot = &self.slots[at];
        let place = walk.place(slot.attribute)?;
        self.places[at] = place;
        for test in &slot.tests {
            let holds = match (test, place) {
                (Test::Slot(comparison, other), place) => {
                    let other_slot = &self.slots[*other];
                    let mine = integer_at(layout, row, slot, place)?;
                    match (mine, integer_at(layout, row, other_slot, self.places[*other])?) {
                        (Some(mine), Some(other)) => comparison.holds(mine.cmp(&other)),
                        _ => false,
                    }
                }
                (test, Place::At { start, end }) => test.holds(slot.class, &row[start..end])?,
                (test, Place::Null) => matches!(test, Test::Null(true)),
                (test, Place::Missing) => test.holds_of(slot.class, &layout.missing[slot.attribute])?,
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// (attribute, where the last row that passed has it), in the order they were asked for.
    pub fn places(&self) -> impl Iterator<Item = (usize, Place)> {
        self.output.iter().map(|slot| (self.slots[*slot].attribute, self.places[*slot]))
    }
}

/// The test that a comparison with any of some values is; None when all of them are NULL.
fn compare(comparison: Comparison, operands: &[Operand], class: Class) -> Result<Option<Test>> {
    let mut values = vec![];
    for operand in operands {
        values.push(value(operand)?);
    }
    values.retain(|v| !v.is_null());
    if values.is_empty() {
        return Ok(None);
    }
    if let [one] = &values[..] {
        return test(comparison, one, class).map(Some);
    }
    Ok(Some(match class {
        class if is_integer(class) => Test::Integers(values.iter().map(whole).collect::<Result<_>>()?),
        Class::Text | Class::Bytea | Class::Uuid => Test::AnyBytes(values.iter().map(bytes).collect::<Result<_>>()?),
        class => Test::Any(values.iter().map(|v| test(comparison, v, class)).collect::<Result<_>>()?),
    }))
}

fn test(comparison: Comparison, value: &Datum, class: Class) -> Result<Test> {
    Ok(match (class, value) {
        (Class::Numeric, Datum::Numeric(v)) => Test::Numeric(comparison, NumericBound::new(v.clone())),
        (Class::Float4, Datum::Float4(v)) => Test::Float(comparison, f64::from(*v)),
        (Class::Float8, Datum::Float8(v)) => Test::Float(comparison, *v),
        (Class::Text | Class::Bytea | Class::Uuid, v) => Test::Bytes(comparison, bytes(v)?),
        (_, v) => Test::Integer(comparison, whole(v)?),
    })
}

/// The value of an operand, which may be a sort key.
pub(super) fn value(operand: &Operand) -> Result<Datum> {
    if !operand.keyed {
        return operand.value().map_err(from_df);
    }
    match operand.bytes(KeyOrder::default()).map_err(from_df)? {
        None => Ok(Datum::Null),
        Some(bytes) if operand.ty.class() == Class::Numeric => key::numeric_value(&bytes[1..]).map(Datum::Numeric),
        Some(bytes) => key::decode(&mut &bytes[..], operand.ty.class()),
    }
}

/// A value that is compared as an integer.
pub(super) fn whole(value: &Datum) -> Result<i64> {
    match value {
        Datum::Bool(v) => Ok((*v).into()),
        Datum::Date(v) => Ok((*v).into()),
        Datum::Time(v) | Datum::Timestamp(v) => Ok(*v),
        Datum::Oid(v) => Ok((*v).into()),
        other => other.as_i64().ok_or_else(unsuited),
    }
}

fn bytes(value: &Datum) -> Result<Box<[u8]>> {
    match value {
        Datum::Text(v) => Ok(v.as_bytes().into()),
        Datum::Bytea(v) => Ok(v[..].into()),
        Datum::Uuid(v) => Ok(v[..].into()),
        _ => Err(unsuited()),
    }
}

fn unsuited() -> Error {
    Error::internal("a column is compared with a value of another class")
}

/// A stored value of an integer class.
#[inline]
fn integer_of(class: Class, bytes: &[u8]) -> Result<i64> {
    let malformed = || Error::new(heddle_types::SqlState::DATA_CORRUPTED, "stored value has another width");
    Ok(match (class, bytes) {
        (Class::Oid, bytes) => u32::from_le_bytes(bytes.try_into().map_err(|_| malformed())?).into(),
        (_, [a]) => i64::from(*a),
        (_, [a, b]) => i16::from_le_bytes([*a, *b]).into(),
        (_, [a, b, c, d]) => i32::from_le_bytes([*a, *b, *c, *d]).into(),
        (_, bytes) => i64::from_le_bytes(bytes.try_into().map_err(|_| malformed())?),
    })
}

#[inline]
fn integer_at(layout: &RowLayout, row: &[u8], slot: &Slot, place: Place) -> Result<Option<i64>> {
    match place {
        Place::At { start, end } => integer_of(slot.class, &row[start..end]).map(Some),
        Place::Null => Ok(None),
        Place::Missing => match &layout.missing[slot.attribute] {
            Datum::Null => Ok(None),
            value => whole(value).map(Some),
        },
    }
}

impl Test {
    /// For a stored value.
    #[inline]
    pub(super) fn holds(&self, class: Class, stored: &[u8]) -> Result<bool> {
        Ok(match self {
            Self::Null(is) => !is,
            Self::Integer(comparison, value) => comparison.holds(integer_of(class, stored)?.cmp(value)),
            Self::Integers(values) => values.contains(&integer_of(class, stored)?),
            Self::Among { least, bits } => {
                let number = integer_of(class, stored)?;
                let at = number.abs_diff(*least);
                let word = bits.get((at / 64) as usize).copied().unwrap_or_default();
                number >= *least && word >> (at % 64) & 1 == 1
            }
            Self::Numeric(comparison, bound) => comparison.holds(bound.order(stored)?),
            Self::Bytes(Comparison::Equal, value) => stored == &value[..],
            Self::Bytes(comparison, value) => comparison.holds(stored.cmp(value)),
            Self::AnyBytes(values) => values.iter().any(|v| stored == &v[..]),
            Self::Float(comparison, value) => {
                let stored = match stored {
                    [a, b, c, d] => f64::from(f32::from_le_bytes([*a, *b, *c, *d])),
                    other => f64::from_bits(integer_of(class, other)? as u64),
                };
                comparison.holds(compare_floats(stored, *value))
            }
            Self::Any(tests) => {
                for test in tests {
                    if test.holds(class, stored)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Slot(..) => return Err(unsuited()),
        })
    }

    /// For the value that rows read as which are older than the column.
    fn holds_of(&self, class: Class, value: &Datum) -> Result<bool> {
        if value.is_null() {
            return Ok(matches!(self, Self::Null(true)));
        }
        let stored = match value {
            Datum::Numeric(v) => v.to_bytes(),
            Datum::Float4(v) => v.to_le_bytes().to_vec(),
            Datum::Float8(v) => v.to_le_bytes().to_vec(),
            Datum::Oid(v) => v.to_le_bytes().to_vec(),
            value if is_integer(class) => whole(value)?.to_le_bytes().to_vec(),
            value => match self {
                Self::Null(_) => vec![],
                _ => bytes(value)?.into_vec(),
            },
        };
        self.holds(class, &stored)
    }
}

/// A numeric that stored ones are compared with.
pub(super) struct NumericBound {
    value: Numeric,
    /// Its unscaled integer at each of the scales that columns mostly have, where it is one.
    unscaled: [Option<i64>; SCALES],
}

/// Scales that have a quick way.
const SCALES: usize = 8;

impl NumericBound {
    fn new(value: Numeric) -> Self {
        let at = |scale: usize| {
            let (unscaled, own) = value.to_parts()?;
            let (mut unscaled, mut own) = (i64::try_from(unscaled).ok()?, usize::from(own));
            while own > scale && unscaled % 10 == 0 {
                (unscaled, own) = (unscaled / 10, own - 1);
            }
            let up = u32::try_from(scale.checked_sub(own)?).ok()?;
            unscaled.checked_mul(10_i64.pow(up))
        };
        Self { unscaled: std::array::from_fn(at), value }
    }

    /// Where a stored numeric is, seen from it.
    #[inline]
    fn order(&self, stored: &[u8]) -> Result<Ordering> {
        if let Some((unscaled, scale)) = small_parts(stored)
            && let Some(Some(bound)) = self.unscaled.get(usize::from(scale))
        {
            return Ok(unscaled.cmp(bound));
        }
        Ok(Numeric::from_bytes(stored)?.cmp(&self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerics_compare_whatever_their_scales() {
        let number = |s: &str| Numeric::parse(s).expect("a numeric");
        let texts = [
            "0",
            "0.05",
            "0.050",
            "-0.05",
            "24",
            "24.00",
            "24.01",
            "1e20",
            "-1e20",
            "0.000000000001",
            "NaN",
            "Infinity",
        ];
        for a in texts {
            for b in texts {
                let order = NumericBound::new(number(b)).order(&number(a).to_bytes()).expect("well formed");
                assert_eq!(order, number(a).cmp(&number(b)), "{a} and {b}");
            }
        }
    }

    #[test]
    fn one_pass_tests_a_row_and_finds_its_values() {
        let ty = |oid| PgType::new(oid);
        let types = vec![ty(oid::INT4), ty(oid::TEXT), ty(oid::DATE), ty(oid::DATE), ty(oid::NUMERIC), ty(oid::INT2)];
        let missing = vec![Datum::Null, Datum::Null, Datum::Null, Datum::Null, Datum::Null, Datum::Int2(7)];
        let old = RowLayout::new(types[..5].to_vec(), missing[..5].to_vec());
        let layout = RowLayout::new(types.clone(), missing);
        let row = |a: i32, t: Option<&str>, d: i32, e: Option<i32>| {
            let text = t.map_or(Datum::Null, Datum::text);
            old.encode(&[
                Datum::Int4(a),
                text,
                Datum::Date(d),
                e.map_or(Datum::Null, Datum::Date),
                Datum::Numeric(Numeric::parse("1.50").expect("a numeric")),
            ])
        };
        let passes = |slot: usize, test: Test, row: &[u8]| {
            let classes: Vec<Class> = types.iter().map(|t| t.class()).collect();
            let mut sieve = Sieve::new(&[], &[5, 1, 0, 2, 3], |a| classes[a]).expect("no values").expect("some rows");
            sieve.slots[slot].tests.push(test);
            let passes = sieve.passes(&layout, row).expect("well formed");
            if passes {
                let places: Vec<(usize, Place)> = sieve.places().collect();
                assert_eq!((places[0], places[2].0), ((5, Place::Missing), 0));
            }
            passes
        };
        let full = row(3, Some("b"), 10, Some(11));
        assert!(passes(0, Test::Integer(Comparison::Less, 4), &full));
        assert!(!passes(0, Test::Integers([1, 2].into()), &full));
        assert!(passes(1, Test::Bytes(Comparison::Greater, Box::from(&b"a"[..])), &full));
        assert!(passes(3, Test::Slot(Comparison::Greater, 2), &full));
        assert!(!passes(3, Test::Slot(Comparison::Less, 2), &full));
        assert!(passes(4, Test::Integer(Comparison::Equal, 7), &full), "the missing value");
        assert!(!passes(4, Test::Null(true), &full));
        let nulls = row(3, None, 10, None);
        assert!(passes(1, Test::Null(true), &nulls));
        assert!(!passes(1, Test::Bytes(Comparison::NotEqual, Box::from(&b"a"[..])), &nulls));
        assert!(!passes(3, Test::Slot(Comparison::NotEqual, 2), &nulls));
    }
}
