//! What a join knows once it has read its smaller side: the values its key can have. Where they are few and the table has an index
//! that begins with the key, a scan looks the rows up instead of reading them all; otherwise it tests each row for them, before
//! it builds anything.
//!
//! DataFusion's hash join hands the values down as a dynamic filter. The join tests every row again, so what is looked up may be
//! more than it needs. Each partition decides for itself and looks up what lies in its own range of keys: so nothing is lost
//! or read twice, whatever the others do.

use super::name;
use super::row_filter::{Test, is_integer, whole};
use crate::bound::TableScan;
use crate::function::from_df;
use arrow::array::{Array, ArrayRef};
use bytes::Bytes;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, Column, DynamicFilterPhysicalExpr, InListExpr, Literal,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use heddle_catalog::{IndexDef, IndexState};
use heddle_engines::{KeyRange, RowReader};
use heddle_txn::ReadView;
use heddle_types::arrow::{datum_at, native_order};
use heddle_types::{Result, StorageId, key};
use std::ops::Bound;
use std::sync::Arc;

/// A join with more keys than this does not name them.
pub(super) const KEYS_MAX: usize = 1 << 18;
/// What finding a place in an index costs, in rows that are read in order.
const SEEK_ROWS: u64 = 25;
/// What a row costs that is fetched by its key.
const FETCH_ROWS: u64 = 20;
/// Bits of a set of numbers.
const BITS_MAX: u64 = 1 << 25;
/// Keys that are tried out to learn how many rows one has.
const TRIED_KEYS: usize = 24;
/// Entries of a key that are counted then.
const TRIED_ENTRIES: usize = 512;

/// The rows of a range that have one of the keys.
pub(super) enum Found {
    /// Those in these ranges of the table's keys.
    Ranges(Vec<KeyRange>),
    /// Those with these keys, ascending.
    Keys(Vec<Bytes>),
    /// Those that pass the tests of these attributes.
    Tested(Vec<(usize, Test)>),
}

/// Values that columns may have together.
#[derive(Debug, PartialEq)]
struct Members {
    columns: Vec<String>,
    rows: Vec<Vec<ScalarValue>>,
}

/// The same by columns.
struct Values {
    columns: Vec<(String, ArrayRef)>,
    rows: usize,
}

impl Values {
    fn of(members: Members) -> Result<Self> {
        let rows = members.rows.len();
        if rows == 0 {
            return Ok(Self { columns: vec![], rows });
        }
        let column = |(place, name): (usize, String)| {
            let values = members.rows.iter().map(|row| row[place].clone());
            ScalarValue::iter_to_array(values).map(|array| (name, array)).map_err(from_df)
        };
        Ok(Self { columns: members.columns.into_iter().enumerate().map(column).collect::<Result<_>>()?, rows })
    }
}

/// Is it a filter that a join fills in?
pub(super) fn is_dynamic(e: &Arc<dyn PhysicalExpr>) -> bool {
    e.downcast_ref::<DynamicFilterPhysicalExpr>().is_some()
}

/// How to find the rows of `within` that the filters let through. `parts` such ranges are read side by side.
pub(super) fn find(
    scan: &TableScan,
    filters: &[Arc<dyn PhysicalExpr>],
    view: &ReadView,
    within: &KeyRange,
    parts: usize,
) -> Result<Found> {
    let mut tests = vec![];
    let mut best: Option<(u64, Option<StorageId>, Vec<Vec<u8>>)> = None;
    // What reading it all costs.
    let rows = view.estimate_rows(scan.table.storage) / parts as u64;
    for filter in filters {
        let Some(dynamic) = filter.downcast_ref::<DynamicFilterPhysicalExpr>() else { continue };
        let Some(members) = members(&dynamic.current().map_err(from_df)?) else { continue };
        let members = Values::of(members)?;
        for index in scan.table.indexes.iter().filter(|i| i.state == IndexState::Valid) {
            if seeks(index, members.rows, parts as u64) > rows {
                continue;
            }
            let Some(prefixes) = prefixes(scan, index, &members)? else { continue };
            let cost = cost(view, scan, index, &prefixes, parts as u64)?;
            if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                best = Some((cost, index.storage, prefixes));
            }
        }
        tests.extend(self::tests(scan, &members)?);
    }
    let Some((_, storage, prefixes)) = best.filter(|(cost, ..)| *cost < rows) else {
        return Ok(Found::Tested(tests));
    };
    let ranges = prefixes.iter().map(|p| KeyRange::prefix(p));
    let Some(storage) = storage else {
        let inside = ranges.map(|r| intersection(&r, within)).filter(|r| !r.is_empty());
        return Ok(Found::Ranges(inside.collect()));
    };
    let mut keys = vec![];
    for range in ranges {
        view.scan(storage, range, false)?.visit(usize::MAX, &mut |_, _, row| {
            if within.contains(row) {
                keys.push(Bytes::copy_from_slice(row));
            }
            Ok(())
        })?;
    }
    keys.sort_unstable();
    Ok(Found::Keys(keys))
}

/// Each column must have one of its values, where they are numbers that lie close enough for a set of bits.
fn tests(scan: &TableScan, members: &Values) -> Result<Vec<(usize, Test)>> {
    let mut tests = vec![];
    for (column, array) in &members.columns {
        let Some((_, attribute)) = scan.columns.iter().find(|(id, _)| name(*id) == *column) else { continue };
        let ty = scan.table.columns[*attribute].ty;
        if !is_integer(ty.class()) {
            continue;
        }
        let mut numbers = Vec::with_capacity(members.rows);
        for i in (0..members.rows).filter(|i| array.is_valid(*i)) {
            numbers.push(whole(&datum_at(array, ty, i))?);
        }
        tests.extend(set(&numbers).map(|set| (*attribute, set)));
    }
    Ok(tests)
}

fn set(numbers: &[i64]) -> Option<Test> {
    let (least, most) = (*numbers.iter().min()?, *numbers.iter().max()?);
    let span = most.abs_diff(least);
    if span >= BITS_MAX {
        return None;
    }
    let mut bits = vec![0_u64; span as usize / 64 + 1];
    for n in numbers {
        let at = n.abs_diff(least) as usize;
        bits[at / 64] |= 1 << (at % 64);
    }
    Some(Test::Among { least, bits: bits.into() })
}

/// What finding the keys in an index costs one of the parts, in rows that are read in order.
fn seeks(index: &IndexDef, keys: usize, parts: u64) -> u64 {
    let all = keys as u64 * SEEK_ROWS;
    // In the table's own order each part has keys of its own.
    if index.storage.is_none() { all / parts } else { all }
}

/// What the rows of these keys cost one of the parts.
fn cost(view: &ReadView, scan: &TableScan, index: &IndexDef, prefixes: &[Vec<u8>], parts: u64) -> Result<u64> {
    let storage = index.storage.unwrap_or(scan.table.storage);
    let step = prefixes.len().div_ceil(TRIED_KEYS).max(1);
    let (mut tried, mut entries) = (0_u64, 0_u64);
    for prefix in prefixes.iter().step_by(step) {
        tried += 1;
        view.scan(storage, KeyRange::prefix(prefix), false)?.visit(TRIED_ENTRIES, &mut |_, _, _| {
            entries += 1;
            Ok(())
        })?;
    }
    let all = entries * prefixes.len() as u64 / tried.max(1);
    let found = match index.storage {
        None => all * 2 / parts,
        Some(_) => all * 2 + all * FETCH_ROWS / parts,
    };
    Ok(seeks(index, prefixes.len(), parts) + found)
}

/// The beginnings of an index's keys that have these values, ascending; None when it begins with another column.
fn prefixes(scan: &TableScan, index: &IndexDef, members: &Values) -> Result<Option<Vec<Vec<u8>>>> {
    let mut columns = vec![];
    for column in &index.columns {
        let at = column.attnum as usize - 1;
        let id = scan.columns.iter().find(|(_, c)| *c == at).map(|(id, _)| name(*id));
        let values = id.and_then(|id| members.columns.iter().find(|(c, _)| *c == id));
        match values.filter(|_| native_order(scan.table.columns[at].ty)) {
            Some((_, values)) => columns.push((values, scan.table.columns[at].ty, column.order)),
            None => break,
        }
    }
    // No values at all: nothing is found whatever the index.
    if columns.is_empty() && members.rows > 0 {
        return Ok(None);
    }
    let mut prefixes = Vec::with_capacity(members.rows);
    for i in 0..members.rows {
        if columns.iter().any(|(values, ..)| values.is_null(i)) {
            continue;
        }
        let mut prefix = vec![];
        for (values, ty, order) in &columns {
            key::encode(&mut prefix, &datum_at(values, *ty, i), *order);
        }
        prefixes.push(prefix);
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    Ok(Some(prefixes))
}

/// The values that a filter names; None when it says something else.
fn members(e: &Arc<dyn PhysicalExpr>) -> Option<Members> {
    if let Some(both) = e.downcast_ref::<BinaryExpr>().filter(|b| *b.op() == Operator::And) {
        return members(both.left()).or_else(|| members(both.right()));
    }
    if let Some(literal) = e.downcast_ref::<Literal>() {
        let never = matches!(literal.value(), ScalarValue::Boolean(Some(false)));
        return never.then(|| Members { columns: vec![], rows: vec![] });
    }
    if let Some(case) = e.downcast_ref::<CaseExpr>() {
        return case_members(case);
    }
    let list = e.downcast_ref::<InListExpr>().filter(|l| !l.negated())?;
    let value = |e: &Arc<dyn PhysicalExpr>| e.downcast_ref::<Literal>().map(|l| l.value().clone());
    let values = list.list().iter().map(value).collect::<Option<Vec<_>>>()?;
    if let Some(column) = list.expr().downcast_ref::<Column>() {
        let rows = values.into_iter().map(|v| vec![v]).collect();
        return Some(Members { columns: vec![column.name().to_owned()], rows });
    }
    let row = list.expr().downcast_ref::<ScalarFunctionExpr>().filter(|f| f.name() == "struct")?;
    let column = |e: &Arc<dyn PhysicalExpr>| Some(e.downcast_ref::<Column>()?.name().to_owned());
    let columns = row.args().iter().map(column).collect::<Option<Vec<_>>>()?;
    let fields = |v: ScalarValue| match v {
        ScalarValue::Struct(row) => {
            row.columns().iter().map(|c| ScalarValue::try_from_array(c, 0).ok()).collect::<Option<Vec<_>>>()
        }
        _ => None,
    };
    Some(Members { columns, rows: values.into_iter().map(fields).collect::<Option<Vec<_>>>()? })
}

/// A join whose sides are cut by hash says for each part what its values are: all of them together.
fn case_members(case: &CaseExpr) -> Option<Members> {
    let mut all = Members { columns: vec![], rows: vec![] };
    let otherwise = case.else_expr().into_iter();
    for part in case.when_then_expr().iter().map(|(_, then)| then).chain(otherwise) {
        let part = members(part)?;
        if part.rows.is_empty() {
            continue;
        }
        if !all.rows.is_empty() && all.columns != part.columns {
            return None;
        }
        all.columns = part.columns;
        all.rows.extend(part.rows);
    }
    Some(all)
}

/// What lies in both.
fn intersection(a: &KeyRange, b: &KeyRange) -> KeyRange {
    // A bound that leaves more out comes later (below), or earlier (above).
    let place = |bound: &Bound<Bytes>, excluded_last: bool| match bound {
        Bound::Unbounded => None,
        Bound::Included(key) => Some((key.clone(), !excluded_last)),
        Bound::Excluded(key) => Some((key.clone(), excluded_last)),
    };
    let lower = match (place(&a.lower, true), place(&b.lower, true)) {
        (Some(x), Some(y)) if x < y => &b.lower,
        (None, _) => &b.lower,
        _ => &a.lower,
    };
    let upper = match (place(&a.upper, false), place(&b.upper, false)) {
        (Some(x), Some(y)) if x > y => &b.upper,
        (None, _) => &b.upper,
        _ => &a.upper,
    };
    KeyRange { lower: lower.clone(), upper: upper.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, StructArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::expressions::{col, lit};

    fn schema() -> Schema {
        Schema::new(vec![Field::new("c1", DataType::Int32, true), Field::new("c2", DataType::Int32, true)])
    }

    fn among(column: &str, values: &[i32]) -> Arc<dyn PhysicalExpr> {
        let schema = schema();
        let array: ArrayRef = Arc::new(Int32Array::from(values.to_vec()));
        let column = col(column, &schema).expect("it is there");
        Arc::new(InListExpr::try_new_from_array(column, array, false, &schema).expect("a list"))
    }

    fn rows(values: &[i32]) -> Vec<Vec<ScalarValue>> {
        values.iter().map(|v| vec![ScalarValue::Int32(Some(*v))]).collect()
    }

    #[test]
    fn the_values_of_a_key_are_read_off_filters() {
        let both: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(
            Arc::new(BinaryExpr::new(col("c1", &schema()).expect("it is there"), Operator::GtEq, lit(1))),
            Operator::And,
            among("c1", &[1, 5]),
        ));
        assert_eq!(members(&both), Some(Members { columns: vec!["c1".to_owned()], rows: rows(&[1, 5]) }));
        let case = |parts: Vec<Arc<dyn PhysicalExpr>>, otherwise| -> Arc<dyn PhysicalExpr> {
            let parts = parts.into_iter().enumerate().map(|(n, part)| (lit(n as i32), part)).collect();
            Arc::new(
                CaseExpr::try_new(Some(col("c2", &schema()).expect("it is there")), parts, otherwise).expect("a case"),
            )
        };
        let parts = case(vec![among("c1", &[1]), lit(false), among("c1", &[7, 9])], Some(lit(false)));
        assert_eq!(members(&parts), Some(Members { columns: vec!["c1".to_owned()], rows: rows(&[1, 7, 9]) }));
        assert_eq!(members(&case(vec![among("c1", &[1])], Some(lit(true)))), None, "others may pass");
        assert_eq!(members(&case(vec![among("c1", &[1]), among("c2", &[1])], None)), None);
        assert_eq!(members(&lit(true)), None);
        assert_eq!(members(&lit(false)), Some(Members { columns: vec![], rows: vec![] }));
    }

    #[test]
    fn rows_of_values_are_taken_apart() {
        let pair = |a: i32, b: i32| -> (Arc<Field>, Arc<Field>, ArrayRef, ArrayRef) {
            let field = |n: &str| Arc::new(Field::new(n, DataType::Int32, true));
            (field("a"), field("b"), Arc::new(Int32Array::from(vec![a])), Arc::new(Int32Array::from(vec![b])))
        };
        let (a, b, x, y) = pair(3, 4);
        let value = ScalarValue::Struct(Arc::new(StructArray::from(vec![(a, x), (b, y)])));
        let ScalarValue::Struct(row) = value else { panic!("a row") };
        let fields: Vec<_> =
            row.columns().iter().map(|c| ScalarValue::try_from_array(c, 0).expect("a value")).collect();
        assert_eq!(fields, vec![ScalarValue::Int32(Some(3)), ScalarValue::Int32(Some(4))]);
    }

    #[test]
    fn sets_of_numbers_have_their_numbers() {
        let numbers = [i64::MAX - 3, i64::MAX - 70, i64::MAX - 1];
        let set = set(&numbers).expect("they lie close");
        for n in (i64::MAX - 100)..=i64::MAX {
            let stored = n.to_le_bytes();
            let has = set.holds(heddle_types::Class::Int8, &stored).expect("a number");
            assert_eq!(has, numbers.contains(&n), "{n}");
        }
        assert!(!set.holds(heddle_types::Class::Int8, &i64::MIN.to_le_bytes()).expect("a number"));
        assert!(super::set(&[i64::MIN, i64::MAX]).is_none() && super::set(&[]).is_none());
    }

    #[test]
    fn ranges_intersect() {
        let range = |lower: Bound<&'static [u8]>, upper: Bound<&'static [u8]>| KeyRange {
            lower: lower.map(Bytes::from_static),
            upper: upper.map(Bytes::from_static),
        };
        let all = [
            range(Bound::Unbounded, Bound::Unbounded),
            range(Bound::Included(b"b"), Bound::Excluded(b"d")),
            range(Bound::Excluded(b"b"), Bound::Included(b"d")),
            range(Bound::Unbounded, Bound::Included(b"b")),
            range(Bound::Excluded(b"c"), Bound::Unbounded),
        ];
        for a in &all {
            for b in &all {
                let both = intersection(a, b);
                for key in [&b"a"[..], b"b", b"bb", b"c", b"cc", b"d", b"e"] {
                    assert_eq!(both.contains(key), a.contains(key) && b.contains(key), "{a:?} {b:?} {key:?}");
                }
            }
        }
    }
}
