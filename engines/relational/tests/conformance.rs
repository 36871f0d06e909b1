//! The relational engine passes the suite that every engine passes.

use bytes::Bytes;
use heddle_engines::{KeyRange, RowChange, conformance};
use heddle_env::Env;
use heddle_relational::{RelationalConfig, open};
use heddle_types::{LogIndex, StorageId};
use proptest::prelude::*;
use std::path::Path;

fn config(dir: &Path) -> RelationalConfig {
    RelationalConfig { dir: dir.join("rows"), memtable_bytes_max: 4096, cache_bytes: 1 << 20 }
}

#[test]
fn relational_passes_scenarios() {
    conformance::run_scenarios(|| {
        let dir = tempfile::tempdir().unwrap();
        Box::new(move || open(Env::real(), config(dir.path())).unwrap())
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn relational_passes_random_operations(operations in conformance::operations(60)) {
        let dir = tempfile::tempdir().unwrap();
        conformance::check_operations(&mut || open(Env::real(), config(dir.path())).unwrap(), &operations);
    }
}

/// After a merge the engine knows exactly how many rows it has, whatever came, went, was dropped or was there when it was opened.
#[test]
fn rows_are_counted_through_merges_drops_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let storages = [StorageId(7), StorageId(8), StorageId(9)];
    let mut random = 1_u64;
    let mut next = move |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    let mut index = 0;
    let mut engine = open(Env::real(), config(dir.path())).unwrap();
    for round in 0..30 {
        for _ in 0..next(400) {
            index += 1;
            let (storage, key) = (storages[next(3) as usize], Bytes::from(next(500).to_be_bytes().to_vec()));
            let change = match next(4) {
                0 => RowChange::Delete { storage, key },
                _ => RowChange::Put { storage, key, row: Bytes::from(vec![0; next(90) as usize]) },
            };
            engine.apply(LogIndex(index), vec![change]);
        }
        if round % 7 == 6 {
            index += 1;
            engine.apply(LogIndex(index), vec![RowChange::DropStorage { storage: storages[next(3) as usize] }]);
        }
        engine.seal(true);
        engine.merge(LogIndex(index)).unwrap();
        if round % 5 == 4 {
            drop(engine);
            engine = open(Env::real(), config(dir.path())).unwrap();
        }
        let reader = engine.versions().reader(LogIndex(index));
        for storage in storages {
            let mut rows = vec![];
            let mut cursor = reader.scan(storage, KeyRange::all(), false).unwrap();
            while cursor.next_batch(1000, &mut rows).unwrap() {}
            assert_eq!(reader.estimate_rows(storage), rows.len() as u64, "round {round}");
        }
    }
}
