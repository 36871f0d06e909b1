//! Snapshots, names and the row form of edits.

use heddle_catalog::*;
use heddle_engines::RowChange;
use heddle_types::key::KeyOrder;
use heddle_types::{LogIndex, Oid, PgType, StorageId, oid};

fn table(oid_: u32, name: &str, indexes: &[(u32, &str)]) -> TableDef {
    let column = ColumnDef {
        attnum: 1,
        name: "a".into(),
        ty: PgType::new(oid::INT4),
        not_null: true,
        default: None,
        dropped: false,
        identity: None,
        missing: None,
    };
    let index = |&(oid, name): &(u32, &str)| IndexDef {
        oid: Oid(oid),
        name: name.into(),
        storage: Some(StorageId(u64::from(oid))),
        columns: vec![IndexColumn { attnum: 1, order: KeyOrder::default() }],
        unique: true,
        primary: false,
        constraint: None,
        state: IndexState::Valid,
        deferrable: None,
    };
    TableDef {
        oid: Oid(oid_),
        schema: PUBLIC,
        database: POSTGRES_DB,
        name: name.into(),
        storage: StorageId(u64::from(oid_)),
        columns: vec![column],
        indexes: indexes.iter().map(index).collect(),
        series: None,
        constraints: vec![],
        comments: vec![],
        on_commit: heddle_catalog::OnCommit::PreserveRows,
    }
}

fn put(t: TableDef) -> CatalogEdit {
    CatalogEdit::Put(Object::Table(t))
}

fn base() -> CatalogSnapshot {
    CatalogSnapshot::default().with(&bootstrap(), LogIndex(3))
}

#[test]
fn bootstrap_has_database_and_schemas() {
    let c = base();
    assert_eq!(c.from_index(), LogIndex(3));
    assert_eq!(c.database("postgres").map(|d| d.oid), Some(POSTGRES_DB));
    assert_eq!(c.schema(POSTGRES_DB, "public").map(|s| s.oid), Some(PUBLIC));
    assert_eq!(c.schema(Oid(77), "pg_catalog").map(|s| s.oid), Some(PG_CATALOG));
    assert!(c.schema(Oid(77), "public").is_none());
    assert_eq!(c.schemas(POSTGRES_DB).len(), 3);
    assert!(c.schema_is_empty(PUBLIC));
}

#[test]
fn indexes_share_the_namespace_of_tables() {
    let old = base();
    let c = old.with(&[put(table(20000, "t", &[(20001, "t_a_key")]))], LogIndex(9));
    assert!(matches!(c.relation(PUBLIC, "t"), Some(Relation::Table(t)) if t.oid == Oid(20000)));
    assert!(matches!(c.relation(PUBLIC, "t_a_key"), Some(Relation::Index(t, 0)) if t.oid == Oid(20000)));
    assert!(matches!(c.relation_by_oid(Oid(20001)), Some(Relation::Index(_, 0))));
    assert!(old.relation(PUBLIC, "t").is_none(), "older snapshots do not change");
    let gone = c.with(&[CatalogEdit::Delete(Oid(20000))], LogIndex(10));
    assert!(gone.relation(PUBLIC, "t").is_none() && gone.relation(PUBLIC, "t_a_key").is_none());
    assert!(gone.relation_by_oid(Oid(20001)).is_none() && gone.schema_is_empty(PUBLIC));
    assert!(c.table(Oid(20000)).is_some());
}

#[test]
fn names_swapped_in_one_commit_keep_both() {
    let c = base().with(&[put(table(20000, "a", &[])), put(table(20001, "b", &[]))], LogIndex(4));
    let c = c.with(&[put(table(20000, "b", &[])), put(table(20001, "a", &[]))], LogIndex(5));
    assert!(matches!(c.relation(PUBLIC, "a"), Some(Relation::Table(t)) if t.oid == Oid(20001)));
    assert!(matches!(c.relation(PUBLIC, "b"), Some(Relation::Table(t)) if t.oid == Oid(20000)));
    assert_eq!(c.tables(POSTGRES_DB).len(), 2);
}

#[test]
fn create_and_drop_in_one_list_leaves_nothing() {
    let c = base().with(&[put(table(20000, "a", &[])), CatalogEdit::Delete(Oid(20000))], LogIndex(4));
    assert!(c.relation(PUBLIC, "a").is_none() && c.table(Oid(20000)).is_none());
}

#[test]
fn edits_round_trip_as_rows() {
    for edit in [put(table(20000, "é\"x", &[(20001, "i")])), CatalogEdit::Delete(Oid(7))].into_iter().chain(bootstrap())
    {
        let change = edit.to_change();
        assert_eq!(CatalogEdit::from_change(&change).unwrap(), Some(edit));
    }
    let other = RowChange::Delete { storage: StorageId(16384), key: vec![1].into() };
    assert_eq!(CatalogEdit::from_change(&other).unwrap(), None);
}

#[test]
fn malformed_rows_are_data_corruption() {
    let RowChange::Put { storage, key, row } = put(table(20000, "t", &[])).to_change() else { panic!("a put") };
    let bad = |key: &[u8], row: &[u8]| RowChange::Put { storage, key: key.to_vec().into(), row: row.to_vec().into() };
    for change in
        [bad(&key, &[]), bad(&key, &[9]), bad(&key, &row[..row.len() - 1]), bad(&[1], &row), bad(&[0, 0, 0, 1], &row)]
    {
        assert_eq!(CatalogEdit::from_change(&change).unwrap_err().code().0, "XX001");
    }
}

#[test]
fn views_share_the_namespace_and_come_back_from_rows() {
    let view = ViewDef {
        oid: Oid(20010),
        schema: PUBLIC,
        database: POSTGRES_DB,
        name: "v".into(),
        columns: vec![ViewColumn { name: "a".into(), ty: PgType::new(oid::INT4) }],
        query: "SELECT a FROM t".into(),
        search_path: vec!["public".into()],
        depends: vec![Oid(20000)],
        uses: vec![(Oid(20000), 1)],
        comments: vec![],
    };
    let edit = CatalogEdit::Put(Object::View(view.clone()));
    assert_eq!(CatalogEdit::from_change(&edit.to_change()).unwrap(), Some(edit.clone()));
    let c = base().with(&[put(table(20000, "t", &[])), edit], LogIndex(4));
    assert!(matches!(c.relation(PUBLIC, "v"), Some(Relation::View(v)) if *v == view));
    assert!(matches!(c.relation_by_oid(Oid(20010)), Some(Relation::View(_))));
    assert_eq!((c.views(POSTGRES_DB).len(), c.tables(POSTGRES_DB).len()), (1, 1));
    let gone = c.with(&[CatalogEdit::Delete(Oid(20010))], LogIndex(5));
    assert!(gone.relation(PUBLIC, "v").is_none() && gone.view(Oid(20010)).is_none());
    assert!(gone.relation(PUBLIC, "t").is_some());
}
