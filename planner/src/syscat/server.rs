//! What the server itself is: roles, settings, access methods, languages, tablespaces, collations; its sessions, and what they have.

use super::{oids, row, text};
use crate::advisory::AdvisoryKey;
use crate::context::{Backend, EvalContext, OpenCursor, PreparedStatement};
use heddle_catalog::{BOOTSTRAP_ROLE, PG_CATALOG};
use heddle_types::{Datum, Oid, Result, oid};

const OWNER: Datum = Datum::Oid(BOOTSTRAP_ROLE.0);

/// Until roles exist there is one: whoever is connected, a superuser.
pub(super) fn pg_roles(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    Ok(vec![role("pg_roles", cx, &[("rolpassword", text("********"))])])
}

pub(super) fn pg_authid(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    Ok(vec![role("pg_authid", cx, &[])])
}

fn role(table: &str, cx: &EvalContext, more: &[(&str, Datum)]) -> Vec<Datum> {
    let yes = Datum::Bool(true);
    let mut values = vec![
        ("oid", OWNER),
        ("rolname", text(&cx.session.user)),
        ("rolsuper", yes.clone()),
        ("rolinherit", yes.clone()),
        ("rolcreaterole", yes.clone()),
        ("rolcreatedb", yes.clone()),
        ("rolcanlogin", yes.clone()),
        ("rolreplication", yes.clone()),
        ("rolbypassrls", yes),
        ("rolconnlimit", Datum::Int4(-1)),
    ];
    values.extend(more.iter().cloned());
    row(table, &values)
}

pub(super) fn pg_user(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let yes = Datum::Bool(true);
    Ok(vec![row(
        "pg_user",
        &[
            ("usename", text(&cx.session.user)),
            ("usesysid", OWNER),
            ("usecreatedb", yes.clone()),
            ("usesuper", yes.clone()),
            ("userepl", yes.clone()),
            ("usebypassrls", yes),
            ("passwd", text("********")),
        ],
    )])
}

pub(super) fn pg_am(_: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |(oid, name, kind): (u32, &str, &str)| {
        row("pg_am", &[("oid", Datum::Oid(oid)), ("amname", text(name)), ("amtype", text(kind))])
    };
    Ok([(2, "heap", "t"), (403, "btree", "i")].map(one).into())
}

pub(super) fn pg_language(_: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one =
        |(oid, name)| row("pg_language", &[("oid", Datum::Oid(oid)), ("lanname", text(name)), ("lanowner", OWNER)]);
    Ok([(12, "internal")].map(one).into())
}

pub(super) fn pg_tablespace(_: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one =
        |(oid, name)| row("pg_tablespace", &[("oid", Datum::Oid(oid)), ("spcname", text(name)), ("spcowner", OWNER)]);
    Ok([(1663, "pg_default"), (1664, "pg_global")].map(one).into())
}

pub(super) fn pg_collation(_: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |(oid, name, provider, collate): (u32, &str, &str, Datum)| {
        row(
            "pg_collation",
            &[
                ("oid", Datum::Oid(oid)),
                ("collname", text(name)),
                ("collnamespace", Datum::Oid(PG_CATALOG.0)),
                ("collowner", OWNER),
                ("collprovider", text(provider)),
                ("collisdeterministic", Datum::Bool(true)),
                ("collencoding", Datum::Int4(-1)),
                ("collcollate", collate.clone()),
                ("collctype", collate),
            ],
        )
    };
    Ok([(100, "default", "d", Datum::Null), (950, "C", "c", text("C")), (951, "POSIX", "c", text("POSIX"))]
        .map(one)
        .into())
}

pub(super) fn pg_settings(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |(name, value, description): (String, String, String)| {
        row(
            "pg_settings",
            &[
                ("name", text(name)),
                ("setting", text(&value)),
                ("category", text("HeddleDB")),
                ("short_desc", text(description)),
                ("context", text("user")),
                ("vartype", text("string")),
                ("source", text("default")),
                ("boot_val", text(&value)),
                ("reset_val", text(&value)),
                ("sourceline", Datum::Null),
            ],
        )
    };
    Ok((cx.session.settings)().into_iter().map(one).collect())
}

/// Advisory locks, held and awaited; those of rows and relations are not shown.
pub(super) fn pg_locks(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let locks = &cx.session.advisory;
    let held = locks.held().into_iter().map(|(database, key, h)| advisory_lock(database, key, (h.pid, h.shared), None));
    let awaited = locks.waits().into_iter();
    let awaited = awaited.map(|(w, _)| advisory_lock(w.database, w.key, (w.pid, w.shared), Some(w.since_us)));
    Ok(held.chain(awaited).collect())
}

/// `waits_us`: since when; None when it is held.
fn advisory_lock(database: Oid, key: AdvisoryKey, (pid, shared): (i32, bool), waits_us: Option<i64>) -> Vec<Datum> {
    let (class, object, sub) = match key {
        AdvisoryKey::One(n) => ((n as u64 >> 32) as u32, n as u32, 1),
        AdvisoryKey::Two(a, b) => (a as u32, b as u32, 2),
    };
    row(
        "pg_locks",
        &[
            ("locktype", text("advisory")),
            ("database", Datum::Oid(database.0)),
            ("relation", Datum::Null),
            ("page", Datum::Null),
            ("tuple", Datum::Null),
            ("transactionid", Datum::Null),
            ("classid", Datum::Oid(class)),
            ("objid", Datum::Oid(object)),
            ("objsubid", Datum::Int2(sub)),
            ("pid", Datum::Int4(pid)),
            ("mode", text(if shared { "ShareLock" } else { "ExclusiveLock" })),
            ("granted", Datum::Bool(waits_us.is_none())),
            ("waitstart", waits_us.map_or(Datum::Null, Datum::Timestamp)),
        ],
    )
}

/// The sessions. PostgreSQL has rows for its helpers, too; ours are threads.
pub(super) fn pg_stat_activity(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let time = |us: Option<i64>| us.map_or(Datum::Null, Datum::Timestamp);
    let one = |backend: Backend| {
        let (wait_type, wait) = backend.wait.map_or((Datum::Null, Datum::Null), |(ty, event)| (text(ty), text(event)));
        let (address, port) = match backend.client {
            Some(client) => (text(client.ip().to_string()), client.port().into()),
            None => (Datum::Null, -1),
        };
        row(
            "pg_stat_activity",
            &[
                ("datid", Datum::Oid(backend.database.0.0)),
                ("datname", text(&backend.database.1)),
                ("pid", Datum::Int4(backend.pid)),
                ("leader_pid", Datum::Null),
                ("usesysid", OWNER),
                ("usename", text(&backend.user)),
                ("application_name", text(&backend.application)),
                ("client_addr", address),
                ("client_port", Datum::Int4(port)),
                ("backend_start", time(Some(backend.started_us))),
                ("xact_start", time(backend.transaction_us)),
                ("query_start", time(backend.query_us)),
                ("state_change", time(Some(backend.changed_us))),
                ("wait_event_type", wait_type),
                ("wait_event", wait),
                ("state", text(backend.state)),
                ("backend_xid", Datum::Null),
                ("backend_xmin", Datum::Null),
                ("query_id", Datum::Null),
                ("query", text(&backend.query)),
                ("backend_type", text("client backend")),
            ],
        )
    };
    Ok(cx.session.backends.list().into_iter().map(one).collect())
}

/// The prepared statements with a name.
pub(super) fn pg_prepared_statements(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |statement: &PreparedStatement| {
        row(
            "pg_prepared_statements",
            &[
                ("name", text(&statement.name)),
                ("statement", text(&statement.text)),
                ("prepare_time", Datum::Timestamp(statement.prepared_us)),
                ("parameter_types", oids(oid::REGTYPE, statement.parameters.iter().copied())),
                ("from_sql", Datum::Bool(statement.from_sql)),
                ("generic_plans", Datum::Int8(statement.uses)),
                ("custom_plans", Datum::Int8(0)),
            ],
        )
    };
    Ok(cx.inventory.iter().flat_map(|inventory| &inventory.statements).map(one).collect())
}

/// The cursors and the portals of the extended protocol.
pub(super) fn pg_cursors(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |cursor: &OpenCursor| {
        row(
            "pg_cursors",
            &[
                ("name", text(&cursor.name)),
                ("statement", text(&cursor.text)),
                ("is_holdable", Datum::Bool(cursor.hold)),
                ("is_binary", Datum::Bool(cursor.binary)),
                ("is_scrollable", Datum::Bool(cursor.scroll)),
                ("creation_time", Datum::Timestamp(cursor.made_us)),
            ],
        )
    };
    Ok(cx.inventory.iter().flat_map(|inventory| &inventory.cursors).map(one).collect())
}
