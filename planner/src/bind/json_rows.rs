//! `json_to_recordset(x) AS t(a int, b text)`: the columns are those of the column definition list.

use super::Binder;
use super::coerce::literal;
use super::from::{Bound, Source, plain_item, scope_column};
use super::names::fold;
use super::scope::Namespace;
use crate::bound::{Call, Col, SetCall};
use crate::function;
use heddle_types::{Datum, Error, PgArray, PgType, Result, SqlState, oid};
use sqlparser::ast::{FunctionArg, TableAlias};
use std::sync::Arc;

impl Binder<'_> {
    pub(super) fn json_rows(
        &mut self,
        name: &str,
        args: &[FunctionArg],
        alias: &TableAlias,
        visible: &Namespace,
        pos: Option<u32>,
    ) -> Result<Bound> {
        let mut columns = Vec::new();
        for c in &alias.columns {
            let Some(data_type) = &c.data_type else {
                let message = "a column definition list is required for functions returning \"record\"";
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(pos));
            };
            let ty = super::types::resolve_type(data_type).map_err(|e| e.at(pos))?;
            if ty.typmod >= 0 {
                return Err(Error::unsupported("a type modifier in a column definition list").at(pos));
            }
            columns.push(scope_column(&fold(&c.name), self.new_column(), ty));
        }
        if columns.is_empty() {
            let message = "a column definition list is required for functions returning \"record\"";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(pos));
        }
        let json = PgType::new(if name.starts_with("jsonb") { oid::JSONB } else { oid::JSON });
        let mut written = self.with_names(visible, |b| b.argument_list(args))?;
        let Some(arg) = written.args.pop().filter(|_| written.args.is_empty()) else {
            let message = format!("function {name} takes one argument");
            return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message).at(pos));
        };
        let arg = self.coerce_implicit(arg, json)?;
        let array = |elem, values: Vec<Datum>| Datum::Array(Arc::new(PgArray::from_vec(elem, values)));
        let names = array(oid::TEXT, columns.iter().map(|c| Datum::text(c.name.as_str())).collect());
        let types = array(oid::INT8, columns.iter().map(|c| Datum::Int8(c.ty.oid.0.into())).collect());
        let many = Datum::Bool(name.ends_with("set"));
        let find = |f: &&&function::Function| f.args[0] == json.oid;
        let f = function::by_name("heddle_json_rows").iter().find(find).expect("a function of ours");
        let call = Call {
            func: f.id,
            args: vec![
                arg.expr,
                literal(names, oid::TEXT_ARRAY),
                literal(types, oid::INT8_ARRAY),
                literal(many, oid::BOOL),
            ],
            ty: PgType::new(oid::RECORD),
        };
        let set = SetCall { call, columns: columns.iter().map(|c| Col { id: c.id, ty: c.ty }).collect() };
        let item = plain_item(fold(&alias.name), columns);
        Ok(Bound {
            source: Source::Set { calls: vec![set], ordinality: None },
            names: Namespace::of(item),
            lateral: false,
        })
    }
}
