//! Dates, times and time zones: PostgreSQL's input and output syntax and calendar arithmetic.
//!
//! Dates are days and timestamps microseconds since 1970-01-01, proleptic Gregorian. The top thirty years of PostgreSQL's
//! range (294247 to 294276) do not fit and are `22008`.

use crate::Result;

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

/// What date and time input and output depend on.
#[derive(Clone, Debug)]
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

/// A time zone: IANA name, fixed offset or POSIX form, as SET TIME ZONE accepts.
#[derive(Clone, Debug)]
pub struct Zone(());

impl Zone {
    /// UTC
    pub fn utc() -> Self { todo!() }
    /// Looks a name up (case-insensitive IANA name, abbreviation, `+05:30`, POSIX). `22023` `time zone "x" not recognized`.
    pub fn parse(_name: &str) -> Result<Self> { todo!() }
    /// The canonical name SHOW TimeZone reports.
    pub fn name(&self) -> &str { todo!() }
    /// Seconds east of UTC at a UTC instant (microseconds since 1970).
    pub fn offset_at(&self, _utc_us: i64) -> i32 { todo!() }
    /// Seconds east of UTC for a local time, by PostgreSQL's rule for gaps and overlaps (standard time before the change wins).
    pub fn offset_for_local(&self, _local_us: i64) -> i32 { todo!() }
    /// Abbreviation at a UTC instant (`PST`, or a numeric form).
    pub fn abbreviation_at(&self, _utc_us: i64) -> String { todo!() }
}

/// Microseconds in a day.
pub const DAY_US: i64 = 86_400_000_000;

/// (year, month, day) of a day number; year 0 is 1 BC.
pub fn civil_from_days(_days: i64) -> (i64, u32, u32) { todo!() }

/// The day number of a date.
pub fn days_from_civil(_y: i64, _m: u32, _d: u32) -> i64 { todo!() }
