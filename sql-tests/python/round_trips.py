"""psycopg 3 round trips of every type, text and binary; called by tests/types.rs with the port as its argument."""

import sys
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import psycopg
from psycopg.types.json import Json, Jsonb

VALUES = [
    ("bool", True), ("bool", False), ("int2", -32768), ("int4", 2147483647), ("int8", -9223372036854775808),
    ("float4", 1.5), ("float8", 0.1), ("float8", float("inf")), ("float8", 1e300),
    ("numeric", Decimal("12345678901234567890.000012345")), ("numeric", Decimal("-0.5")), ("numeric", Decimal("0")),
    ("numeric", Decimal("1E+5")), ("text", "zoë € 😀 'quoted' \\ back"), ("text", ""), ("varchar(10)", "ten"),
    ("char(5)", "ab   "), ("bytea", b"\x00\x01\xff'\\"), ("bytea", b""),
    ("date", date(2024, 2, 29)), ("date", date(1, 1, 1)), ("time", time(23, 59, 59, 999999)),
    ("timestamp", datetime(1999, 12, 31, 23, 59, 59, 123456)),
    ("timestamptz", datetime(2024, 7, 1, 12, 0, tzinfo=timezone.utc)),
    ("interval", timedelta(days=3, hours=4, microseconds=5)), ("interval", timedelta(days=-1, seconds=1)),
    ("uuid", uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")), ("oid", 4294967295), ("name", "a_name"),
    ('"char"', "c"),
    ("int2[]", [1, 2, None]), ("int4[]", []), ("int4[]", [[1, 2], [3, 4]]), ("int8[]", [9223372036854775807]),
    ("float8[]", [0.5, None]), ("text[]", ["a", "", "NULL", 'q"uo\\te', "{}", ",", None]), ("bool[]", [True, False]),
    ("numeric[]", [Decimal("1.50"), Decimal("-2")]), ("date[]", [date(2024, 1, 1)]),
    ("timestamptz[]", [datetime(2024, 1, 1, tzinfo=timezone.utc)]), ("uuid[]", [uuid.UUID(int=7)]), ("bytea[]", [b"\x00", b"x"]),
]


def copy_binary(conn, table, sql_type, value):
    """COPY in binary format, there and back."""
    declared = sql_type.removesuffix("(10)")
    conn.execute(f"DELETE FROM {table}")
    with conn.cursor() as cur:
        try:
            with cur.copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
                copy.set_types(["int4", declared])
                for row in [(1, value), (2, None)]:
                    copy.write_row(row)
            with cur.copy(f"COPY (SELECT * FROM {table} ORDER BY k) TO STDOUT (FORMAT binary)") as copy:
                copy.set_types(["int4", declared])
                got = list(copy.rows())
        except psycopg.Error as e:
            return [f"binary COPY of {sql_type} {value!r}: {type(e).__name__} {e.sqlstate} {e}"]
    return [] if got == [(1, value), (2, None)] else [f"binary COPY of {sql_type}: sent {value!r}, got {got!r}"]


def main(port):
    wrong = []
    with psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres", autocommit=True) as conn:
        conn.execute("SET TimeZone = 'UTC'")
        for i, (sql_type, value) in enumerate(VALUES):
            conn.execute(f"CREATE TABLE py{i} (k int PRIMARY KEY, v {sql_type})")
            for binary in (False, True):
                place = "%b" if binary and sql_type not in ("json", "jsonb") else "%t"
                with conn.cursor(binary=binary) as cur:
                    try:
                        cur.execute(f"DELETE FROM py{i}")
                        cur.execute(f"INSERT INTO py{i} VALUES (1, {place}::{sql_type}), (2, NULL)", (value,))
                        got = cur.execute(f"SELECT v FROM py{i} ORDER BY k").fetchall()
                        if got != [(value,), (None,)]:
                            wrong.append(f"{sql_type} binary={binary}: sent {value!r}, got {got!r}")
                    except psycopg.Error as e:
                        wrong.append(f"{sql_type} binary={binary} {value!r}: {type(e).__name__} {e.sqlstate} {e}")
        for sql_type, wrap in (("json", Json), ("jsonb", Jsonb)):
            doc = {"a": [1, 2.5, None, True], "b": {"c": "é"}}
            got = conn.execute(f"SELECT %s::{sql_type}", (wrap(doc),)).fetchone()
            if got != (doc,):
                wrong.append(f"{sql_type}: {got!r}")
        # Server-side cursor, pipeline, executemany, COPY.
        with conn.transaction(), conn.cursor(name="cur") as cur:
            cur.execute("SELECT generate_series(1, 1000)")
            if sum(r[0] for r in cur) != 500500:
                wrong.append("server-side cursor")
        conn.execute("CREATE TABLE many (a int PRIMARY KEY, b text)")
        with conn.cursor() as cur:
            cur.executemany("INSERT INTO many VALUES (%s, %s)", [(i, str(i)) for i in range(100)])
            with cur.copy("COPY many FROM STDIN") as copy:
                for i in range(100, 200):
                    copy.write_row((i, "copied\t" + str(i)))
            with cur.copy("COPY (SELECT b FROM many WHERE a = 150) TO STDOUT") as copy:
                copy.set_types(["text"])
                rows = list(copy.rows())
            if rows != [("copied\t150",)]:
                wrong.append(f"copy: {rows!r}")
        for i, (sql_type, value) in enumerate(VALUES):
            # For these two psycopg has no binary form.
            if sql_type not in ("char(5)", '"char"'):
                wrong += copy_binary(conn, f"py{i}", sql_type, value)
        with conn.pipeline():
            cursors = [conn.execute("SELECT %s::int4 * 2", (i,)) for i in range(50)]
        if [c.fetchone()[0] for c in cursors] != [i * 2 for i in range(50)]:
            wrong.append("pipeline")
        try:
            conn.execute("INSERT INTO many VALUES (1, 'x')")
            wrong.append("no UniqueViolation")
        except psycopg.errors.UniqueViolation as e:
            if e.diag.constraint_name != "many_pkey":
                wrong.append(f"constraint_name {e.diag.constraint_name}")
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


main(int(sys.argv[1]))
