//! Length coercion: what a type modifier does to a value of that type.

use crate::{Datum, PgType, Result};

/// Applies `ty.typmod`. `explicit` is a cast written by the user: varchar(n)/char(n) truncate then; otherwise excess that
/// is not blank is `22001` (`value too long for type character varying(3)`). numeric rounds or `22003`; time(p), timestamp(p), interval(p) round.
pub fn apply_typmod(_value: Datum, _ty: PgType, _explicit: bool) -> Result<Datum> { todo!() }
