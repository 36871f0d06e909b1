//! The relational row engine: memtables (crossbeam-skiplist) over a redb base.

use heddle_engines::RowEngine;
use heddle_env::Env;
use heddle_types::Result;
use std::path::PathBuf;
use std::sync::Arc;

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct RelationalConfig {
    /// Folder of the base file.
    pub dir: PathBuf,
    /// A memtable is sealed above this many bytes.
    pub memtable_bytes_max: usize,
    /// redb page cache in bytes.
    pub cache_bytes: usize,
}

/// Opens or creates the engine. `XX001` when the base is damaged.
pub fn open(_env: Env, _config: RelationalConfig) -> Result<Arc<dyn RowEngine>> { todo!() }
