//! The relational engine passes the suite that every engine passes.

use heddle_engines::conformance;
use heddle_env::Env;
use heddle_relational::{RelationalConfig, open};
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
