//! `LIKE table` in CREATE TABLE: what of another relation the new table gets.

use super::names::{qualified, start};
use super::scope::{Found, find_relation, unknown_relation};
use super::{Binder, walk};
use crate::bound::{ColId, CommentOn, CreateTable, Expr, NewCheck, NewIndex, NewKey, NewSerial};
use crate::parse::{LIKE_MARK, LIKE_OPTIONS};
use heddle_catalog::{ColumnDef, Rule, StoredExpr, TableDef};
use heddle_txn::RelationLock;
use heddle_types::{Error, Result, SqlState};
use sqlparser::ast::{self, DataType, ObjectName, Spanned};
use std::sync::Arc;

/// A LIKE element.
pub(super) struct Like<'a> {
    name: &'a ObjectName,
    bits: u32,
}

impl<'a> Like<'a> {
    /// The LIKE that travels as a column.
    pub fn of(column: &'a ast::ColumnDef) -> Option<Self> {
        let bits = column.name.value.strip_prefix(LIKE_MARK)?.parse().ok()?;
        match &column.data_type {
            DataType::Custom(name, _) => Some(Self { name, bits }),
            _ => None,
        }
    }

    fn including(&self, option: &str) -> bool {
        LIKE_OPTIONS.iter().position(|o| *o == option).is_some_and(|n| self.bits & (1 << n) != 0)
    }
}

impl Binder<'_> {
    /// Adds the columns of the relation, and of its other parts what the options say.
    pub(super) fn like_element(&mut self, create: &mut CreateTable, like: &Like<'_>) -> Result<()> {
        let pos = start(like.name.span());
        let (schema, bare) = qualified(like.name, &self.ctx.session.database)?;
        let invalid = |name: &str, kind: &str| {
            Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("relation \"{name}\" is invalid in LIKE clause"))
                .detail(format!("This operation is not supported for {kind}."))
                .at(pos))
        };
        match find_relation(self.ctx, schema.as_deref(), &bare) {
            Some(Found::Table(t)) => {
                self.lock(&t, RelationLock::AccessShare);
                self.like_table(create, like, &t)
            }
            Some(Found::View(v)) => {
                self.views.push(Arc::clone(&v));
                for (i, c) in v.columns.iter().enumerate() {
                    let at = create.columns.len();
                    create.columns.push(crate::bound::column(attnum(at), c.name.clone(), c.ty));
                    let text = v.comments.iter().find(|m| m.on == v.oid && m.column == attnum(i));
                    if let (true, Some(m)) = (like.including("comments"), text) {
                        create.comments.push((CommentOn::Column(at), m.text.clone()));
                    }
                }
                Ok(())
            }
            Some(Found::System(t)) => {
                for (name, ty) in t.columns {
                    let at = create.columns.len();
                    create.columns.push(crate::bound::column(attnum(at), (*name).to_owned(), *ty));
                }
                Ok(())
            }
            Some(Found::Index(name)) => invalid(&name, "indexes"),
            Some(Found::Sequence(s)) => invalid(&s.name, "sequences"),
            None => Err(unknown_relation(schema.as_deref(), &bare).at(pos)),
        }
    }

    fn like_table(&mut self, create: &mut CreateTable, like: &Like<'_>, table: &TableDef) -> Result<()> {
        // Where each column of the table, by attribute number, comes to stand.
        let mut places = vec![0; table.columns.len() + 1];
        for c in table.columns.iter().filter(|c| !c.dropped) {
            let at = create.columns.len();
            places[c.attnum as usize] = at;
            let mut def = crate::bound::column(attnum(at), c.name.clone(), c.ty);
            def.not_null = c.not_null;
            if c.identity.is_some() {
                if like.including("identity") {
                    self.like_identity(create, c, table, at);
                }
            } else if like.including("defaults") {
                def.default.clone_from(&c.default);
            }
            create.columns.push(def);
        }
        if like.including("constraints") {
            for c in &table.constraints {
                if let Rule::Check(stored) = &c.rule {
                    let expr = moved(stored, &places)?;
                    create.checks.push(NewCheck { name: c.name.clone(), expr, valid: true });
                }
            }
        }
        if like.including("indexes") {
            for index in &table.indexes {
                let columns: Vec<usize> = index.columns.iter().map(|c| places[c.attnum as usize]).collect();
                if index.constraint.is_some() {
                    let (primary, deferrable) = (index.primary, index.deferrable);
                    create.keys.push(NewKey { name: None, columns, primary, deferrable });
                } else {
                    let columns = columns.into_iter().zip(index.columns.iter().map(|c| c.order)).collect();
                    create.indexes.push(NewIndex { columns, unique: index.unique });
                }
            }
        }
        if like.including("comments") {
            like_comments(create, like, table, &places);
        }
        Ok(())
    }

    /// The column is an identity too, with a sequence of its own that has the options of the other's.
    fn like_identity(&self, create: &mut CreateTable, c: &ColumnDef, table: &TableDef, at: usize) {
        let owned = self.catalog().owned_sequences(table.oid);
        let of_column =
            |s: &&Arc<heddle_catalog::SequenceDef>| s.owner.is_some_and(|o| o.attnum == c.attnum && o.identity);
        if let Some(s) = owned.iter().find(of_column) {
            let sequence = heddle_catalog::SequenceDef { first: s.start, comments: vec![], ..(**s).clone() };
            create.serials.push(NewSerial { column: at, identity: c.identity, name: None, sequence });
        }
    }
}

fn attnum(at: usize) -> i16 {
    i16::try_from(at + 1).unwrap_or(i16::MAX)
}

/// Comments on what is copied: columns, checks and indexes.
fn like_comments(create: &mut CreateTable, like: &Like<'_>, table: &TableDef, places: &[usize]) {
    for m in &table.comments {
        let check = table.constraints.iter().find(|c| c.oid == m.on).filter(|c| matches!(c.rule, Rule::Check(_)));
        let index = table.indexes.iter().find(|i| i.oid == m.on);
        let on = match (check, index) {
            (Some(check), _) if like.including("constraints") => CommentOn::Check(check.name.clone()),
            (_, Some(index)) if like.including("indexes") => {
                let key = |c: &heddle_catalog::IndexColumn| (places[c.attnum as usize], c.order);
                CommentOn::Index(index.columns.iter().map(key).collect())
            }
            _ if m.on == table.oid && m.column > 0 => CommentOn::Column(places[m.column as usize]),
            _ => continue,
        };
        create.comments.push((on, m.text.clone()));
    }
}

/// An expression over the row with the columns at their new places.
fn moved(stored: &StoredExpr, places: &[usize]) -> Result<StoredExpr> {
    let mut expr = super::stored_expr(stored)?;
    walk::rewrite(&mut expr, &mut |e| match e {
        Expr::Column { id, ty } => {
            let at = places.get(id.0 as usize).copied().unwrap_or_default();
            Some(Expr::Column { id: ColId(at as u32 + 1), ty: *ty })
        }
        _ => None,
    });
    super::store_expr(&expr)
}
