//! Dates, times and time zones: PostgreSQL's input and output syntax and calendar arithmetic.
//!
//! Dates are days and timestamps microseconds since 1970-01-01, proleptic Gregorian. The top thirty years of PostgreSQL's
//! range (294247 to 294276) do not fit and are `22008`.
//!
//! [`civil`] is the calendar, [`zone`] the zones, `lex` and `input` read text as PostgreSQL's datetime.c does, `output`
//! writes it; `interval_input` and `interval_output` do the same for intervals; [`arith`] and [`fields`] are what SQL's
//! operators and functions need.

mod abbrev;
pub mod arith;
pub mod civil;
pub mod fields;
mod input;
mod interval_input;
mod interval_output;
mod iso;
mod lex;
mod output;
mod parts;
mod round;
pub mod zone;

pub use civil::{Civil, DAY_US, civil_from_days, days_from_civil, is_valid_date, is_valid_timestamp};
pub use input::{parse_date, parse_time, parse_timestamp, parse_timestamptz};
pub use interval_input::parse_interval;
pub use interval_output::format_interval;
pub use output::{format_date, format_time, format_timestamp, format_timestamptz};
pub use round::{round_interval, round_time, round_timestamp};
pub use zone::Zone;

use crate::text::is_space;

/// DateStyle's field order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateOrder {
    /// Month first
    #[default]
    Mdy,
    /// Day first
    Dmy,
    /// Year first
    Ymd,
}

/// DateStyle's output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateFormat {
    /// `1997-12-17 07:37:16-08`
    #[default]
    Iso,
    /// `12/17/1997 07:37:16.00 PST`
    Sql,
    /// `Wed Dec 17 07:37:16 1997 PST`
    Postgres,
    /// `17.12.1997 07:37:16.00 PST`
    German,
}

/// IntervalStyle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntervalStyle {
    /// `1 year 2 mons 3 days 04:05:06`
    #[default]
    Postgres,
    /// `@ 1 year 2 mons 3 days 4 hours 5 mins 6 secs`
    PostgresVerbose,
    /// `+1-2 +3 +4:05:06`
    SqlStandard,
    /// `P1Y2M3DT4H5M6S`
    Iso8601,
}

/// What date and time input and output depend on. The default is ISO, MDY, postgres, UTC, now = 1970.
#[derive(Clone, Debug, Default)]
pub struct DateTimeSettings {
    /// Output format
    pub format: DateFormat,
    /// Field order
    pub order: DateOrder,
    /// IntervalStyle
    pub interval: IntervalStyle,
    /// TimeZone
    pub zone: Zone,
    /// Transaction start in microseconds since 1970-01-01 UTC: `now`, `today` and friends.
    pub now: i64,
}
