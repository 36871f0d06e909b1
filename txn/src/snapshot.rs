//! Snapshots: (parts of the engines, index, catalog), made only here.
//!
//! Rule: load the parts of both engines, load the catalogs, load S, and again if parts or catalogs changed meanwhile. Apply publishes a
//! new catalog, and an engine a new set of parts, before visible_index moves past what they are needed for; so parts and
//! catalogs that are unchanged after S was read are right for S.

use crate::engines::{Engines, Reader};
use crate::visible::Visible;
use arc_swap::ArcSwap;
use heddle_catalog::CatalogSnapshot;
use heddle_types::LogIndex;
use std::sync::Arc;

/// A read view of everything committed at or below its index.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub index: LogIndex,
    pub reader: Reader,
    pub catalog: Arc<CatalogSnapshot>,
}

/// Catalogs by the index from which they hold, ascending: the newest visible one and those above.
#[derive(Default)]
pub(crate) struct Catalogs(ArcSwap<Vec<Arc<CatalogSnapshot>>>);

impl Catalogs {
    /// Adds one that holds from an index above `visible`, and forgets those that no new snapshot can need. Called by apply
    /// alone, before visible_index reaches it.
    pub(crate) fn publish(&self, catalog: Arc<CatalogSnapshot>, visible: LogIndex) {
        let old = self.0.load();
        // The newest one at or below `visible` is still needed.
        let first = old.partition_point(|c| c.from_index() <= visible).saturating_sub(1);
        let mut list = old[first..].to_vec();
        list.push(catalog);
        self.0.store(Arc::new(list));
    }

    /// Is `catalog` the one that holds at `index`, a visible one? False, too, when `index` is so old that it is forgotten here.
    pub(crate) fn holds(&self, catalog: &Arc<CatalogSnapshot>, index: LogIndex) -> bool {
        let list = self.0.load();
        let at = list.partition_point(|c| c.from_index() <= index).checked_sub(1);
        at.is_some_and(|at| Arc::ptr_eq(&list[at], catalog))
    }

    /// The newest, visible or not: what the next entry of the log edits.
    pub(crate) fn newest(&self) -> Option<Arc<CatalogSnapshot>> {
        self.0.load().last().cloned()
    }
}

/// Takes a snapshot of now.
pub(crate) fn take(engines: &Engines, catalogs: &Catalogs, visible: &Visible) -> Snapshot {
    loop {
        let versions = engines.versions();
        let list = catalogs.0.load_full();
        let index = visible.get();
        if versions.same(&engines.versions()) && Arc::ptr_eq(&list, &catalogs.0.load()) {
            let at = list.partition_point(|c| c.from_index() <= index).checked_sub(1);
            let catalog = at.map(|at| Arc::clone(&list[at])).unwrap_or_default();
            return Snapshot { index, reader: versions.reader(index), catalog };
        }
    }
}

/// The newest visible catalog.
pub(crate) fn catalog(catalogs: &Catalogs, visible: &Visible) -> Arc<CatalogSnapshot> {
    loop {
        let list = catalogs.0.load_full();
        let index = visible.get();
        if Arc::ptr_eq(&list, &catalogs.0.load()) {
            let at = list.partition_point(|c| c.from_index() <= index).checked_sub(1);
            return at.map(|at| Arc::clone(&list[at])).unwrap_or_default();
        }
    }
}
