//! A segment is a Parquet file like any other.

use super::*;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use heddle_env::OpenMode;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn parquet_bytes(env: &Env) -> Bytes {
    let path = SegmentId(7).parquet_path(dir());
    let file = env.disk.open(&path, OpenMode::Read).expect("it is there");
    let mut out = vec![0; file.len().expect("a healthy disk") as usize];
    file.read_exact_at(&mut out, 0).expect("a healthy disk");
    out.into()
}

#[test]
fn plain_reader_sees_tags_time_and_fields() {
    let mut layout = layout(&TYPES);
    layout.fields[3].name = "f0".to_owned();
    let env = env();
    let model = model(&layout, [1, 5], 100, 60);
    write(&env, &layout, &model, 70).expect("a healthy disk");
    let builder = ParquetRecordBatchReaderBuilder::try_new(parquet_bytes(&env)).expect("a Parquet file");
    let file = builder.metadata().file_metadata().clone();
    let pairs = file.key_value_metadata().expect("ours").iter();
    let pairs: BTreeMap<_, _> = pairs.map(|kv| (&kv.key[..], kv.value.as_deref().unwrap_or_default())).collect();
    let storage = StorageId::series(StorageId(20)).to_string();
    assert_eq!(pairs.get("heddledb.segment.version"), Some(&"1"));
    assert_eq!(pairs.get("heddledb.storage"), Some(&&storage[..]));
    assert_eq!((pairs["heddledb.partition"], pairs["heddledb.sequence"]), ("-3", "99"));
    let names: Vec<_> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!((&names[..4], &names[6][..]), (&["host", "rack", "ts", "f0"].map(String::from)[..], "f0_2"));
    let batches: Vec<RecordBatch> = builder.build().expect("readable").map(|batch| batch.expect("readable")).collect();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), model.len());
    let mut expected = model.iter();
    for batch in &batches {
        let (host, rack) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int32Type>());
        for i in 0..batch.num_rows() {
            let ((key, time), values) = expected.next().expect("as many");
            let tags = [Datum::text(host.value(i)), Datum::Int4(rack.value(i))];
            assert_eq!(key::encode_row(&tags), key[..]);
            assert_eq!(datum_at(batch.column(2), layout.time.ty, i), Datum::Timestamp(*time));
            assert_eq!(row(&batch.columns()[3..], &layout, i), *values);
        }
    }
}
