//! Builds the tables once: kernels registered by signature (`int4pl(int4,int4)`) meet PostgreSQL's own rows in [`super::table`].
//!
//! Invariant: every registered signature has a row. A miss is a programming error and fails the first use and the unit test.

use super::table::{CASTS, OPERATORS, PROCS, Proc};
use super::*;
use heddle_types::oid;
use std::collections::HashMap;
use std::sync::LazyLock;

/// OID of the conversion through text.
pub(super) const IO_CAST: u32 = 9001;
/// OID of the length coercion.
pub(super) const LENGTH_CAST: u32 = 9002;

/// PostgreSQL's int4(int2), which it also uses for int2 -> oid.
const INT4_OF_INT2: u32 = 313;

/// Collects kernels.
#[derive(Default)]
pub(super) struct Registry {
    functions: Vec<&'static Function>,
    seen: HashMap<&'static str, u32>,
}

impl Registry {
    fn add(&mut self, sig: &'static str, kind: Kind) {
        self.insert(sig, kind, false);
    }

    fn insert(&mut self, sig: &'static str, kind: Kind, waits: bool) {
        let Some(row) = find(sig) else { panic!("no row for function {sig}") };
        assert!(self.seen.insert(sig, row.id).is_none(), "function {sig} is registered twice");
        self.functions.push(Box::leak(Box::new(Function {
            id: FuncId(row.id),
            name: row.name,
            args: row.args,
            variadic: row.variadic,
            defaults: row.defaults,
            arg_names: row.arg_names,
            ret: row.ret,
            strict: row.strict,
            volatility: row.volatility,
            waits,
            kind,
        })));
    }

    /// A scalar function.
    pub(super) fn scalar(&mut self, sig: &'static str, kernel: ScalarKernel) {
        self.add(sig, Kind::Scalar(kernel));
    }

    /// A scalar function that may wait: what calls [`super::wait::wait_until`].
    pub(super) fn waiting(&mut self, sig: &'static str, kernel: ScalarKernel) {
        self.insert(sig, Kind::Scalar(kernel), true);
    }

    /// One kernel for every row of that name with so many arguments.
    pub(super) fn every(&mut self, name: &str, arguments: usize, kernel: ScalarKernel) {
        for row in PROCS.iter().filter(|p| p.name == name && p.args.len() == arguments) {
            self.add(row.sig, Kind::Scalar(kernel));
        }
    }

    /// Several names of one kernel.
    pub(super) fn scalars(&mut self, sigs: &[&'static str], kernel: ScalarKernel) {
        for sig in sigs {
            self.add(sig, Kind::Scalar(kernel));
        }
    }

    /// A comparison in the default order of one type.
    pub(super) fn compare(&mut self, sig: &'static str, cmp: Comparison, kernel: ScalarKernel) {
        self.add(sig, Kind::Compare(cmp, kernel));
    }

    /// A set-returning function.
    pub(super) fn set(&mut self, sig: &'static str, kernel: SetKernel, columns: &'static [(&'static str, Oid)]) {
        self.add(sig, Kind::Set(kernel, columns));
    }

    /// An aggregate.
    pub(super) fn aggregate(&mut self, sig: &'static str, factory: AggregateFactory) {
        self.add(sig, Kind::Aggregate(factory));
    }

    /// A window function.
    pub(super) fn window(&mut self, sig: &'static str, factory: WindowFactory) {
        self.add(sig, Kind::Window(factory));
    }
}

fn find(sig: &str) -> Option<&'static Proc> {
    PROCS
        .binary_search_by(|p| p.sig.cmp(sig))
        .ok()
        .map(|i| &PROCS[i])
        .or_else(|| own::PROCS.iter().find(|p| p.sig == sig))
}

/// Everything, indexed.
pub(super) struct Tables {
    pub(super) functions: Vec<&'static Function>,
    pub(super) by_id: HashMap<u32, &'static Function>,
    pub(super) by_name: HashMap<&'static str, Vec<&'static Function>>,
    pub(super) operators: Vec<&'static Operator>,
    pub(super) operators_by_name: HashMap<&'static str, Vec<&'static Operator>>,
    pub(super) casts: Vec<Cast>,
    pub(super) casts_by_pair: HashMap<(Oid, Oid), usize>,
    pub(super) comparisons: HashMap<(Oid, Comparison), FuncId>,
}

pub(super) static TABLES: LazyLock<Tables> = LazyLock::new(build);

fn build() -> Tables {
    let mut registry = Registry::default();
    super::register_all(&mut registry);
    let mut functions = registry.functions;
    functions.sort_by_key(|f| f.id);
    let by_id: HashMap<u32, &'static Function> = functions.iter().map(|f| (f.id.0, *f)).collect();
    let mut by_name: HashMap<&'static str, Vec<&'static Function>> = HashMap::new();
    for f in &functions {
        by_name.entry(f.name).or_default().push(f);
    }
    let operators: Vec<&'static Operator> = OPERATORS
        .iter()
        .filter(|o| by_id.contains_key(&o.3))
        .map(|o| &*Box::leak(Box::new(Operator { name: o.0, left: Oid(o.1), right: Oid(o.2), func: FuncId(o.3) })))
        .collect();
    let mut operators_by_name: HashMap<&'static str, Vec<&'static Operator>> = HashMap::new();
    for o in &operators {
        operators_by_name.entry(o.name).or_default().push(o);
    }
    let casts = build_casts(&by_id);
    let casts_by_pair = casts.iter().enumerate().map(|(i, c)| ((c.source, c.target), i)).collect();
    let comparisons = build_comparisons(&functions);
    Tables { functions, by_id, by_name, operators, operators_by_name, casts, casts_by_pair, comparisons }
}

/// pg_cast rows whose function we have. Rows that PostgreSQL calls binary coercible but that change the Arrow class
/// (int4 <-> oid, reg*) get our own function.
fn build_casts(by_id: &HashMap<u32, &'static Function>) -> Vec<Cast> {
    let mut casts = Vec::new();
    for &(source, target, func, context) in CASTS {
        let (source, target) = (Oid(source), Oid(target));
        let same_class =
            heddle_types::arrow::data_type(PgType::new(source)) == heddle_types::arrow::data_type(PgType::new(target));
        let func = match func {
            0 if target == oid::BPCHAR => Some(FuncId(own::TEXT_TO_BPCHAR)),
            0 if same_class => None,
            0 if source == oid::INT4 => Some(FuncId(own::INT4_TO_OID)),
            0 if target == oid::INT4 => Some(FuncId(own::OID_TO_INT4)),
            1 => Some(FuncId(IO_CAST)),
            INT4_OF_INT2 if target != oid::INT4 => Some(FuncId(own::INT2_TO_OID)),
            f if by_id.contains_key(&f) => Some(FuncId(f)),
            _ => continue,
        };
        let context = match context {
            'i' => CastContext::Implicit,
            'a' => CastContext::Assignment,
            _ => CastContext::Explicit,
        };
        casts.push(Cast { source, target, context, func });
    }
    casts
}

/// Same-type comparisons by type; types without their own borrow those of the type they are binary coercible to.
fn build_comparisons(functions: &[&'static Function]) -> HashMap<(Oid, Comparison), FuncId> {
    let mut out = HashMap::new();
    for f in functions {
        if let (Kind::Compare(cmp, _), [l, r]) = (f.kind, f.args)
            && l == r
        {
            out.entry((*l, cmp)).or_insert(f.id);
        }
    }
    let borrowed = [
        (oid::VARCHAR, oid::TEXT),
        (oid::REGCLASS, oid::OID),
        (oid::REGTYPE, oid::OID),
        (oid::REGPROC, oid::OID),
        (oid::REGNAMESPACE, oid::OID),
        (oid::REGROLE, oid::OID),
    ];
    use Comparison::*;
    // Rows are compared by their text: enough for equality, not for an order.
    for cmp in [Eq, Ne] {
        if let Some(&f) = out.get(&(oid::TEXT, cmp)) {
            out.insert((oid::RECORD, cmp), f);
        }
    }
    for cmp in [Eq, Ne, Lt, Le, Gt, Ge] {
        for (ty, from) in borrowed {
            if let Some(&f) = out.get(&(from, cmp)) {
                out.insert((ty, cmp), f);
            }
        }
        if let Some(&f) = out.get(&(oid::ANYARRAY, cmp)) {
            for t in heddle_types::TypeInfo::all().filter(|t| t.elem.0 != 0) {
                let elem_ordered = out.contains_key(&(t.elem, cmp));
                if elem_ordered {
                    out.entry((t.oid, cmp)).or_insert(f);
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_build_and_have_the_basics() {
        assert!(TABLES.by_id.contains_key(&177), "int4pl");
        assert!(by_name("int4pl").len() == 1);
        assert!(operators("+").len() > 10);
        assert!(comparison(oid::INT4, Comparison::Eq).is_some());
        assert!(comparison(oid::JSON, Comparison::Eq).is_none());
        assert!(cast(oid::INT4, oid::INT8).is_some());
    }
}
