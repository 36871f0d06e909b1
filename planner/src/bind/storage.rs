//! Storage parameters: PostgreSQL's names and ranges, none of which changes anything here.

use heddle_types::{Error, Notice, Result, Severity, SqlState};
use sqlparser::ast;

/// What values a parameter takes.
enum Domain {
    Bool,
    Int(i64, i64),
    Real(f64, f64),
    Word(&'static [&'static str]),
}

use Domain::{Bool, Int, Real, Word};

/// Parameters of tables (heap relations).
const TABLE: &[(&str, Domain)] = &[
    ("fillfactor", Int(10, 100)),
    ("toast_tuple_target", Int(128, 8160)),
    ("parallel_workers", Int(0, 1024)),
    ("user_catalog_table", Bool),
    ("autovacuum_enabled", Bool),
    ("vacuum_index_cleanup", Word(&["auto", "on", "off", "true", "false", "yes", "no", "1", "0"])),
    ("vacuum_truncate", Bool),
    ("autovacuum_vacuum_threshold", Int(0, i32::MAX as i64)),
    ("autovacuum_vacuum_insert_threshold", Int(-1, i32::MAX as i64)),
    ("autovacuum_analyze_threshold", Int(0, i32::MAX as i64)),
    ("autovacuum_vacuum_cost_limit", Int(1, 10000)),
    ("autovacuum_freeze_min_age", Int(0, 1_000_000_000)),
    ("autovacuum_freeze_max_age", Int(100_000, 2_000_000_000)),
    ("autovacuum_freeze_table_age", Int(0, 2_000_000_000)),
    ("autovacuum_multixact_freeze_min_age", Int(0, 1_000_000_000)),
    ("autovacuum_multixact_freeze_max_age", Int(10_000, 2_000_000_000)),
    ("autovacuum_multixact_freeze_table_age", Int(0, 2_000_000_000)),
    ("log_autovacuum_min_duration", Int(-1, i32::MAX as i64)),
    ("autovacuum_vacuum_cost_delay", Real(0.0, 100.0)),
    ("autovacuum_vacuum_scale_factor", Real(0.0, 100.0)),
    ("autovacuum_vacuum_insert_scale_factor", Real(0.0, 100.0)),
    ("autovacuum_analyze_scale_factor", Real(0.0, 100.0)),
];
/// Parameters of btree indexes.
const INDEX: &[(&str, Domain)] = &[("fillfactor", Int(10, 100)), ("deduplicate_items", Bool)];

/// A parameter: name (with `namespace.` before it) and value.
pub(super) type Parameter = (String, Option<String>);

/// The parameters as sqlparser has them.
pub(super) fn parameters(options: &[ast::SqlOption]) -> Result<Vec<Parameter>> {
    let one = |o: &ast::SqlOption| match o {
        ast::SqlOption::Ident(i) => Ok((i.value.to_ascii_lowercase(), None)),
        ast::SqlOption::KeyValue { key, value } => {
            Ok((key.value.to_ascii_lowercase(), Some(value.to_string().trim_matches('\'').to_owned())))
        }
        other => Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{other}\""))),
    };
    options.iter().map(one).collect()
}

/// The parameters of an index as sqlparser has them: equations.
pub(super) fn index_parameters(with: &[ast::Expr]) -> Result<Vec<Parameter>> {
    let one = |e: &ast::Expr| match e {
        ast::Expr::Identifier(i) => Ok((i.value.to_ascii_lowercase(), None)),
        ast::Expr::BinaryOp { left, op: ast::BinaryOperator::Eq, right } => {
            Ok((left.to_string().to_ascii_lowercase(), Some(right.to_string().trim_matches('\'').to_owned())))
        }
        other => Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{other}\""))),
    };
    with.iter().map(one).collect()
}

/// A NOTICE without a code of its own.
pub(super) fn note(text: String) -> Notice {
    Error::notice(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, text)
}

/// Checks parameters of a table; what to tell the client.
///
/// # Errors
/// `22023` for names and values PostgreSQL refuses, `0A000` for OIDs.
pub(super) fn table_notices(parameters: &[Parameter]) -> Result<Vec<Notice>> {
    notices(parameters, TABLE)
}

/// Checks parameters of an index.
///
/// # Errors
/// `22023`
pub(super) fn index_notices(parameters: &[Parameter]) -> Result<Vec<Notice>> {
    notices(parameters, INDEX)
}

fn notices(parameters: &[Parameter], known: &[(&str, Domain)]) -> Result<Vec<Notice>> {
    let refuse = |text: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, text));
    let mut out = Vec::new();
    for (i, (full, value)) in parameters.iter().enumerate() {
        if full == "oids" {
            match value.as_deref().map(str::to_ascii_lowercase).as_deref() {
                Some("false" | "off" | "no" | "0") => continue,
                _ => {
                    return Err(Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "tables declared WITH OIDS are not supported",
                    ));
                }
            }
        }
        let (namespace, name) = match full.split_once('.') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, full.as_str()),
        };
        if let Some(namespace) = namespace.filter(|n| *n != "toast") {
            return refuse(format!("unrecognized parameter namespace \"{namespace}\""));
        }
        let Some((_, domain)) = known.iter().find(|(n, _)| *n == name) else {
            return refuse(format!("unrecognized parameter \"{name}\""));
        };
        if parameters[..i].iter().any(|(other, _)| other == full) {
            return refuse(format!("parameter \"{name}\" specified more than once"));
        }
        check(name, domain, value.as_deref().unwrap_or("true"))?;
        out.push(note(format!("storage parameter \"{full}\" has no effect")));
    }
    Ok(out)
}

fn check(name: &str, domain: &Domain, value: &str) -> Result<()> {
    let refuse = |text: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, text);
    let invalid = |kind: &str| Err(refuse(format!("invalid value for {kind} option \"{name}\": {value}")));
    let outside = |low: String, high: String| {
        Err(refuse(format!("value {value} out of bounds for option \"{name}\""))
            .detail(format!("Valid values are between \"{low}\" and \"{high}\".")))
    };
    let lower = value.to_ascii_lowercase();
    match domain {
        Bool => match lower.as_str() {
            "true" | "false" | "on" | "off" | "yes" | "no" | "1" | "0" | "t" | "f" => Ok(()),
            _ => invalid("boolean"),
        },
        Int(low, high) => match value.parse::<i64>() {
            Ok(n) if (*low..=*high).contains(&n) => Ok(()),
            Ok(_) => outside(low.to_string(), high.to_string()),
            Err(_) => invalid("integer"),
        },
        Real(low, high) => match value.parse::<f64>() {
            Ok(n) if (*low..=*high).contains(&n) => Ok(()),
            Ok(_) => outside(format!("{low:.6}"), format!("{high:.6}")),
            Err(_) => invalid("floating point"),
        },
        Word(words) if words.contains(&lower.as_str()) => Ok(()),
        Word(_) => invalid("enum"),
    }
}
