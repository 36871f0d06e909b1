//! Catalog changes as rows of [`crate::CATALOG_STORAGE`], and the way back.
//!
//! `txn` turns edits into row changes when DDL runs and turns row changes back into edits when a commit is applied, so
//! that a [`CatalogSnapshot`] never comes from anywhere but the log and the engine.
//!
//! Key: the object's OID, 4 bytes big endian. Row: a version byte ([`ROW_VERSION`]), then the object as JSON. An unknown
//! version is refused (`XX001`), never guessed at.

use crate::{
    BOOTSTRAP_ROLE, CATALOG_STORAGE, CatalogSnapshot, DatabaseDef, INFORMATION_SCHEMA, Object, PG_CATALOG, POSTGRES_DB,
    PUBLIC, SchemaDef,
};
use bytes::Bytes;
use heddle_engines::{KeyRange, RowChange, RowReader};
use heddle_types::{Error, LogIndex, Oid, Result, SqlState};

/// Version of the row encoding.
const ROW_VERSION: u8 = 1;

/// Rows read at once while loading.
const LOAD_BATCH_ROWS: usize = 1024;

/// One DDL effect.
#[expect(clippy::large_enum_variant, reason = "edits are few, and each is gone with its statement")]
#[derive(Clone, Debug, PartialEq)]
pub enum CatalogEdit {
    /// Create or replace the object.
    Put(Object),
    /// Remove the object with this OID.
    Delete(Oid),
}

impl CatalogEdit {
    /// As a row change on [`crate::CATALOG_STORAGE`].
    pub fn to_change(&self) -> RowChange {
        match self {
            Self::Put(object) => {
                let mut row = vec![ROW_VERSION];
                serde_json::to_writer(&mut row, object)
                    .expect("an object has string keys only and a Vec takes every byte");
                RowChange::Put { storage: CATALOG_STORAGE, key: encode_key(object.oid()), row: row.into() }
            }
            Self::Delete(oid) => RowChange::Delete { storage: CATALOG_STORAGE, key: encode_key(*oid) },
        }
    }

    /// The edit in a change, when it concerns the catalog. `XX001` on malformed bytes.
    pub fn from_change(change: &RowChange) -> Result<Option<CatalogEdit>> {
        match change {
            RowChange::Put { storage, key, row } if *storage == CATALOG_STORAGE => {
                let object = decode_row(row)?;
                if object.oid() != decode_key(key)? {
                    return Err(damaged("a catalog row lies under another object's key"));
                }
                Ok(Some(Self::Put(object)))
            }
            RowChange::Delete { storage, key } if *storage == CATALOG_STORAGE => {
                Ok(Some(Self::Delete(decode_key(key)?)))
            }
            RowChange::DropStorage { storage } if *storage == CATALOG_STORAGE => {
                Err(damaged("a log entry drops the catalog's storage"))
            }
            _ => Ok(None),
        }
    }
}

/// The edits that make an empty folder a usable one: database postgres, its schema public, system schemas.
pub fn bootstrap() -> Vec<CatalogEdit> {
    let schema = |oid, database, name: &str| {
        CatalogEdit::Put(Object::Schema(SchemaDef { oid, database, name: name.to_owned(), comments: vec![] }))
    };
    debug_assert!(BOOTSTRAP_ROLE < Oid::FIRST_USER, "system objects stay below the user's");
    vec![
        CatalogEdit::Put(Object::Database(DatabaseDef {
            oid: POSTGRES_DB,
            name: "postgres".to_owned(),
            series: None,
            comments: vec![],
        })),
        // Database 0 stands for "every database", as in pg_shdepend.
        schema(PG_CATALOG, Oid(0), "pg_catalog"),
        schema(INFORMATION_SCHEMA, Oid(0), "information_schema"),
        schema(PUBLIC, POSTGRES_DB, "public"),
    ]
}

/// Reads the whole catalog. Its from-index is that of the newest row.
///
/// # Errors
/// `XX001` on malformed rows, and what the reader answers.
pub fn load(reader: &dyn RowReader) -> Result<CatalogSnapshot> {
    let mut cursor = reader.scan(CATALOG_STORAGE, KeyRange::all(), false)?;
    let (mut edits, mut from, mut rows) = (Vec::new(), LogIndex(0), Vec::new());
    loop {
        let more = cursor.next_batch(LOAD_BATCH_ROWS, &mut rows)?;
        for row in rows.drain(..) {
            from = from.max(row.index);
            let object = decode_row(&row.row)?;
            if object.oid() != decode_key(&row.key)? {
                return Err(damaged("a catalog row lies under another object's key"));
            }
            edits.push(CatalogEdit::Put(object));
        }
        if !more {
            return Ok(CatalogSnapshot::default().with(&edits, from));
        }
    }
}

fn encode_key(oid: Oid) -> Bytes {
    Bytes::copy_from_slice(&oid.0.to_be_bytes())
}

fn decode_key(key: &[u8]) -> Result<Oid> {
    let bytes = key.try_into().map_err(|_| damaged("a catalog key is not four bytes long"))?;
    Ok(Oid(u32::from_be_bytes(bytes)))
}

fn decode_row(row: &[u8]) -> Result<Object> {
    match row.split_first() {
        Some((&ROW_VERSION, json)) => {
            let unreadable = |detail: String| damaged("a catalog row cannot be read").detail(detail);
            let object = serde_json::from_slice(json).map_err(|e| unreadable(e.to_string()))?;
            if let Object::Table(table) = &object {
                // Later nobody asks again: a layout is made for every statement.
                table.missing_values().map_err(|e| unreadable(e.message().to_owned()))?;
            }
            Ok(object)
        }
        Some((version, _)) => Err(damaged(&format!("a catalog row has the unknown version {version}"))),
        None => Err(damaged("a catalog row is empty")),
    }
}

fn damaged(message: &str) -> Error {
    Error::new(SqlState::DATA_CORRUPTED, message)
}
