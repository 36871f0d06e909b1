//! Properties of keys, rows, arrays and columns over random values of every class, and over random bytes.

use arrow::array::Array;
use heddle_types::arrow::{ColumnBuilder, column, datum_at, native_order, sort_key};
use heddle_types::key::{self, KeyOrder};
use heddle_types::row::RowLayout;
use heddle_types::{Class, Datum, Interval, Numeric, PgArray, PgType, SqlState, TypeInfo, oid};
use proptest::prelude::*;
use std::cmp::Ordering;
use std::sync::Arc;

/// One type of every class.
const TYPES: [PgType; 17] = [
    PgType::new(oid::BOOL),
    PgType::new(oid::INT2),
    PgType::new(oid::INT4),
    PgType::new(oid::INT8),
    PgType::new(oid::FLOAT4),
    PgType::new(oid::FLOAT8),
    PgType::new(oid::NUMERIC),
    PgType::new(oid::TEXT),
    PgType::new(oid::BYTEA),
    PgType::new(oid::DATE),
    PgType::new(oid::TIME),
    PgType::new(oid::TIMESTAMP),
    PgType::new(oid::TIMESTAMPTZ),
    PgType::new(oid::INTERVAL),
    PgType::new(oid::UUID),
    PgType::new(oid::OID),
    PgType::new(oid::NUMERIC_ARRAY),
];

fn numeric() -> impl Strategy<Value = Numeric> {
    prop_oneof![
        8 => (-1000i128..1000, 0u16..4).prop_map(|(m, s)| Numeric::from_parts(m, s)),
        4 => (any::<i128>(), 0u16..60).prop_map(|(m, s)| Numeric::from_parts(m, s)),
        2 => "-?[0-9]{30,60}(\\.[0-9]{0,30})?".prop_map(|s| Numeric::parse(&s).expect("a decimal literal")),
        1 => prop_oneof![Just(Numeric::NAN), Just(Numeric::INFINITY), Just(Numeric::NEG_INFINITY)],
    ]
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(0.0), Just(-0.0), Just(f64::NAN), Just(-f64::NAN), Just(f64::INFINITY), -3.0..3.0]
}

fn value(ty: PgType) -> BoxedStrategy<Datum> {
    match ty.class() {
        Class::Bool => any::<bool>().prop_map(Datum::Bool).boxed(),
        Class::Int2 => any::<i16>().prop_map(Datum::Int2).boxed(),
        Class::Int4 => any::<i32>().prop_map(Datum::Int4).boxed(),
        Class::Int8 => any::<i64>().prop_map(Datum::Int8).boxed(),
        Class::Float4 => float().prop_map(|v| Datum::Float4(v as f32)).boxed(),
        Class::Float8 => float().prop_map(Datum::Float8).boxed(),
        Class::Numeric => numeric().prop_map(Datum::Numeric).boxed(),
        Class::Text => "[\u{1}ab\u{e9}]{0,4}".prop_map(Datum::text).boxed(),
        Class::Bytea => prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..5)
            .prop_map(Datum::bytea)
            .boxed(),
        Class::Date => any::<i32>().prop_map(Datum::Date).boxed(),
        Class::Time => (0..=86_400_000_000i64).prop_map(Datum::Time).boxed(),
        Class::Timestamp => any::<i64>().prop_map(Datum::Timestamp).boxed(),
        Class::Interval => prop_oneof![
            (any::<i32>(), any::<i32>(), any::<i64>()),
            (-2i32..2, -60i32..60, (-48i64..48).prop_map(|h| h * 3_600_000_000)),
        ]
        .prop_map(|(m, d, us)| Datum::Interval(Interval::new(m, d, us)))
        .boxed(),
        Class::Uuid => any::<[u8; 16]>().prop_map(Datum::Uuid).boxed(),
        Class::Oid => any::<u32>().prop_map(Datum::Oid).boxed(),
        Class::Array => array().prop_map(|a| Datum::Array(Arc::new(a))).boxed(),
    }
}

fn array() -> impl Strategy<Value = PgArray> {
    let elem = prop_oneof![3 => numeric().prop_map(Datum::Numeric), 1 => Just(Datum::Null)];
    (prop::collection::vec(elem, 0..5), -1i32..3, any::<bool>()).prop_map(|(elements, lower, nested)| {
        let n = elements.len() as i32;
        let dims = match (n, nested) {
            (0, _) => vec![],
            (_, false) => vec![(n, lower)],
            (_, true) => vec![(1, 1), (n, lower)],
        };
        PgArray { elem: oid::NUMERIC, dims, elements }
    })
}

fn nullable(ty: PgType) -> BoxedStrategy<Datum> {
    prop_oneof![1 => Just(Datum::Null), 5 => value(ty)].boxed()
}

fn row() -> impl Strategy<Value = Vec<Datum>> {
    TYPES.iter().map(|t| nullable(*t)).collect::<Vec<_>>()
}

fn layout() -> RowLayout {
    RowLayout::new(TYPES.to_vec(), vec![Datum::Null; TYPES.len()])
}

/// Equality of what is stored, bit for bit (NaN equals itself, 1.0 is not 1.00).
fn same(a: &[Datum], b: &[Datum]) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

fn key_of(values: &[Datum], order: KeyOrder) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|v| key::encode(&mut out, v, order));
    out
}

proptest! {
    #[test]
    fn key_order_is_comparison((ty, a, b) in prop::sample::select(&TYPES[..]).prop_flat_map(|t| (Just(t), nullable(t), nullable(t)))) {
        let order = key::compare(&a, &b);
        let asc = KeyOrder::default();
        prop_assert_eq!(key_of(std::slice::from_ref(&a), asc).cmp(&key_of(std::slice::from_ref(&b), asc)), order, "{:?}", ty);
        if !a.is_null() && !b.is_null() {
            let desc = KeyOrder { desc: true, nulls_first: true };
            prop_assert_eq!(key_of(std::slice::from_ref(&a), desc).cmp(&key_of(std::slice::from_ref(&b), desc)), order.reverse());
            let sorted = sort_key(&column(&[a, b], ty).expect("of its class"), ty).expect("sound");
            let key = |i| match datum_at(&sorted, PgType::new(oid::BYTEA), i) { Datum::Bytea(b) => b, _ => panic!("not bytes") };
            prop_assert_eq!(key(0).cmp(&key(1)), order);
        }
    }

    #[test]
    fn key_columns_concatenate(a in (nullable(TYPES[7]), nullable(TYPES[6]), nullable(TYPES[8])), b in (nullable(TYPES[7]), nullable(TYPES[6]), nullable(TYPES[8]))) {
        for desc in [false, true] {
            let order = KeyOrder { desc, nulls_first: desc };
            let one = |x: &Datum, y: &Datum| if desc { key::compare(x, y).reverse() } else { key::compare(x, y) };
            let want = one(&a.0, &b.0).then(one(&a.1, &b.1)).then(one(&a.2, &b.2));
            let (ka, kb) = (key_of(&[a.0.clone(), a.1.clone(), a.2.clone()], order), key_of(&[b.0.clone(), b.1.clone(), b.2.clone()], order));
            prop_assert_eq!(ka.cmp(&kb), want);
        }
    }

    #[test]
    fn numeric_order_is_difference(a in numeric(), b in numeric()) {
        if a.is_finite() && b.is_finite() {
            let d = a.sub(&b).expect("small enough");
            prop_assert_eq!(a.cmp(&b), d.cmp(&Numeric::ZERO));
        }
        let text = Numeric::parse(&a.format()).expect("formatted");
        prop_assert_eq!((text.format(), text.dscale()), (a.format(), a.dscale()));
        let stored = Numeric::from_bytes(&a.to_bytes()).expect("encoded");
        prop_assert_eq!((stored.format(), stored.dscale()), (a.format(), a.dscale()));
        let mut wire = Vec::new();
        a.to_wire(&mut wire);
        prop_assert_eq!(Numeric::from_wire(&wire).expect("encoded").format(), a.format());
    }

    #[test]
    fn numeric_hash_agrees_with_equality(m in -100_000i128..100_000, s in 0u16..5, more in 0u16..50) {
        use std::hash::BuildHasher;
        let hash = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
        let a = Numeric::from_parts(m, s);
        let b = a.round(i32::from(s + more));
        prop_assert_eq!(&a, &b);
        prop_assert_eq!(hash.hash_one(&a), hash.hash_one(&b));
    }

    #[test]
    fn row_round_trips(values in row(), columns in prop::collection::vec(0..TYPES.len(), 0..20), sorted in any::<bool>()) {
        let (layout, mut columns) = (layout(), columns);
        let bytes = layout.encode(&values);
        prop_assert!(same(&layout.decode(&bytes).expect("encoded"), &values));
        if sorted {
            columns.sort_unstable();
            columns.dedup();
        }
        let mut builders: Vec<_> = columns.iter().map(|c| ColumnBuilder::new(TYPES[*c], 1)).collect();
        layout.decode_into(&bytes, &columns, &mut builders).expect("encoded");
        for (c, b) in columns.iter().zip(&mut builders) {
            prop_assert_eq!(b.len(), 1);
            let array = b.finish();
            prop_assert_eq!(array.data_type(), &heddle_types::arrow::data_type(TYPES[*c]));
            prop_assert!(same(&[datum_at(&array, TYPES[*c], 0)], &values[*c..=*c]));
        }
    }

    #[test]
    fn row_short_reads_missing(values in row(), natts in 0..TYPES.len()) {
        let old = RowLayout::new(TYPES[..natts].to_vec(), vec![Datum::Null; natts]);
        let new = RowLayout::new(TYPES.to_vec(), values.clone());
        prop_assert!(same(&new.decode(&old.encode(&values[..natts])).expect("encoded"), &values));
    }

    #[test]
    fn row_damaged_is_xx001(values in row(), at in any::<prop::sample::Index>(), flip in 1u8.., cut in any::<bool>()) {
        let layout = layout();
        let mut bytes = layout.encode(&values);
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
        let mut builders: Vec<_> = TYPES.iter().map(|t| ColumnBuilder::new(*t, 1)).collect();
        let columns: Vec<_> = (0..TYPES.len()).collect();
        let into = layout.decode_into(&bytes, &columns, &mut builders);
        for result in [layout.decode(&bytes).map(drop), into] {
            if let Err(e) = result {
                prop_assert_eq!(e.code(), SqlState::DATA_CORRUPTED);
            }
        }
    }

    #[test]
    fn bytes_random_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let code = |e: heddle_types::Error| e.code();
        if let Err(e) = layout().decode(&bytes) { prop_assert_eq!(code(e), SqlState::DATA_CORRUPTED) }
        if let Err(e) = Numeric::from_bytes(&bytes) { prop_assert_eq!(code(e), SqlState::DATA_CORRUPTED) }
        if let Err(e) = PgArray::from_bytes(&bytes) { prop_assert_eq!(code(e), SqlState::DATA_CORRUPTED) }
        let _ = Numeric::from_wire(&bytes);
    }

    #[test]
    fn array_round_trips(a in array()) {
        let back = PgArray::from_bytes(&a.to_bytes()).expect("encoded");
        prop_assert_eq!(format!("{back:?}"), format!("{a:?}"));
    }

    #[test]
    fn numeric_text_random_never_panics(s in "[-+ ]{0,2}[0-9]{0,5}[.eE]?[-+]?[0-9]{0,6}[a-z\u{e9}]?") {
        if let Ok(v) = Numeric::parse(&s) { prop_assert_eq!(Numeric::parse(&v.format()).expect("formatted"), v) }
    }

    #[test]
    fn interval_arithmetic_never_panics(m in any::<i32>(), d in any::<i32>(), us in any::<i64>(), f in float()) {
        let v = Interval::new(m, d, us);
        for r in [v.checked_neg(), v.checked_mul(f), v.checked_div(f), v.justify_days(), v.justify_hours(), v.justify_interval(), v.checked_add(v), v.checked_sub(v)] {
            if let Err(e) = r { prop_assert!(["22008", "22012"].contains(&e.code().0)) }
        }
        if let Ok(j) = v.justify_interval() { prop_assert_eq!(j.total_us(), v.total_us()) }
    }
}

#[test]
fn every_type_has_a_column_and_a_place() {
    for info in TypeInfo::all() {
        let ty = PgType::new(info.oid);
        assert_eq!(TypeInfo::by_oid(info.oid), Some(info));
        let array = column(&[Datum::Null], ty).expect("NULL fits every column");
        assert_eq!(array.data_type(), &heddle_types::arrow::data_type(ty));
        assert_eq!(
            native_order(ty),
            !matches!(ty.class(), Class::Float4 | Class::Float8 | Class::Numeric | Class::Interval | Class::Array)
                && info.oid != oid::JSONB
        );
    }
    assert_eq!(TypeInfo::by_oid(heddle_types::Oid(0)), None);
    assert_eq!(TypeInfo::by_oid(heddle_types::Oid(u32::MAX)), None);
}

#[test]
fn jsonb_key_order_as_postgresql() {
    // select * from (values …) t(v) order by v::jsonb
    let sorted = [
        "[]",
        "null",
        "\"\"",
        "\"a\"",
        "\"b\"",
        "-1",
        "0",
        "1",
        "10",
        "false",
        "true",
        "[null]",
        "[1]",
        "[[]]",
        "[1, 2]",
        "{}",
        "{\"a\": 1}",
        "{\"a\": 2}",
        "{\"b\": 1}",
        "{\"a\": 1, \"b\": 2}",
    ];
    let ty = PgType::new(oid::JSONB);
    let values: Vec<_> = sorted.iter().map(|s| Datum::text(*s)).collect();
    let keys = sort_key(&column(&values, ty).expect("text"), ty).expect("json");
    let keys: Vec<_> = (0..keys.len()).map(|i| format!("{:?}", datum_at(&keys, PgType::new(oid::BYTEA), i))).collect();
    let raw: Vec<_> = (0..sorted.len())
        .map(|i| {
            heddle_types::arrow::bytes_at(&sort_key(&column(&values, ty).expect("text"), ty).expect("json"), i).to_vec()
        })
        .collect();
    for (i, pair) in raw.windows(2).enumerate() {
        assert_eq!(
            pair[0].cmp(&pair[1]),
            Ordering::Less,
            "{} < {} ({} {})",
            sorted[i],
            sorted[i + 1],
            keys[i],
            keys[i + 1]
        );
    }
}

#[test]
fn jsonb_key_too_deep_is_refused() {
    let ty = PgType::new(oid::JSONB);
    let deep = Datum::text("[".repeat(500) + &"]".repeat(500));
    let e = sort_key(&column(&[deep], ty).expect("text"), ty).expect_err("too deep");
    assert_eq!(e.code(), SqlState::STATEMENT_TOO_COMPLEX);
}

#[test]
fn column_builder_wrong_class_is_internal_error() {
    let e = ColumnBuilder::new(PgType::new(oid::INT4), 1).append(&Datum::Int8(1)).expect_err("int8 in int4");
    assert_eq!(e.code(), SqlState::INTERNAL_ERROR);
}

#[test]
fn interval_scaling_as_postgresql() {
    let us = |h: i64, m: i64, s: f64| (h * 3600 + m * 60) * 1_000_000 + (s * 1e6).round() as i64;
    let v = Interval::new(14, 3, us(4, 5, 6.789));
    let cases = [
        (Interval::new(1, 0, 0), 1.5, Some(Interval::new(1, 15, 0))),
        (Interval::new(1, 0, 0), -0.3333, Some(Interval::new(0, -9, -us(23, 58, 33.6)))),
        (Interval::new(1, 0, 0), 0.7, Some(Interval::new(0, 21, 0))),
        (Interval::new(0, 1, 0), -0.3333, Some(Interval::new(0, 0, -us(7, 59, 57.12)))),
        (v, 1.5, Some(Interval::new(21, 4, us(18, 7, 40.1835)))),
        (v, -0.3333, Some(Interval::new(-4, -20, -us(25, 1, 23.532774)))),
        (v, 0.7, Some(Interval::new(9, 26, us(5, 15, 34.7523)))),
        (Interval::new(-1, 1, 0), 1.5, Some(Interval::new(-1, -14, us(12, 0, 0.0)))),
        (Interval::new(i32::MAX, 0, 0), 0.7, Some(Interval::new(125_269_879 * 12 + 4, 26, us(23, 59, 59.6544)))),
        (Interval::new(i32::MAX, 0, 0), 1.5, None),
        (Interval::new(0, i32::MAX, 0), -0.3333, Some(Interval::new(0, -715_756_299, -us(13, 4, 56.637726)))),
        (Interval::new(0, 0, us(24, 0, 0.0)), 1e10, None),
        (v, f64::NAN, None),
    ];
    for (v, f, want) in cases {
        assert_eq!(v.checked_mul(f).ok(), want, "{v:?} * {f}");
    }
    assert_eq!(v.checked_div(0.0).expect_err("division").code(), SqlState::DIVISION_BY_ZERO);
}

/// Whatever way a char(n) comes in, a row has it without the blanks that fill it up; they are back on the way out.
#[test]
fn char_n_is_stored_without_its_blanks() {
    use heddle_types::text::{self, TextSettings};
    let (ty, settings) = (PgType::with_typmod(oid::BPCHAR, 4 + 4), TextSettings::default());
    let layout = RowLayout::new(vec![ty], vec![Datum::Null]);
    for (given, stored, shown) in [
        ("", "", "    "),
        ("    ", "", "    "),
        ("ab", "ab", "ab  "),
        ("ab  ", "ab", "ab  "),
        ("abcd", "abcd", "abcd"),
        ("abcd  ", "abcd", "abcd"),
        ("zo\u{eb}", "zo\u{eb}", "zo\u{eb} "),
        (" a", " a", " a  "),
    ] {
        let mut copied = ColumnBuilder::new(ty, 1);
        text::parse_into(&mut copied, given, ty, &settings).expect("it fits");
        let (parsed, copied) = (text::parse(given, ty, &settings).expect("it fits"), copied.finish());
        let row = layout.encode(&[parsed]);
        let mut of_column = vec![];
        layout.encode_at(&mut of_column, &[copied], 0);
        assert_eq!(row, of_column, "{given:?}");
        assert_eq!(row[4..], *stored.as_bytes(), "format, natts, nulls, length, text");
        let values = layout.decode(&row).expect("just encoded");
        assert_eq!(text::to_string(&values[0], ty, &settings), shown);
    }
}
