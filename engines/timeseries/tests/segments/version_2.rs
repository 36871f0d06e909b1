//! Segments that an earlier version wrote are read.

use super::*;
use heddle_env::OpenMode;

const DATA: &[u8] = include_bytes!("version_2/0001.seg");
const SIDECAR: &[u8] = include_bytes!("version_2/0001.idx");
const ROWS: u64 = 4500;

/// What the files hold: series 1 and 2, a point a second from the epoch on.
fn points() -> Model {
    let mut out = Model::new();
    for s in [1, 2] {
        for n in 0..ROWS as i64 {
            let first = if n % 5 == 4 { Datum::Null } else { Datum::Int4((n * n % 9) as i32) };
            let second = Datum::Int8(n / 10 * 1_000_000_007);
            let values = vec![first, second, Datum::Float8((n % 16) as f64 / 4.0), Datum::text(format!("t{}", n % 3))];
            out.insert((series(s), n * 1_000_000), values);
        }
    }
    out
}

#[test]
fn version_2_is_read() {
    let env = env();
    let id = SegmentId(1);
    for (path, bytes) in [(id.data_path(dir()), DATA), (id.sidecar_path(dir()), SIDECAR)] {
        let file = env.disk.open(&path, OpenMode::CreateNew).expect("a healthy disk");
        file.write_all_at(bytes, 0).expect("a healthy disk");
    }
    let meta = SegmentMeta {
        id,
        storage: StorageId(2_147_500_032),
        partition: 0,
        sequence: LogIndex(11),
        rows: 2 * ROWS,
        min_us: 0,
        max_us: (ROWS as i64 - 1) * 1_000_000,
        deletes: 0,
        file_bytes: DATA.len() as u64,
        sidecar_bytes: SIDECAR.len() as u64,
        fields: 4,
    };
    let layout = layout(&[oid::INT4, oid::INT8, oid::FLOAT8, oid::TEXT].map(PgType::new));
    let segment = open(&env, &layout, &meta).expect("as written");
    segment.verify().expect("as written");
    let expected = points();
    assert_eq!(read(&segment, &layout).expect("as written"), expected);
    for ((key, time), values) in expected.iter().step_by(331) {
        assert_eq!(segment.get(key, *time).expect("as written").as_ref(), Some(values));
    }
}
