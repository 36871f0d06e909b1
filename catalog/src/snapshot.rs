//! One immutable view of everything that exists.
//!
//! Built by [`crate::load`] at start, then by [`CatalogSnapshot::with`] for every commit that holds DDL (in `txn`'s apply)
//! and for a transaction's own DDL (its overlay). Objects are shared by Arc, and so is every map that an edit does not
//! touch: the cost of an edit is one map of Arcs, not the catalog.
//!
//! Invariant: `names` has exactly one entry per table, view, sequence and index, under its schema; all live in one namespace, as in
//! pg_class.

use crate::{CatalogEdit, Comment, DatabaseDef, IndexDef, Object, Rule, SchemaDef, SequenceDef, TableDef, ViewDef};
use heddle_types::row::RowLayout;
use heddle_types::text::{self, TextSettings};
use heddle_types::{Datum, LogIndex, Oid, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a name in a schema stands for.
#[derive(Clone, Debug)]
pub enum Relation {
    /// A table
    Table(Arc<TableDef>),
    /// An index and its table
    Index(Arc<TableDef>, usize),
    /// A view
    View(Arc<ViewDef>),
    /// A sequence
    Sequence(Arc<SequenceDef>),
}

impl Relation {
    /// Its OID.
    pub fn oid(&self) -> Oid {
        match self {
            Self::Table(t) => t.oid,
            Self::Index(t, i) => t.indexes[*i].oid,
            Self::View(v) => v.oid,
            Self::Sequence(s) => s.oid,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Table(t) => &t.name,
            Self::Index(t, i) => &t.indexes[*i].name,
            Self::View(v) => &v.name,
            Self::Sequence(s) => &s.name,
        }
    }

    /// Its schema.
    pub fn schema(&self) -> Oid {
        match self {
            Self::Table(t) | Self::Index(t, _) => t.schema,
            Self::View(v) => v.schema,
            Self::Sequence(s) => s.schema,
        }
    }
}

/// A name's target: the table (or view or sequence) and, for an index, the index's OID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    table: Oid,
    index: Option<Oid>,
}

type Names = BTreeMap<String, Named>;

/// Everything that exists as of one log index (plus, inside a transaction, its own DDL).
#[derive(Clone, Debug, Default)]
pub struct CatalogSnapshot {
    from: LogIndex,
    databases: Arc<BTreeMap<Oid, Arc<DatabaseDef>>>,
    schemas: Arc<BTreeMap<Oid, Arc<SchemaDef>>>,
    tables: Arc<BTreeMap<Oid, Arc<TableDef>>>,
    views: Arc<BTreeMap<Oid, Arc<ViewDef>>>,
    sequences: Arc<BTreeMap<Oid, Arc<SequenceDef>>>,
    /// Tables with a foreign key to this one.
    referencing: Arc<BTreeMap<Oid, BTreeSet<Oid>>>,
    /// Relation names per schema.
    names: Arc<BTreeMap<Oid, Arc<Names>>>,
    /// Which table an index belongs to.
    indexes: Arc<BTreeMap<Oid, Oid>>,
}

impl CatalogSnapshot {
    /// Log index from which this state holds.
    pub fn from_index(&self) -> LogIndex {
        self.from
    }

    /// A new snapshot with `edits` applied, valid from `from`.
    pub fn with(&self, edits: &[CatalogEdit], from: LogIndex) -> CatalogSnapshot {
        let mut next = self.clone();
        next.from = from;
        // Renames can swap two names within one commit, so every old name leaves before a new one comes.
        for edit in edits {
            match edit {
                CatalogEdit::Put(object) => next.forget(object.oid()),
                CatalogEdit::Delete(oid) => next.forget(*oid),
            }
        }
        for edit in edits {
            match edit {
                CatalogEdit::Put(object) => next.remember(object),
                // An object may be put and deleted by one list: the last word holds.
                CatalogEdit::Delete(oid) => next.forget(*oid),
            }
        }
        next
    }

    /// Database by name.
    pub fn database(&self, name: &str) -> Option<Arc<DatabaseDef>> {
        self.databases.values().find(|d| d.name == name).cloned()
    }

    /// Database by OID.
    pub fn database_by_oid(&self, oid: Oid) -> Option<Arc<DatabaseDef>> {
        self.databases.get(&oid).cloned()
    }

    /// All databases, by OID.
    pub fn databases(&self) -> Vec<Arc<DatabaseDef>> {
        self.databases.values().cloned().collect()
    }

    /// Schema of a database by name (pg_catalog and information_schema exist in each).
    pub fn schema(&self, database: Oid, name: &str) -> Option<Arc<SchemaDef>> {
        self.schemas.values().find(|s| s.is_in(database) && s.name == name).cloned()
    }

    /// Schema by OID.
    pub fn schema_by_oid(&self, oid: Oid) -> Option<Arc<SchemaDef>> {
        self.schemas.get(&oid).cloned()
    }

    /// Does the schema hold a session's temporary objects?
    pub fn is_temporary(&self, schema: Oid) -> bool {
        self.schemas.get(&schema).is_some_and(|s| s.is_temporary())
    }

    /// Schemas of temporary objects, of every database.
    pub fn temporary_schemas(&self) -> Vec<Arc<SchemaDef>> {
        self.schemas.values().filter(|s| s.is_temporary()).cloned().collect()
    }

    /// Schemas of a database, system ones included, by OID.
    pub fn schemas(&self, database: Oid) -> Vec<Arc<SchemaDef>> {
        self.schemas.values().filter(|s| s.is_in(database)).cloned().collect()
    }

    /// Relation by name.
    pub fn relation(&self, schema: Oid, name: &str) -> Option<Relation> {
        let named = self.names.get(&schema)?.get(name)?;
        self.resolve(*named)
    }

    /// Relation by OID: a table, a view, a sequence or an index.
    pub fn relation_by_oid(&self, oid: Oid) -> Option<Relation> {
        match self.indexes.get(&oid) {
            Some(table) => self.resolve(Named { table: *table, index: Some(oid) }),
            None => self.resolve(Named { table: oid, index: None }),
        }
    }

    /// Table by OID.
    pub fn table(&self, oid: Oid) -> Option<Arc<TableDef>> {
        self.tables.get(&oid).cloned()
    }

    /// Tables of a database, by OID.
    pub fn tables(&self, database: Oid) -> Vec<Arc<TableDef>> {
        self.tables.values().filter(|t| t.database == database).cloned().collect()
    }

    /// View by OID.
    pub fn view(&self, oid: Oid) -> Option<Arc<ViewDef>> {
        self.views.get(&oid).cloned()
    }

    /// Views of a database, by OID.
    pub fn views(&self, database: Oid) -> Vec<Arc<ViewDef>> {
        self.views.values().filter(|v| v.database == database).cloned().collect()
    }

    /// Sequence by OID.
    pub fn sequence(&self, oid: Oid) -> Option<Arc<SequenceDef>> {
        self.sequences.get(&oid).cloned()
    }

    /// Sequences of a database, by OID.
    pub fn sequences(&self, database: Oid) -> Vec<Arc<SequenceDef>> {
        self.sequences.values().filter(|s| s.database == database).cloned().collect()
    }

    /// Sequences that belong to a column of this table, by OID.
    pub fn owned_sequences(&self, table: Oid) -> Vec<Arc<SequenceDef>> {
        let owned = |s: &&Arc<SequenceDef>| s.owner.is_some_and(|o| o.table == table);
        self.sequences.values().filter(owned).cloned().collect()
    }

    /// Tables with a foreign key to this one (itself perhaps), by OID.
    pub fn referencing(&self, table: Oid) -> Vec<Arc<TableDef>> {
        self.referencing.get(&table).into_iter().flatten().filter_map(|oid| self.table(*oid)).collect()
    }

    /// Does the schema hold any relation?
    pub fn schema_is_empty(&self, schema: Oid) -> bool {
        self.names.get(&schema).is_none_or(|names| names.is_empty())
    }

    fn resolve(&self, named: Named) -> Option<Relation> {
        let Some(table) = self.table(named.table) else {
            let view = self.view(named.table).map(Relation::View);
            return view.or_else(|| self.sequence(named.table).map(Relation::Sequence));
        };
        match named.index {
            None => Some(Relation::Table(table)),
            Some(index) => {
                let at = table.indexes.iter().position(|i| i.oid == index)?;
                Some(Relation::Index(table, at))
            }
        }
    }

    fn remember(&mut self, object: &Object) {
        self.forget(object.oid());
        match object {
            Object::Database(d) => {
                Arc::make_mut(&mut self.databases).insert(d.oid, Arc::new(d.clone()));
            }
            Object::Schema(s) => {
                Arc::make_mut(&mut self.schemas).insert(s.oid, Arc::new(s.clone()));
            }
            Object::Table(t) => self.remember_table(t),
            Object::View(v) => {
                self.remember_name(v.schema, &v.name, v.oid);
                Arc::make_mut(&mut self.views).insert(v.oid, Arc::new(v.clone()));
            }
            Object::Sequence(s) => {
                self.remember_name(s.schema, &s.name, s.oid);
                Arc::make_mut(&mut self.sequences).insert(s.oid, Arc::new(s.clone()));
            }
        }
    }

    fn remember_table(&mut self, table: &TableDef) {
        let names = Arc::make_mut(Arc::make_mut(&mut self.names).entry(table.schema).or_default());
        names.insert(table.name.clone(), Named { table: table.oid, index: None });
        for index in &table.indexes {
            names.insert(index.name.clone(), Named { table: table.oid, index: Some(index.oid) });
        }
        if !table.indexes.is_empty() {
            let indexes = Arc::make_mut(&mut self.indexes);
            indexes.extend(table.indexes.iter().map(|i| (i.oid, table.oid)));
        }
        for referenced in table.foreign_tables() {
            Arc::make_mut(&mut self.referencing).entry(referenced).or_default().insert(table.oid);
        }
        Arc::make_mut(&mut self.tables).insert(table.oid, Arc::new(table.clone()));
    }

    fn remember_name(&mut self, schema: Oid, name: &str, oid: Oid) {
        let names = Arc::make_mut(Arc::make_mut(&mut self.names).entry(schema).or_default());
        names.insert(name.to_owned(), Named { table: oid, index: None });
    }

    fn forget(&mut self, oid: Oid) {
        if self.databases.contains_key(&oid) {
            Arc::make_mut(&mut self.databases).remove(&oid);
        }
        if self.schemas.contains_key(&oid) {
            Arc::make_mut(&mut self.schemas).remove(&oid);
        }
        if self.tables.contains_key(&oid) {
            self.forget_table(oid);
        }
        if self.views.contains_key(&oid)
            && let Some(view) = Arc::make_mut(&mut self.views).remove(&oid)
        {
            self.forget_name(view.schema, &view.name, oid);
        }
        if self.sequences.contains_key(&oid)
            && let Some(sequence) = Arc::make_mut(&mut self.sequences).remove(&oid)
        {
            self.forget_name(sequence.schema, &sequence.name, oid);
        }
    }

    fn forget_name(&mut self, schema: Oid, name: &str, oid: Oid) {
        let all_names = Arc::make_mut(&mut self.names);
        let Some(shared) = all_names.get_mut(&schema) else { return };
        let names = Arc::make_mut(shared);
        if names.get(name).is_some_and(|n| n.table == oid) {
            names.remove(name);
        }
        if names.is_empty() {
            all_names.remove(&schema);
        }
    }

    fn forget_table(&mut self, oid: Oid) {
        let Some(table) = Arc::make_mut(&mut self.tables).remove(&oid) else { return };
        let all_names = Arc::make_mut(&mut self.names);
        if let Some(shared) = all_names.get_mut(&table.schema) {
            let names = Arc::make_mut(shared);
            // Only names that still stand for this table: another object of the same commit may have taken one over.
            for name in table.indexes.iter().map(|i| &i.name).chain([&table.name]) {
                if names.get(name).is_some_and(|n| n.table == oid) {
                    names.remove(name);
                }
            }
            if names.is_empty() {
                all_names.remove(&table.schema);
            }
        }
        if !table.indexes.is_empty() {
            let indexes = Arc::make_mut(&mut self.indexes);
            table.indexes.iter().for_each(|i| {
                indexes.remove(&i.oid);
            });
        }
        for referenced in table.foreign_tables() {
            let referencing = Arc::make_mut(&mut self.referencing);
            if let Some(tables) = referencing.get_mut(&referenced) {
                tables.remove(&oid);
                if tables.is_empty() {
                    referencing.remove(&referenced);
                }
            }
        }
    }
}

impl SchemaDef {
    /// Does it hold a session's temporary objects? Nobody else can make a schema of such a name.
    pub fn is_temporary(&self) -> bool {
        self.name.starts_with(crate::TEMPORARY_PREFIX)
    }

    /// Is it a schema of `database`? Those of database 0 are in every one.
    pub fn is_in(&self, database: Oid) -> bool {
        self.database == database || self.database == Oid(0)
    }
}

impl crate::ForeignKey {
    /// When it is checked; None for one that cannot wait.
    pub fn initially(&self) -> Option<crate::Initially> {
        let initially = if self.deferred { crate::Initially::Deferred } else { crate::Initially::Immediate };
        self.deferrable.then_some(initially)
    }
}

impl IndexDef {
    /// Is there at most one row with each key (without NULLs), at any moment?
    pub fn immediate(&self) -> bool {
        self.unique && self.deferrable.is_none()
    }
}

impl TableDef {
    /// The primary key's index.
    pub fn primary_key(&self) -> Option<&IndexDef> {
        self.indexes.iter().find(|i| i.primary)
    }

    /// The primary key, if the table's rows are ordered by it. Otherwise they are by hidden row ids.
    pub fn clustered_key(&self) -> Option<&IndexDef> {
        self.primary_key().filter(|i| i.storage.is_none())
    }

    /// Column by name, dropped ones excluded: position in `columns`.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| !c.dropped && c.name == name)
    }

    /// The tables its foreign keys refer to.
    fn foreign_tables(&self) -> BTreeSet<Oid> {
        let target = |c: &crate::ConstraintDef| match &c.rule {
            Rule::References(f) => Some(f.table),
            Rule::Check(_) => None,
        };
        self.constraints.iter().filter_map(target).collect()
    }

    /// The layout of its stored tuples. Attributes a row lacks read as the columns' missing values.
    pub fn layout(&self) -> RowLayout {
        let types = self.columns.iter().map(|c| c.ty).collect();
        RowLayout::new(types, self.missing_values().expect("checked when the row was read"))
    }

    /// What each column reads as in rows that lack it.
    pub(crate) fn missing_values(&self) -> Result<Vec<Datum>> {
        let value = |c: &crate::ColumnDef| match &c.missing {
            None => Ok(Datum::Null),
            Some(t) => text::parse(t, c.ty, &TextSettings::default()),
        };
        self.columns.iter().map(value).collect()
    }
}

/// Puts, replaces or (with None) removes the comment on an object's part.
pub fn set_comment(comments: &mut Vec<Comment>, on: Oid, column: i16, text: Option<String>) {
    comments.retain(|c| (c.on, c.column) != (on, column));
    comments.extend(text.map(|text| Comment { on, column, text }));
}
