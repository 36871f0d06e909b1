//! Random SELECTs as a structure, so that parts can be left out again.

use super::expr::{Scope, condition, expression};
use super::random::Random;
use super::schema::{Schema, Table, Type};

/// How the second table comes in.
#[derive(Clone, Debug)]
struct Join {
    kind: &'static str,
    /// `t1 AS b`, or a sub-query
    source: String,
    on: String,
}

/// A SELECT, with a second one behind a set operation perhaps.
#[derive(Clone, Debug)]
pub struct Query {
    distinct: bool,
    items: Vec<String>,
    from: String,
    join: Option<Join>,
    filter: Vec<String>,
    groups: Vec<String>,
    having: Option<String>,
    /// ORDER BY all output columns.
    ordered: bool,
    limit: Option<usize>,
    with: Option<String>,
    set: Option<(&'static str, Box<Query>)>,
}

impl Query {
    /// A query over the tables.
    pub fn random(random: &mut Random, schema: &Schema) -> Self {
        let types: Vec<Type> = (0..1 + random.below(3)).map(|_| *random.pick(&Type::ALL)).collect();
        let mut query = Self::select(random, schema, &types);
        if random.one_in(6) {
            let op = *random.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL"]);
            let mut other = Self::select(random, schema, &types);
            (other.ordered, other.limit, other.with) = (false, None, None);
            query.set = Some((op, Box::new(other)));
        }
        query
    }

    fn select(random: &mut Random, schema: &Schema, types: &[Type]) -> Self {
        let first = random.pick(&schema.tables);
        let mut scope = scope_of(first, "a");
        let mut query = Self {
            distinct: random.one_in(6),
            items: vec![],
            from: format!("{} AS a", first.name),
            join: None,
            filter: vec![],
            groups: vec![],
            having: None,
            ordered: random.one_in(2),
            limit: None,
            with: None,
            set: None,
        };
        if random.one_in(2) {
            query.join = Some(join(random, schema, &mut scope));
        }
        if random.one_in(8) {
            query.with = Some(format!(
                "w AS (SELECT * FROM {} WHERE {})",
                first.name,
                condition(random, &scope_of(first, &first.name))
            ));
            query.from = "w AS a".to_owned();
        }
        for _ in 0..random.below(3) {
            query.filter.push(match random.below(5) {
                0 => sub_query(random, schema, &scope),
                _ => condition(random, &scope),
            });
        }
        if random.one_in(3) {
            query.grouped(random, &scope, types);
        } else {
            for ty in types {
                query.items.push(item(random, schema, &scope, *ty));
            }
            if random.one_in(6) {
                query.items.push(window(random, &scope));
            }
        }
        if query.ordered && random.one_in(2) {
            query.limit = Some(random.below(6));
        }
        query
    }

    fn grouped(&mut self, random: &mut Random, scope: &Scope, types: &[Type]) {
        for ty in types {
            if random.one_in(2) && !self.groups.is_empty() {
                self.items.push(aggregate_of(random, scope, *ty));
            } else {
                let key = expression(random, scope, *ty);
                self.groups.push(key.clone());
                self.items.push(key);
            }
        }
        // Column lists of set operations must agree in number, so the counts stand beside them only here.
        if self.set.is_none() && random.one_in(2) {
            self.having = Some(format!("count(*) > {}", random.below(3)));
        }
    }

    /// Does ORDER BY settle the order completely?
    pub fn ordered(&self) -> bool {
        self.ordered
    }

    /// As SQL.
    pub fn sql(&self) -> String {
        let mut out = self.with.as_ref().map_or_else(String::new, |w| format!("WITH {w} "));
        out.push_str(&self.body());
        if let Some((op, other)) = &self.set {
            out.push_str(&format!(" {op} {}", other.body()));
        }
        if self.ordered {
            let all: Vec<String> = (1..=self.items.len()).map(|i| i.to_string()).collect();
            out.push_str(&format!(" ORDER BY {}", all.join(", ")));
        }
        if let Some(n) = self.limit {
            out.push_str(&format!(" LIMIT {n}"));
        }
        out
    }

    fn body(&self) -> String {
        let distinct = if self.distinct { "DISTINCT " } else { "" };
        let mut out = format!("SELECT {distinct}{} FROM {}", self.items.join(", "), self.from);
        if let Some(j) = &self.join {
            out.push_str(&format!(" {} JOIN {} ON {}", j.kind, j.source, j.on));
        }
        if !self.filter.is_empty() {
            out.push_str(&format!(" WHERE {}", self.filter.join(" AND ")));
        }
        if !self.groups.is_empty() {
            // By position: a constant as key would be taken for one.
            let at =
                |g: &String| self.items.iter().position(|i| i == g).map_or_else(|| g.clone(), |i| (i + 1).to_string());
            out.push_str(&format!(" GROUP BY {}", self.groups.iter().map(at).collect::<Vec<_>>().join(", ")));
        }
        if let Some(having) = &self.having {
            out.push_str(&format!(" HAVING {having}"));
        }
        out
    }

    /// Queries with one part less.
    pub fn smaller(&self) -> Vec<Self> {
        let mut out = vec![];
        let mut without = |change: &dyn Fn(&mut Self)| {
            let mut query = self.clone();
            change(&mut query);
            out.push(query);
        };
        if let Some((_, other)) = &self.set {
            without(&|q| q.set = None);
            without(&|q| *q = (**other).clone());
        }
        if self.limit.is_some() {
            without(&|q| q.limit = None);
        }
        if self.ordered {
            without(&|q| (q.ordered, q.limit) = (false, None));
        }
        if self.having.is_some() {
            without(&|q| q.having = None);
        }
        if self.distinct {
            without(&|q| q.distinct = false);
        }
        if self.join.is_some() {
            without(&|q| q.join = None);
        }
        for i in 0..self.filter.len() {
            without(&|q| {
                q.filter.remove(i);
            });
        }
        if self.items.len() > 1 && self.set.is_none() {
            for i in 0..self.items.len() {
                without(&|q| {
                    let gone = q.items.remove(i);
                    q.groups.retain(|g| *g != gone);
                });
            }
        }
        out
    }
}

const JOINS: &[&str] = &["INNER", "LEFT", "RIGHT", "FULL", "LEFT"];

fn scope_of(table: &Table, alias: &str) -> Scope {
    table.columns.iter().map(|c| (format!("{alias}.{}", c.name), c.ty)).collect()
}

fn join(random: &mut Random, schema: &Schema, scope: &mut Scope) -> Join {
    let second = random.pick(&schema.tables);
    let inside = scope_of(second, &second.name);
    let source = match random.below(3) {
        0 => format!("(SELECT * FROM {} WHERE {}) AS b", second.name, condition(random, &inside)),
        _ => format!("{} AS b", second.name),
    };
    let right = scope_of(second, "b");
    let on = match random.below(3) {
        0 => {
            let mut both = scope.clone();
            both.extend(right.clone());
            format!("a.id = b.id AND {}", condition(random, &both))
        }
        _ => "a.id = b.id".to_owned(),
    };
    scope.extend(right);
    Join { kind: random.pick::<&str>(JOINS), source, on }
}

/// A correlated condition.
fn sub_query(random: &mut Random, schema: &Schema, scope: &Scope) -> String {
    let table = random.pick(&schema.tables);
    let mut inside = scope.clone();
    inside.extend(scope_of(table, "s"));
    let filter = condition(random, &inside);
    let not = if random.one_in(2) { "NOT " } else { "" };
    match random.below(3) {
        0 => format!("{not}EXISTS (SELECT 1 FROM {} AS s WHERE s.id = a.id AND {filter})", table.name),
        1 => format!("a.id {not}IN (SELECT s.id FROM {} AS s WHERE {filter})", table.name),
        _ => format!("a.id >= (SELECT min(s.id) FROM {} AS s WHERE {filter})", table.name),
    }
}

fn item(random: &mut Random, schema: &Schema, scope: &Scope, ty: Type) -> String {
    if ty == Type::Int8 && random.one_in(3) {
        let table = random.pick(&schema.tables);
        let mut inside = scope.clone();
        inside.extend(scope_of(table, "s"));
        return format!("(SELECT count(*) FROM {} AS s WHERE {})", table.name, condition(random, &inside));
    }
    expression(random, scope, ty)
}

fn window(random: &mut Random, scope: &Scope) -> String {
    let call = random.pick(&[
        "row_number()",
        "rank()",
        "dense_rank()",
        "count(*)",
        "sum(a.id)",
        "max(a.id)",
        "lag(a.id)",
        "first_value(a.id)",
    ]);
    let ty = *random.pick(&[Type::Int4, Type::Text, Type::Date, Type::Numeric]);
    let key = expression(random, scope, ty);
    // Complete: ties would leave the numbering open.
    let rest: Vec<&str> = scope.iter().filter(|(n, _)| n.ends_with(".id")).map(|(n, _)| n.as_str()).collect();
    format!("{call} OVER (PARTITION BY {} ORDER BY {key}, {})", expression(random, scope, Type::Bool), rest.join(", "))
}

/// An aggregate that gives `ty`, or something of that type with an aggregate in it.
fn aggregate_of(random: &mut Random, scope: &Scope, ty: Type) -> String {
    let filter = if random.one_in(4) { format!(" FILTER (WHERE {})", condition(random, scope)) } else { String::new() };
    match ty {
        Type::Int8 => match random.below(4) {
            0 => format!("count(*){filter}"),
            1 => format!("count(DISTINCT {}){filter}", expression(random, scope, Type::Text)),
            2 => format!("sum({}){filter}", expression(random, scope, Type::Int4)),
            _ => format!("count({}){filter}", expression(random, scope, Type::Date)),
        },
        Type::Numeric => match random.below(3) {
            0 => format!("sum({}){filter}", expression(random, scope, Type::Numeric)),
            1 => format!("avg({}){filter}", expression(random, scope, Type::Int4)),
            _ => format!("max({}){filter}", expression(random, scope, Type::Numeric)),
        },
        Type::Text => match random.below(2) {
            0 => {
                let e = expression(random, scope, Type::Text);
                format!("string_agg({e}, ',' ORDER BY {e}){filter}")
            }
            _ => format!("min({}){filter}", expression(random, scope, Type::Text)),
        },
        Type::IntArray => {
            let e = expression(random, scope, Type::Int4);
            format!("array_agg({e} ORDER BY {e}){filter}")
        }
        Type::Bool => format!("{}({}){filter}", random.pick(&["bool_and", "bool_or"]), condition(random, scope)),
        Type::Uuid | Type::Bytea | Type::Jsonb => {
            format!("(array_agg({0} ORDER BY {0}))[1]", expression(random, scope, ty))
        }
        Type::Varchar => format!("max({})::varchar(8)", expression(random, scope, Type::Text)),
        _ => format!("{}({}){filter}", random.pick(&["min", "max"]), expression(random, scope, ty)),
    }
}
