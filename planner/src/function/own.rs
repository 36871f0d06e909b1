//! Rows of ours where PostgreSQL has none: conversions that change the Arrow class, special forms, session facts whose
//! PostgreSQL types we lack. OIDs above 9000, below [`heddle_types::Oid::FIRST_USER`].

use super::Volatility::{self, *};
use super::table::Proc;
use heddle_types::{Oid, oid};

/// int4 -> oid, reg*
pub(super) const INT4_TO_OID: u32 = 9003;
/// oid, reg* -> int4
pub(super) const OID_TO_INT4: u32 = 9004;
/// int2 -> oid, reg*
pub(super) const INT2_TO_OID: u32 = 9005;
/// text, varchar -> bpchar (trailing blanks go)
pub(super) const TEXT_TO_BPCHAR: u32 = 9006;

/// A sequence's last_value
pub(crate) const SEQUENCE_LAST: super::FuncId = super::FuncId(9014);
/// A sequence's is_called
pub(crate) const SEQUENCE_CALLED: super::FuncId = super::FuncId(9015);

const fn row(
    sig: &'static str,
    id: u32,
    name: &'static str,
    args: &'static [Oid],
    ret: Oid,
    strict: bool,
    volatility: Volatility,
) -> Proc {
    Proc { sig, id, name, args, variadic: Oid(0), defaults: &[], arg_names: &[], ret, strict, volatility }
}

const fn variadic(mut p: Proc, elem: Oid) -> Proc {
    p.variadic = elem;
    p
}

/// Our rows.
pub(super) static PROCS: &[Proc] = &[
    row("heddle_io_cast(any)", 9001, "heddle_io_cast", &[oid::ANY], oid::ANYELEMENT, true, Stable),
    row(
        "heddle_length_cast(any,int4,bool)",
        9002,
        "heddle_length_cast",
        &[oid::ANYELEMENT, oid::INT4, oid::BOOL],
        oid::ANYELEMENT,
        true,
        Immutable,
    ),
    row("heddle_int4_to_oid(int4)", INT4_TO_OID, "heddle_int4_to_oid", &[oid::INT4], oid::OID, true, Immutable),
    row("heddle_oid_to_int4(oid)", OID_TO_INT4, "heddle_oid_to_int4", &[oid::OID], oid::INT4, true, Immutable),
    row("heddle_int2_to_oid(int2)", INT2_TO_OID, "heddle_int2_to_oid", &[oid::INT2], oid::OID, true, Immutable),
    row(
        "heddle_text_to_bpchar(text)",
        TEXT_TO_BPCHAR,
        "heddle_text_to_bpchar",
        &[oid::TEXT],
        oid::BPCHAR,
        true,
        Immutable,
    ),
    variadic(
        row(
            "greatest(anycompatiblearray)",
            9010,
            "greatest",
            &[oid::ANYCOMPATIBLEARRAY],
            oid::ANYCOMPATIBLE,
            false,
            Immutable,
        ),
        oid::ANYCOMPATIBLE,
    ),
    variadic(
        row(
            "least(anycompatiblearray)",
            9011,
            "least",
            &[oid::ANYCOMPATIBLEARRAY],
            oid::ANYCOMPATIBLE,
            false,
            Immutable,
        ),
        oid::ANYCOMPATIBLE,
    ),
    variadic(
        row(
            "heddle_array_get(anyarray,_int4)",
            9012,
            "heddle_array_get",
            &[oid::ANYARRAY, oid::INT4_ARRAY],
            oid::ANYELEMENT,
            true,
            Immutable,
        ),
        oid::INT4,
    ),
    variadic(
        row(
            "heddle_array_slice(anyarray,_int4)",
            9013,
            "heddle_array_slice",
            &[oid::ANYARRAY, oid::INT4_ARRAY],
            oid::ANYARRAY,
            true,
            Immutable,
        ),
        oid::INT4,
    ),
    row("heddle_sequence_last(oid)", SEQUENCE_LAST.0, "heddle_sequence_last", &[oid::OID], oid::INT8, true, Volatile),
    row(
        "heddle_sequence_called(oid)",
        SEQUENCE_CALLED.0,
        "heddle_sequence_called",
        &[oid::OID],
        oid::BOOL,
        true,
        Volatile,
    ),
    row("inet_server_addr()", 9020, "inet_server_addr", &[], oid::TEXT, false, Stable),
    row("inet_client_addr()", 9021, "inet_client_addr", &[], oid::TEXT, false, Stable),
    row("user()", 9022, "user", &[], oid::NAME, true, Stable),
    row("current_role()", 9023, "current_role", &[], oid::NAME, true, Stable),
    row("current_catalog()", 9024, "current_catalog", &[], oid::NAME, true, Stable),
    row("current_timestamp()", 9025, "current_timestamp", &[], oid::TIMESTAMPTZ, true, Stable),
    row("localtimestamp()", 9026, "localtimestamp", &[], oid::TIMESTAMP, true, Stable),
    row("current_date()", 9027, "current_date", &[], oid::DATE, true, Stable),
    row("localtime()", 9028, "localtime", &[], oid::TIME, true, Stable),
    row("current_timestamp(int4)", 9029, "current_timestamp", &[oid::INT4], oid::TIMESTAMPTZ, true, Stable),
    row("localtimestamp(int4)", 9030, "localtimestamp", &[oid::INT4], oid::TIMESTAMP, true, Stable),
    row("localtime(int4)", 9031, "localtime", &[oid::INT4], oid::TIME, true, Stable),
    row(
        "time_bucket(interval,timestamptz)",
        9100,
        "time_bucket",
        &[oid::INTERVAL, oid::TIMESTAMPTZ],
        oid::TIMESTAMPTZ,
        true,
        Immutable,
    ),
    row(
        "time_bucket(interval,timestamp)",
        9101,
        "time_bucket",
        &[oid::INTERVAL, oid::TIMESTAMP],
        oid::TIMESTAMP,
        true,
        Immutable,
    ),
    row(
        "time_bucket(interval,timestamptz,timestamptz)",
        9102,
        "time_bucket",
        &[oid::INTERVAL, oid::TIMESTAMPTZ, oid::TIMESTAMPTZ],
        oid::TIMESTAMPTZ,
        true,
        Immutable,
    ),
    row(
        "time_bucket(interval,timestamp,timestamp)",
        9103,
        "time_bucket",
        &[oid::INTERVAL, oid::TIMESTAMP, oid::TIMESTAMP],
        oid::TIMESTAMP,
        true,
        Immutable,
    ),
    row("time_bucket(interval,date)", 9104, "time_bucket", &[oid::INTERVAL, oid::DATE], oid::DATE, true, Immutable),
    row(
        "time_bucket(timestamptz,text)",
        9105,
        "time_bucket",
        &[oid::TIMESTAMPTZ, oid::TEXT],
        oid::TIMESTAMPTZ,
        true,
        Stable,
    ),
    row(
        "time_bucket(timestamp,text)",
        9106,
        "time_bucket",
        &[oid::TIMESTAMP, oid::TEXT],
        oid::TIMESTAMP,
        true,
        Immutable,
    ),
    row(
        "first(anyelement,timestamptz)",
        9107,
        "first",
        &[oid::ANYELEMENT, oid::TIMESTAMPTZ],
        oid::ANYELEMENT,
        false,
        Immutable,
    ),
    row(
        "first(anyelement,timestamp)",
        9108,
        "first",
        &[oid::ANYELEMENT, oid::TIMESTAMP],
        oid::ANYELEMENT,
        false,
        Immutable,
    ),
    row(
        "last(anyelement,timestamptz)",
        9109,
        "last",
        &[oid::ANYELEMENT, oid::TIMESTAMPTZ],
        oid::ANYELEMENT,
        false,
        Immutable,
    ),
    row(
        "last(anyelement,timestamp)",
        9110,
        "last",
        &[oid::ANYELEMENT, oid::TIMESTAMP],
        oid::ANYELEMENT,
        false,
        Immutable,
    ),
    row(
        "first_row(anyelement,timestamptz)",
        9111,
        "first_row",
        &[oid::ANYELEMENT, oid::TIMESTAMPTZ],
        oid::ANYELEMENT,
        false,
        Immutable,
    ),
    row(
        "first_row(anyelement,timestamp)",
        9112,
        "first_row",
        &[oid::ANYELEMENT, oid::TIMESTAMP],
        oid::ANYELEMENT,
        false,
        Immutable,
    ),
    row(
        "last_row(anyelement,timestamptz)",
        9113,
        "last_row",
        &[oid::ANYELEMENT, oid::TIMESTAMPTZ],
        oid::ANYELEMENT,
        false,
        Immutable,
    ),
    row(
        "last_row(anyelement,timestamp)",
        9114,
        "last_row",
        &[oid::ANYELEMENT, oid::TIMESTAMP],
        oid::ANYELEMENT,
        false,
        Immutable,
    ),
    row(
        "firstts(anyelement,timestamptz)",
        9115,
        "firstts",
        &[oid::ANYELEMENT, oid::TIMESTAMPTZ],
        oid::TIMESTAMPTZ,
        false,
        Immutable,
    ),
    row(
        "firstts(anyelement,timestamp)",
        9116,
        "firstts",
        &[oid::ANYELEMENT, oid::TIMESTAMP],
        oid::TIMESTAMP,
        false,
        Immutable,
    ),
    row(
        "lastts(anyelement,timestamptz)",
        9117,
        "lastts",
        &[oid::ANYELEMENT, oid::TIMESTAMPTZ],
        oid::TIMESTAMPTZ,
        false,
        Immutable,
    ),
    row(
        "lastts(anyelement,timestamp)",
        9118,
        "lastts",
        &[oid::ANYELEMENT, oid::TIMESTAMP],
        oid::TIMESTAMP,
        false,
        Immutable,
    ),
    row(
        "first_row_ts(anyelement,timestamptz)",
        9119,
        "first_row_ts",
        &[oid::ANYELEMENT, oid::TIMESTAMPTZ],
        oid::TIMESTAMPTZ,
        false,
        Immutable,
    ),
    row(
        "first_row_ts(anyelement,timestamp)",
        9120,
        "first_row_ts",
        &[oid::ANYELEMENT, oid::TIMESTAMP],
        oid::TIMESTAMP,
        false,
        Immutable,
    ),
    row(
        "last_row_ts(anyelement,timestamptz)",
        9121,
        "last_row_ts",
        &[oid::ANYELEMENT, oid::TIMESTAMPTZ],
        oid::TIMESTAMPTZ,
        false,
        Immutable,
    ),
    row(
        "last_row_ts(anyelement,timestamp)",
        9122,
        "last_row_ts",
        &[oid::ANYELEMENT, oid::TIMESTAMP],
        oid::TIMESTAMP,
        false,
        Immutable,
    ),
];
