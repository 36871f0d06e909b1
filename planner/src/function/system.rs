//! Session and system information, clocks, randomness.

use super::kernel::{Date, Time, Ts, Uuid, k, kn, nulls};
use super::wait::{FOREVER, wait_until};
use super::{CallTypes, Registry, dt, reg};
use crate::context::EvalContext;
use crate::syscat::depends::comment_on;
use arrow::array::{ArrayRef, StringBuilder};
use heddle_types::datetime::DAY_US;
use heddle_types::{Datum, Error, Oid, PgArray, PgType, Result, SqlState, oid};
use std::sync::Arc;

/// version()
const VERSION: &str = "PostgreSQL 15.18 (HeddleDB 0.1.0) on x86_64-pc-linux-gnu, 64-bit";

fn null(_: &EvalContext, ty: &CallTypes<'_>, _: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    Ok(nulls(ty.ret, n))
}

fn pg_typeof(_: &EvalContext, ty: &CallTypes<'_>, _: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    heddle_types::arrow::repeat(&Datum::Oid(ty.args[0].oid.0), PgType::new(oid::REGTYPE), n)
}

fn format_type(type_oid: Option<u32>, typmod: Option<i32>) -> Option<String> {
    let o = type_oid?;
    if o == 0 {
        return Some("-".to_owned());
    }
    if heddle_types::TypeInfo::by_oid(heddle_types::Oid(o)).is_none() {
        return Some("???".to_owned());
    }
    Some(PgType::with_typmod(heddle_types::Oid(o), typmod.unwrap_or(-1)).sql_name())
}

fn setting(cx: &EvalContext, name: &str, missing_ok: bool) -> Result<Option<String>> {
    match (cx.session.setting)(name) {
        None if !missing_ok => {
            Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\"")))
        }
        found => Ok(found),
    }
}

fn names(v: Vec<String>) -> PgArray {
    PgArray::from_vec(oid::NAME, v.into_iter().map(Datum::text).collect())
}

fn random(cx: &EvalContext) -> f64 {
    (cx.env.random.u64() >> 11) as f64 / (1u64 << 53) as f64
}

fn uuid(cx: &EvalContext) -> Uuid {
    let mut b = [0; 16];
    cx.env.random.fill(&mut b);
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    Uuid(b)
}

fn sleep(cx: &EvalContext, seconds: f64) -> Result<()> {
    if seconds.is_nan() || seconds <= 0.0 {
        return Ok(());
    }
    // PostgreSQL sleeps for as long as a double can say; a longer time than the clock has is as good as forever.
    let time = std::time::Duration::try_from_secs_f64(seconds).unwrap_or(FOREVER);
    wait_until(cx, time, || false).map(|_| ())
}

fn pg_sleep(cx: &EvalContext, _: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    let col = super::kernel::cast_array::<arrow::array::Float64Array>(&args[0])?;
    let mut out = StringBuilder::new();
    for v in col.iter().take(n) {
        match v {
            Some(s) => {
                sleep(cx, s)?;
                out.append_value("");
            }
            None => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

/// The number of an encoding; -1 for what PostgreSQL would not know either.
fn encoding(name: &str) -> i32 {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    match letters.to_ascii_lowercase().as_str() {
        "utf8" | "unicode" => 6,
        "sqlascii" => 0,
        _ => -1,
    }
}

fn local_now(cx: &EvalContext) -> Result<Ts> {
    dt::to_local(Ts(cx.text.datetime.now), &cx.text.datetime.zone)
}

/// What `to_reg…` answers: NULL where the cast would fail.
fn reg_or_null(name: &str, ty: heddle_types::Oid, cx: &EvalContext) -> Option<u32> {
    reg::parse(name, PgType::new(ty), cx).ok().and_then(|d| d.as_i64()).map(|o| o as u32)
}

/// `Sat Nov 28 02:13:56.123456 2026 UTC`, whatever DateStyle says.
fn time_of_day(cx: &EvalContext) -> String {
    let mut settings = cx.text.clone();
    settings.datetime.format = heddle_types::datetime::DateFormat::Postgres;
    heddle_types::text::to_string(&Datum::Timestamp(cx.env.clock.now_us()), PgType::new(oid::TIMESTAMPTZ), &settings)
}

/// OID of the schema of the session's temporary objects; 0 before there is one.
fn my_temporary_schema(cx: &EvalContext) -> u32 {
    cx.catalog.schema(cx.session.database_oid, &cx.session.temporary_schema()).map_or(0, |s| s.oid.0)
}

pub(super) fn register(r: &mut Registry) {
    session(r);
    clocks(r);
    catalog(r);
    r.scalar("random()", k!(cx, _ty; || -> f64 { Ok(random(cx)) }));
    r.scalar("gen_random_uuid()", k!(cx, _ty; || -> Uuid { Ok(uuid(cx)) }));
    r.waiting("pg_sleep(float8)", pg_sleep);
    r.scalar("pg_typeof(any)", pg_typeof);
}

fn session(r: &mut Registry) {
    r.scalar("version()", k!(|| -> String = VERSION.to_owned()));
    r.scalars(
        &["current_database()", "current_catalog()"],
        k!(cx, _ty; || -> String { Ok(cx.session.database.clone()) }),
    );
    r.scalars(
        &["current_user()", "user()", "current_role()"],
        k!(cx, _ty; || -> String { Ok(cx.session.user.clone()) }),
    );
    r.scalar("session_user()", k!(cx, _ty; || -> String { Ok(cx.session.session_user.clone()) }));
    r.scalar("current_schema()", k!(cx, _ty; || -> Option<String> { Ok(reg::schemas(cx, false).into_iter().next()) }));
    r.scalar(
        "current_schemas(bool)",
        k!(cx, _ty; |implicit: bool| -> PgArray { Ok(names(reg::schemas(cx, implicit))) }),
    );
    r.scalar("current_setting(text)", k!(cx, _ty; |n: &str| -> Option<String> { setting(cx, n, false) }));
    r.scalar("current_setting(text,bool)", k!(cx, _ty; |n: &str, ok: bool| -> Option<String> { setting(cx, n, ok) }));
    r.scalar(
        "set_config(text,text,bool)",
        kn!(cx, _ty; |n: Option<&str>, v: Option<&str>, local: Option<bool>| -> Option<String> {
            let n = n.ok_or_else(|| Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "SET requires parameter name"))?;
            (cx.session.set_setting)(n, v.unwrap_or(""), local.unwrap_or(false)).map(Some)
        }),
    );
    r.scalar("pg_backend_pid()", k!(cx, _ty; || -> i32 { Ok(cx.session.pid) }));
    r.scalars(&["txid_current()"], k!(cx, _ty; || -> i64 { Ok(cx.txn.as_ref().map_or(0, |t| t.id().0 as i64)) }));
    r.scalars(&["inet_server_addr()", "inet_client_addr()"], null);
    r.scalars(&["inet_server_port()", "inet_client_port()"], null);
    r.scalar("pg_my_temp_schema()", k!(cx, _ty; || -> u32 { Ok(my_temporary_schema(cx)) }));
    r.scalar(
        "pg_is_other_temp_schema(oid)",
        k!(cx, _ty; |o: u32| -> bool {
            Ok(cx.catalog.is_temporary(Oid(o)) && my_temporary_schema(cx) != o)
        }),
    );
    r.scalar("pg_is_in_recovery()", k!(|| -> bool = false));
    r.scalar(
        "pg_encoding_to_char(int4)",
        k!(|e: i32| -> String = match e { 6 => "UTF8", 0 => "SQL_ASCII", _ => "" }.to_owned()),
    );
    r.scalar("getdatabaseencoding()", k!(|| -> String = "UTF8".to_owned()));
    r.scalar("pg_char_to_encoding(name)", k!(|name: &str| -> i32 = encoding(name)));
    r.scalar("pg_client_encoding()", k!(|| -> String = "UTF8".to_owned()));
}

fn clocks(r: &mut Registry) {
    r.scalars(
        &["now()", "transaction_timestamp()", "current_timestamp()"],
        k!(cx, _ty; || -> Ts { Ok(Ts(cx.text.datetime.now)) }),
    );
    r.scalar("timeofday()", k!(cx, _ty; || -> String { Ok(time_of_day(cx)) }));
    r.scalar("statement_timestamp()", k!(cx, _ty; || -> Ts { Ok(Ts(cx.statement_us)) }));
    r.scalar("clock_timestamp()", k!(cx, _ty; || -> Ts { Ok(Ts(cx.env.clock.now_us())) }));
    r.scalar("localtimestamp()", k!(cx, _ty; || -> Ts { local_now(cx) }));
    r.scalar("current_date()", k!(cx, _ty; || -> Date { Ok(dt::ts_to_date(local_now(cx)?)) }));
    r.scalar("localtime()", k!(cx, _ty; || -> Time { Ok(Time(local_now(cx)?.0.rem_euclid(DAY_US))) }));
    r.scalar(
        "current_timestamp(int4)",
        k!(cx, _ty; |p: i32| -> Ts {
            heddle_types::datetime::round_timestamp(cx.text.datetime.now, p.clamp(0, 6)).map(Ts)
        }),
    );
    r.scalar(
        "localtimestamp(int4)",
        k!(cx, _ty; |p: i32| -> Ts {
            heddle_types::datetime::round_timestamp(local_now(cx)?.0, p.clamp(0, 6)).map(Ts)
        }),
    );
    r.scalar(
        "localtime(int4)",
        k!(cx, _ty; |p: i32| -> Time {
            Ok(Time(heddle_types::datetime::round_time(local_now(cx)?.0.rem_euclid(DAY_US), p.clamp(0, 6))))
        }),
    );
}

fn catalog(r: &mut Registry) {
    r.scalar(
        "format_type(oid,int4)",
        kn!(|o: Option<u32>, m: Option<i32>| -> Option<String> { Ok(format_type(o, m)) }),
    );
    r.scalar(
        "pg_get_userbyid(oid)",
        k!(cx, _ty; |o: u32| -> String {
            Ok(if o == 10 { cx.session.user.clone() } else { format!("unknown (OID={o})") })
        }),
    );
    r.scalar(
        "pg_relation_is_publishable(regclass)",
        k!(cx, _ty; |o: u32| -> Option<bool> {
            let user_table = cx.catalog.table(heddle_types::Oid(o)).is_some();
            Ok((user_table || reg::class_parts(o, cx).is_some()).then_some(user_table))
        }),
    );
    r.scalar("pg_tablespace_location(oid)", k!(|o: u32| -> String = String::new()));
    // Nothing is a partition, so nothing has ancestors.
    r.set("pg_partition_ancestors(regclass)", |_, _, _, _| Ok(()), &[]);
    r.scalar("to_regclass(text)", k!(cx, _ty; |n: &str| -> Option<u32> { reg::find_relation(n, cx) }));
    r.scalar("to_regproc(text)", k!(cx, _ty; |n: &str| -> Option<u32> { Ok(reg_or_null(n, oid::REGPROC, cx)) }));
    r.scalar("to_regrole(text)", k!(cx, _ty; |n: &str| -> Option<u32> { Ok(reg_or_null(n, oid::REGROLE, cx)) }));
    r.scalar("to_regtype(text)", k!(|n: &str| -> Option<u32> { Ok(reg::type_oid(n)) }));
    r.scalar("to_regnamespace(text)", k!(cx, _ty; |n: &str| -> Option<u32> { Ok(reg::schema(n, cx)) }));
    r.scalars(
        &["obj_description(oid,name)", "shobj_description(oid,name)"],
        k!(cx, _ty; |o: u32, class: &str| -> Option<String> { comment_on(cx, o, Some(class), 0) }),
    );
    r.scalar("obj_description(oid)", k!(cx, _ty; |o: u32| -> Option<String> { comment_on(cx, o, None, 0) }));
    r.scalar(
        "col_description(oid,int4)",
        k!(cx, _ty; |o: u32, n: i32| -> Option<String> { comment_on(cx, o, Some("pg_class"), n) }),
    );
}
