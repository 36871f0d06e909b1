//! PostgreSQL's types: one table, by OID. What pg_type shows, what the binder resolves and what the wire says come from it.

use crate::Oid;
use serde::{Deserialize, Serialize};

/// A type with its modifier (`varchar(3)` is varchar with typmod 7); -1 means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PgType {
    /// OID in pg_type.
    pub oid: Oid,
    /// atttypmod; -1 = unconstrained.
    pub typmod: i32,
}

/// Facts about a type, as pg_type has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeInfo {
    /// OID
    pub oid: Oid,
    /// typname (internal name: `int4`, `bpchar`)
    pub name: &'static str,
    /// What format_type prints without modifier (`integer`, `character`).
    pub sql_name: &'static str,
    /// typlen
    pub len: i16,
    /// OID of the array over this type, or 0.
    pub array: Oid,
    /// OID of the element if this is an array, else 0.
    pub elem: Oid,
    /// typcategory
    pub category: char,
    /// typispreferred
    pub preferred: bool,
}

macro_rules! types {
    ($($konst:ident $oid:literal $name:literal $sql:literal $len:literal $cat:literal $pref:literal $arr_konst:ident $arr:literal $arr_name:literal;)*) => {
        /// Type OIDs by name.
        pub mod oid {
            use crate::Oid;
            $(#[doc = $sql] pub const $konst: Oid = Oid($oid);
              #[doc = concat!($sql, "[]")] pub const $arr_konst: Oid = Oid($arr);)*
        }
        static TYPES: &[TypeInfo] = &[
            $(TypeInfo { oid: Oid($oid), name: $name, sql_name: $sql, len: $len, array: Oid($arr), elem: Oid(0), category: $cat, preferred: $pref },
              TypeInfo { oid: Oid($arr), name: $arr_name, sql_name: concat!($sql, "[]"), len: -1, array: Oid(0), elem: Oid($oid), category: if $arr == 0 { 'X' } else { 'A' }, preferred: false },)*
        ];
    };
}

types! {
    BOOL 16 "bool" "boolean" 1 'B' true BOOL_ARRAY 1000 "_bool";
    BYTEA 17 "bytea" "bytea" -1 'U' false BYTEA_ARRAY 1001 "_bytea";
    CHAR 18 "char" "\"char\"" 1 'Z' false CHAR_ARRAY 1002 "_char";
    NAME 19 "name" "name" 64 'S' false NAME_ARRAY 1003 "_name";
    INT8 20 "int8" "bigint" 8 'N' false INT8_ARRAY 1016 "_int8";
    INT2 21 "int2" "smallint" 2 'N' false INT2_ARRAY 1005 "_int2";
    INT2VECTOR 22 "int2vector" "int2vector" -1 'A' false INT2VECTOR_ARRAY 1006 "_int2vector";
    INT4 23 "int4" "integer" 4 'N' false INT4_ARRAY 1007 "_int4";
    REGPROC 24 "regproc" "regproc" 4 'N' false REGPROC_ARRAY 1008 "_regproc";
    TEXT 25 "text" "text" -1 'S' true TEXT_ARRAY 1009 "_text";
    OID 26 "oid" "oid" 4 'N' true OID_ARRAY 1028 "_oid";
    JSON 114 "json" "json" -1 'U' false JSON_ARRAY 199 "_json";
    FLOAT4 700 "float4" "real" 4 'N' false FLOAT4_ARRAY 1021 "_float4";
    FLOAT8 701 "float8" "double precision" 8 'N' true FLOAT8_ARRAY 1022 "_float8";
    UNKNOWN 705 "unknown" "unknown" -2 'X' false UNKNOWN_ARRAY 0 "";
    BPCHAR 1042 "bpchar" "character" -1 'S' false BPCHAR_ARRAY 1014 "_bpchar";
    VARCHAR 1043 "varchar" "character varying" -1 'S' false VARCHAR_ARRAY 1015 "_varchar";
    DATE 1082 "date" "date" 4 'D' false DATE_ARRAY 1182 "_date";
    TIME 1083 "time" "time without time zone" 8 'D' false TIME_ARRAY 1183 "_time";
    TIMESTAMP 1114 "timestamp" "timestamp without time zone" 8 'D' false TIMESTAMP_ARRAY 1115 "_timestamp";
    TIMESTAMPTZ 1184 "timestamptz" "timestamp with time zone" 8 'D' true TIMESTAMPTZ_ARRAY 1185 "_timestamptz";
    INTERVAL 1186 "interval" "interval" 16 'T' true INTERVAL_ARRAY 1187 "_interval";
    NUMERIC 1700 "numeric" "numeric" -1 'N' false NUMERIC_ARRAY 1231 "_numeric";
    XID 28 "xid" "xid" 4 'U' false XID_ARRAY 1011 "_xid";
    OIDVECTOR 30 "oidvector" "oidvector" -1 'A' false OIDVECTOR_ARRAY 1013 "_oidvector";
    PG_NODE_TREE 194 "pg_node_tree" "pg_node_tree" -1 'Z' false PG_NODE_TREE_NO_ARRAY 0 "";
    INET 869 "inet" "inet" -1 'I' true INET_ARRAY 1041 "_inet";
    ACLITEM 1033 "aclitem" "aclitem" 12 'U' false ACLITEM_ARRAY 1034 "_aclitem";
    PG_LSN 3220 "pg_lsn" "pg_lsn" 8 'U' false PG_LSN_ARRAY 3221 "_pg_lsn";
    REGCLASS 2205 "regclass" "regclass" 4 'N' false REGCLASS_ARRAY 2210 "_regclass";
    REGTYPE 2206 "regtype" "regtype" 4 'N' false REGTYPE_ARRAY 2211 "_regtype";
    REGNAMESPACE 4089 "regnamespace" "regnamespace" 4 'N' false REGNAMESPACE_ARRAY 4090 "_regnamespace";
    REGROLE 4096 "regrole" "regrole" 4 'N' false REGROLE_ARRAY 4097 "_regrole";
    UUID 2950 "uuid" "uuid" 16 'U' false UUID_ARRAY 2951 "_uuid";
    JSONB 3802 "jsonb" "jsonb" -1 'U' false JSONB_ARRAY 3807 "_jsonb";
    VOID 2278 "void" "void" 4 'P' false VOID_ARRAY 0 "";
    RECORD 2249 "record" "record" -1 'P' false RECORD_ARRAY 2287 "_record";
    ANY 2276 "any" "\"any\"" 4 'P' false ANY_NO_ARRAY 0 "";
    ANYELEMENT 2283 "anyelement" "anyelement" 4 'P' false ANYELEMENT_NO_ARRAY 0 "";
    ANYNONARRAY 2776 "anynonarray" "anynonarray" 4 'P' false ANYNONARRAY_NO_ARRAY 0 "";
    ANYARRAY 2277 "anyarray" "anyarray" -1 'P' false ANYARRAY_NO_ARRAY 0 "";
    ANYCOMPATIBLE 5077 "anycompatible" "anycompatible" 4 'P' false ANYCOMPATIBLE_NO_ARRAY 0 "";
    ANYCOMPATIBLEARRAY 5078 "anycompatiblearray" "anycompatiblearray" -1 'P' false ANYCOMPATIBLEARRAY_NO_ARRAY 0 "";
}

/// Place in `TYPES` plus one, by OID: `by_oid` runs per value on some paths.
static PLACES: [u8; 5120] = {
    let mut places = [0; 5120];
    let mut i = 0;
    while i < TYPES.len() {
        let oid = TYPES[i].oid.0 as usize;
        if oid != 0 {
            assert!(places[oid] == 0, "two types share an OID");
            places[oid] = i as u8 + 1;
        }
        i += 1;
    }
    places
};

/// The physical class of a type's values: which [`crate::Datum`] variant holds them, and so how rows, keys and columns do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// [`crate::Datum::Bool`]
    Bool,
    /// [`crate::Datum::Int2`]
    Int2,
    /// [`crate::Datum::Int4`]
    Int4,
    /// [`crate::Datum::Int8`]
    Int8,
    /// [`crate::Datum::Float4`]
    Float4,
    /// [`crate::Datum::Float8`]
    Float8,
    /// [`crate::Datum::Numeric`]
    Numeric,
    /// [`crate::Datum::Text`]; pseudo-types and unknown too.
    Text,
    /// [`crate::Datum::Bytea`]
    Bytea,
    /// [`crate::Datum::Date`]
    Date,
    /// [`crate::Datum::Time`]
    Time,
    /// [`crate::Datum::Timestamp`]
    Timestamp,
    /// [`crate::Datum::Interval`]
    Interval,
    /// [`crate::Datum::Uuid`]
    Uuid,
    /// [`crate::Datum::Oid`]
    Oid,
    /// [`crate::Datum::Array`]; int2vector too.
    Array,
}

impl TypeInfo {
    /// All types, arrays included.
    pub fn all() -> impl Iterator<Item = &'static TypeInfo> {
        TYPES.iter().filter(|t| t.oid.0 != 0)
    }

    /// The type with this OID.
    pub fn by_oid(oid: Oid) -> Option<&'static TypeInfo> {
        match PLACES.get(oid.0 as usize) {
            None | Some(0) => None,
            Some(place) => TYPES.get(usize::from(*place) - 1),
        }
    }

    /// The type with this internal name (`int4`, `_int4`).
    pub fn by_name(name: &str) -> Option<&'static TypeInfo> {
        Self::all().find(|t| t.name == name)
    }
}

impl PgType {
    /// A type without modifier.
    pub const fn new(oid: Oid) -> Self {
        Self { oid, typmod: -1 }
    }

    /// A type with modifier.
    pub const fn with_typmod(oid: Oid, typmod: i32) -> Self {
        Self { oid, typmod }
    }

    /// The physical class of its values.
    pub fn class(self) -> Class {
        match self.oid {
            oid::BOOL => Class::Bool,
            oid::INT2 => Class::Int2,
            oid::INT4 => Class::Int4,
            oid::INT8 => Class::Int8,
            oid::FLOAT4 => Class::Float4,
            oid::FLOAT8 => Class::Float8,
            oid::NUMERIC => Class::Numeric,
            oid::BYTEA => Class::Bytea,
            oid::DATE => Class::Date,
            oid::TIME => Class::Time,
            oid::TIMESTAMP | oid::TIMESTAMPTZ => Class::Timestamp,
            oid::INTERVAL => Class::Interval,
            oid::UUID => Class::Uuid,
            oid::OID | oid::XID | oid::REGPROC | oid::REGCLASS | oid::REGTYPE | oid::REGNAMESPACE | oid::REGROLE => {
                Class::Oid
            }
            oid::INT2VECTOR | oid::OIDVECTOR | oid::ANYARRAY => Class::Array,
            _ if self.info().elem != Oid(0) => Class::Array,
            _ => Class::Text,
        }
    }

    /// Is it one of the reg* types, which print as the name of what they stand for?
    pub fn is_reg(self) -> bool {
        matches!(self.oid, oid::REGCLASS | oid::REGTYPE | oid::REGPROC | oid::REGNAMESPACE | oid::REGROLE)
    }

    /// Its facts; unknown OIDs answer as `unknown`.
    pub fn info(self) -> &'static TypeInfo {
        TypeInfo::by_oid(self.oid).unwrap_or_else(|| TypeInfo::by_oid(oid::UNKNOWN).expect("unknown is in the table"))
    }

    /// The element type if this is an array (the modifier applies to elements).
    pub fn element(self) -> Option<PgType> {
        let elem = self.info().elem;
        (elem.0 != 0).then_some(Self { oid: elem, typmod: self.typmod })
    }

    /// The array type over this type.
    pub fn array(self) -> Option<PgType> {
        let array = self.info().array;
        (array.0 != 0).then_some(Self { oid: array, typmod: self.typmod })
    }

    /// What format_type prints: `character varying(3)`, `numeric(10,2)`, `timestamp(3) without time zone`, `integer[]`.
    pub fn sql_name(self) -> String {
        if let Some(elem) = self.element() {
            return format!("{}[]", elem.sql_name());
        }
        let base = self.info().sql_name;
        let m = self.typmod;
        if m < 0 {
            return base.to_owned();
        }
        match self.oid {
            oid::BPCHAR | oid::VARCHAR => format!("{base}({})", m - 4),
            oid::NUMERIC => {
                let (p, s) = self.numeric_precision().expect("numeric with a modifier");
                format!("numeric({p},{s})")
            }
            oid::TIME => format!("time({m}) without time zone"),
            oid::TIMESTAMP => format!("timestamp({m}) without time zone"),
            oid::TIMESTAMPTZ => format!("timestamp({m}) with time zone"),
            oid::INTERVAL if m & 0xffff != 0xffff => format!("interval({})", m & 0xffff),
            _ => base.to_owned(),
        }
    }

    /// (precision, scale) of numeric(p, s).
    pub fn numeric_precision(self) -> Option<(u16, i16)> {
        if self.oid != oid::NUMERIC || self.typmod < 4 {
            return None;
        }
        let m = self.typmod - 4;
        let scale = ((m & 0x7ff) ^ 1024) - 1024;
        Some((((m >> 16) & 0xffff) as u16, scale as i16))
    }
}
