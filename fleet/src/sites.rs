//! A small fleet: eight sites, their devices, and a reading of each device every minute. The demo's tables, in COPY's text format.
//!
//! The numbers are made by integer arithmetic from ids and times, so that any part can be made without the rest.

use crate::random::Random;
use crate::rows::timestamp;
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;

/// Name, country, mean temperature in hundredths of a degree.
const SITES: [(&str, &str, i64); 8] = [
    ("Aarhus", "DK", 780),
    ("Brno", "CZ", 940),
    ("Como", "IT", 1340),
    ("Delft", "NL", 1050),
    ("Evora", "PT", 1690),
    ("Falun", "SE", 420),
    ("Gent", "BE", 1080),
    ("Hamina", "FI", 310),
];
const KINDS: [&str; 3] = ["thermometer", "weather station", "logger"];
const DEVICES_PER_SITE: u32 = 25;
/// Devices in all.
pub const DEVICES: u32 = DEVICES_PER_SITE * SITES.len() as u32;
/// Readings of each device.
pub const MINUTES: u32 = 5000;
/// Readings in all.
pub const READINGS: u64 = DEVICES as u64 * MINUTES as u64;
/// 2026-06-01 00:00:00 UTC in microseconds since 1970.
const BEGIN_MICROS: i64 = 1_780_272_000_000_000;

/// `site_id, name, country`
pub fn sites() -> String {
    (1..).zip(SITES).map(|(id, (name, country, _))| format!("{id}\t{name}\t{country}\n")).collect()
}

/// `device_id, site_id, kind, installed`
pub fn devices() -> String {
    let mut text = String::new();
    for id in 1..=DEVICES {
        let kind = KINDS[(noise(u64::from(id)) % 5 / 2) as usize];
        let (site, month, day) = (site(id) + 1, 1 + id % 12, 1 + id * 7 % 28);
        writeln!(text, "{id}\t{site}\t{kind}\t2025-{month:02}-{day:02}").expect("a String takes everything");
    }
    text
}

/// `read_at, temperature, battery, device_id` of all devices in these minutes, in the order in which they arrive.
pub fn readings(minutes: Range<u32>) -> Vec<u8> {
    let mut out = vec![];
    for minute in minutes {
        let mut time = vec![];
        timestamp(BEGIN_MICROS + i64::from(minute) * 60_000_000, &mut time);
        for device in 1..=DEVICES {
            out.extend_from_slice(&time);
            out.push(b'\t');
            celsius(device, minute, &mut out);
            let battery = 100 - minute / 80 - device % 7;
            writeln!(out, "\t{battery}\t{device}").expect("a Vec takes everything");
        }
    }
    out
}

/// 0-based.
fn site(device: u32) -> u32 {
    (device - 1) / DEVICES_PER_SITE
}

/// The site's mean, a daily wave with its top at 15 h, some noise; now and then a reading is missing.
fn celsius(device: u32, minute: u32, out: &mut Vec<u8>) {
    let noise = noise((u64::from(device) << 32) | u64::from(minute));
    if noise.is_multiple_of(997) {
        return out.extend_from_slice(b"\\N");
    }
    let mean = SITES[site(device) as usize].2;
    let from_top = (i64::from(minute % 1440) - 900 + 2160) % 1440 - 720;
    let hundredths = mean + 600 - from_top.abs() * 5 / 3 + (noise % 200) as i64 - 100;
    let sign = if hundredths < 0 { "-" } else { "" };
    write!(out, "{sign}{}.{:02}", hundredths.abs() / 100, hundredths.abs() % 100).expect("a Vec takes everything");
}

fn noise(seed: u64) -> u64 {
    Random::new(seed).bits() >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_is_always_the_same() {
        assert_eq!(sites().lines().count(), 8);
        assert_eq!(devices().lines().count(), 200);
        for kind in KINDS {
            assert!(devices().contains(kind), "{kind}");
        }
        let text = String::from_utf8(readings(0..20)).unwrap();
        assert_eq!(text.lines().count(), 4000);
        assert!(text.starts_with("2026-06-01 00:00:00+00\t") && text.contains("\\N"));
        assert_eq!([readings(0..7), readings(7..20)].concat(), readings(0..20));
        assert_eq!(READINGS, 1_000_000);
    }
}
