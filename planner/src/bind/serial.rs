//! serial types and identity columns: columns whose default is drawn from a sequence made with them.

use super::sequence;
use crate::bound::{CreateTable, NewSerial};
use heddle_catalog::{ColumnDef, Identity};
use heddle_types::{Error, PgType, Result, SqlState, oid};
use sqlparser::ast;

/// The integer type behind `serial` and its like.
pub(super) fn serial_type(written: &ast::DataType) -> Option<PgType> {
    let ty = match written.to_string().to_ascii_lowercase().as_str() {
        "smallserial" | "serial2" => oid::INT2,
        "serial" | "serial4" => oid::INT4,
        "bigserial" | "serial8" => oid::INT8,
        _ => return None,
    };
    Some(PgType::new(ty))
}

/// Makes the column a serial one.
pub(super) fn add_serial(create: &mut CreateTable, def: &mut ColumnDef) -> Result<()> {
    let (sequence, name) = sequence::of_column(def.ty.oid, &[], false)?;
    def.not_null = true;
    create.serials.push(NewSerial { column: create.columns.len(), identity: None, name, sequence });
    Ok(())
}

/// Makes the column an identity.
pub(super) fn add_identity(
    create: &mut CreateTable,
    def: &mut ColumnDef,
    always: bool,
    options: &[ast::SequenceOptions],
) -> Result<()> {
    let (sequence, name) = sequence::of_column(def.ty.oid, &sequence::identity_options(options)?, true)?;
    let identity = Some(if always { Identity::Always } else { Identity::ByDefault });
    def.not_null = true;
    create.serials.push(NewSerial { column: create.columns.len(), identity, name, sequence });
    Ok(())
}

/// What a second default of a column is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Second {
    Default,
    Identity,
}

impl super::Binder<'_> {
    /// `42601` when the column that begins at `pos` already has a default of some kind.
    pub(super) fn refuse_second(
        &self,
        create: &CreateTable,
        def: &ColumnDef,
        second: Second,
        pos: Option<u32>,
    ) -> Result<()> {
        let made = create.serials.iter().find(|s| s.column == create.columns.len());
        let identity = made.is_some_and(|s| s.identity.is_some());
        let default = def.default.is_some() || (made.is_some() && !identity);
        let generated = || self.places.word_after(pos, "generated");
        let (what, at) = match second {
            Second::Identity if identity => {
                ("multiple identity specifications", self.places.word_after(self.places.next(generated()), "generated"))
            }
            Second::Identity if default => ("both default and identity", generated()),
            Second::Default if identity => ("both default and identity", self.places.word_after(pos, "default")),
            Second::Default if made.is_some() => ("multiple default values", None),
            Second::Default if default => {
                let first = self.places.word_after(pos, "default");
                ("multiple default values", self.places.word_after(self.places.next(first), "default"))
            }
            _ => return Ok(()),
        };
        let verb = if what.ends_with("specifications") { "" } else { " specified" };
        let text = format!("{what}{verb} for column \"{}\" of table \"{}\"", def.name, create.name);
        Err(Error::new(SqlState::SYNTAX_ERROR, text).at(at))
    }
}
