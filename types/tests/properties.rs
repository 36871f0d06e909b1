//! Laws of the wire forms: text and binary forms read back as the value, and no input makes them panic.

use heddle_types::text::{self, TextSettings};
use heddle_types::{Datum, Interval, Numeric, Oid, PgArray, PgType, TypeInfo, arrow, binary, oid};
use proptest::prelude::*;
use std::sync::Arc;

fn scalar() -> impl Strategy<Value = (Oid, Datum)> {
    let days = -2_440_588i32..2_000_000_000;
    let stamps = -210_866_803_200_000_000i64..i64::MAX;
    prop_oneof![
        any::<bool>().prop_map(|v| (oid::BOOL, Datum::Bool(v))),
        any::<i16>().prop_map(|v| (oid::INT2, Datum::Int2(v))),
        any::<i32>().prop_map(|v| (oid::INT4, Datum::Int4(v))),
        any::<i64>().prop_map(|v| (oid::INT8, Datum::Int8(v))),
        any::<f32>().prop_map(|v| (oid::FLOAT4, Datum::Float4(v))),
        any::<f64>().prop_map(|v| (oid::FLOAT8, Datum::Float8(v))),
        (any::<i128>(), 0u16..60).prop_map(|(v, s)| (oid::NUMERIC, Datum::Numeric(Numeric::from_parts(v, s)))),
        "[^\0]*".prop_map(|s| (oid::TEXT, Datum::text(s))),
        "[^\0]{0,9}".prop_map(|s| (oid::VARCHAR, Datum::text(s))),
        "[a-zA-Z ]{0,3}[a-z]".prop_map(|s| (oid::BPCHAR, Datum::text(s))),
        any::<Vec<u8>>().prop_map(|b| (oid::BYTEA, Datum::Bytea(b.into()))),
        days.prop_map(|d| (oid::DATE, Datum::Date(d))),
        (0..=86_400_000_000i64).prop_map(|t| (oid::TIME, Datum::Time(t))),
        stamps.clone().prop_map(|t| (oid::TIMESTAMP, Datum::Timestamp(t))),
        stamps.prop_map(|t| (oid::TIMESTAMPTZ, Datum::Timestamp(t))),
        (any::<i32>(), any::<i32>(), (-i64::MAX)..i64::MAX)
            .prop_map(|(months, days, us)| (oid::INTERVAL, Datum::Interval(Interval { months, days, us }))),
        any::<[u8; 16]>().prop_map(|u| (oid::UUID, Datum::Uuid(u))),
        any::<u32>().prop_map(|v| (oid::OID, Datum::Oid(v))),
        (1u8..).prop_map(|b| (oid::CHAR, Datum::text(char::from(b).to_string()))),
    ]
}

fn same(a: &Datum, b: &Datum) -> bool {
    match (a, b) {
        (Datum::Float4(a), Datum::Float4(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (Datum::Float8(a), Datum::Float8(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (a, b) => a == b,
    }
}

fn round_trips(oid: Oid, v: &Datum, settings: &TextSettings) {
    let ty = PgType::new(oid);
    let printed = text::to_string(v, ty, settings);
    let back = text::parse(&printed, ty, settings).unwrap_or_else(|e| panic!("{printed:?}: {e}"));
    assert!(same(&back, v), "{printed:?} reads as {back:?}, was {v:?}");
    let mut wire = Vec::new();
    binary::encode(&mut wire, v, ty);
    let back = binary::decode(&wire, ty).unwrap_or_else(|e| panic!("{v:?}: {e}"));
    assert!(same(&back, v), "{wire:?} reads as {back:?}, was {v:?}");
    let column = arrow::column(std::slice::from_ref(v), ty).expect("a column of its type");
    let (mut direct, mut direct_wire) = (Vec::new(), Vec::new());
    text::format_at(&mut direct, &column, 0, ty, settings);
    binary::encode_at(&mut direct_wire, &column, 0, ty);
    let mut builder = arrow::ColumnBuilder::new(ty, 2);
    text::parse_into(&mut builder, &printed, ty, settings).expect("it parsed");
    binary::decode_into(&mut builder, &wire, ty).expect("it decoded");
    let read = builder.finish();
    assert!((0..2).all(|i| same(&arrow::datum_at(&read, ty, i), v)), "{v:?} reads into a column as {read:?}");
    assert_eq!(String::from_utf8_lossy(&direct), printed);
    assert_eq!(direct_wire, wire);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn scalars_round_trip((oid, v) in scalar()) {
        round_trips(oid, &v, &TextSettings::default());
    }

    #[test]
    fn text_arrays_round_trip(items in prop::collection::vec(prop::option::of("[^\0]{0,6}"), 1..6), low in -3i32..4) {
        let elements: Vec<Datum> = items.into_iter().map(|i| i.map_or(Datum::Null, Datum::text)).collect();
        let a = PgArray { elem: oid::TEXT, dims: vec![(elements.len() as i32, low)], elements };
        round_trips(oid::TEXT_ARRAY, &Datum::Array(Arc::new(a)), &TextSettings::default());
    }

    #[test]
    fn jsonb_is_stable(s in "[\\[\\]{}:,\"a-c0-9.eE+\\\\u -]{0,24}") {
        let settings = TextSettings::default();
        let ty = PgType::new(oid::JSONB);
        let json_ok = text::parse(&s, PgType::new(oid::JSON), &settings).is_ok();
        if let Ok(v) = text::parse(&s, ty, &settings) {
            prop_assert!(json_ok);
            let printed = text::to_string(&v, ty, &settings);
            prop_assert_eq!(text::parse(&printed, ty, &settings).expect("normal form is json"), v);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(s in "\\PC{0,40}|[-+0-9:./ TZPjany\\[\\]{}\",]{0,40}") {
        let settings = TextSettings::default();
        for info in TypeInfo::all() {
            if let Ok(v) = text::parse(&s, PgType::new(info.oid), &settings) {
                text::to_string(&v, PgType::new(info.oid), &settings);
            }
        }
    }

    #[test]
    fn columns_take_what_values_take(s in "[-+0-9:./ TZtrue]{0,24}", b in prop::collection::vec(any::<u8>(), 0..20)) {
        let settings = TextSettings::default();
        for ty in TypeInfo::all().map(|info| PgType::new(info.oid)) {
            let mut builder = arrow::ColumnBuilder::new(ty, 1);
            let (into, value) = (text::parse_into(&mut builder, &s, ty, &settings), text::parse(&s, ty, &settings));
            prop_assert_eq!(into.map_err(|e| e.to_string()), value.map(|_| ()).map_err(|e| e.to_string()));
            let (into, value) = (binary::decode_into(&mut builder, &b, ty), binary::decode(&b, ty));
            prop_assert_eq!(into.map_err(|e| e.to_string()), value.map(|_| ()).map_err(|e| e.to_string()));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(b in prop::collection::vec(any::<u8>(), 0..48)) {
        let settings = TextSettings::default();
        for info in TypeInfo::all() {
            if let Ok(v) = binary::decode(&b, PgType::new(info.oid)) {
                text::to_string(&v, PgType::new(info.oid), &settings);
            }
        }
    }
}
