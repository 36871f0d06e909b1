//! Hosts that report ten usage metrics at a fixed interval: the "cpu-only" set of TSBS.
//!
//! Each metric is a random walk of its own: it starts anywhere in 0..100, takes N(0,1) steps, stays within 0..=100, and is
//! reported truncated to an integer. Points come in the order in which they arrive: all hosts at one time, then the next.
//!
//! [`Late`] lets a share of the points arrive later than they were taken. The points are the same ones, in another order.

use crate::random::Random;
use std::collections::BTreeMap;

/// Names of the metrics, in the order of [`Point::usage`].
pub const METRICS: [&str; 10] = [
    "usage_user",
    "usage_system",
    "usage_idle",
    "usage_nice",
    "usage_iowait",
    "usage_irq",
    "usage_softirq",
    "usage_steal",
    "usage_guest",
    "usage_guest_nice",
];

/// 2016-01-01 00:00:00 UTC, where TSBS begins, in microseconds since 1970.
pub const BEGIN_MICROS: i64 = 1_451_606_400_000_000;

/// What one host reports at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its number, from 0.
    pub host: u32,
    /// When it was taken, in microseconds since 1970.
    pub micros: i64,
    /// By the place of its name in [`METRICS`].
    pub usage: [i32; 10],
}

/// How much arrives late.
#[derive(Clone, Copy, Debug, Default)]
pub struct Late {
    /// Share of points that arrive up to [`Late::STEPS_MAX`] intervals late.
    pub share: f64,
    /// Share of points that arrive at the very end.
    pub very: f64,
}

impl Late {
    /// Everything in order.
    pub const NONE: Self = Self { share: 0.0, very: 0.0 };
    /// Ten per cent late, one per cent very late.
    pub const SOME: Self = Self { share: 0.1, very: 0.01 };
    /// Most intervals that an ordinary late point is late by.
    pub const STEPS_MAX: u64 = 60;
}

/// A set: what decides it.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// How many hosts.
    pub hosts: u32,
    /// Time between two points of a host, in microseconds.
    pub interval_micros: i64,
    /// Points of each host.
    pub steps: u32,
    /// What the walks, and the tags, are drawn from.
    pub seed: u64,
    /// What arrives late.
    pub late: Late,
}

impl Cpu {
    /// `hosts` hosts that report every ten seconds for `hours` hours.
    pub fn new(hosts: u32, hours: u32) -> Self {
        Self { hosts, interval_micros: 10_000_000, steps: hours * 360, seed: 123, late: Late::NONE }
    }

    /// How many points there are.
    pub fn count(&self) -> u64 {
        u64::from(self.hosts) * u64::from(self.steps)
    }

    /// The time after the last point.
    pub fn end_micros(&self) -> i64 {
        BEGIN_MICROS + i64::from(self.steps) * self.interval_micros
    }

    /// All points in order of arrival.
    pub fn points(&self) -> Points {
        Points::new(*self)
    }
}

/// See [`Cpu::points`].
#[derive(Debug)]
pub struct Points {
    set: Cpu,
    walks: Vec<[f64; 10]>,
    steps: Random,
    delays: Random,
    /// The next step to take.
    step: u32,
    /// Arrived and not yet given out, last first.
    ready: Vec<Point>,
    /// By the step at which they arrive.
    delayed: BTreeMap<u64, Vec<Point>>,
}

impl Points {
    fn new(set: Cpu) -> Self {
        let mut steps = Random::new(set.seed);
        let walks = (0..set.hosts).map(|_| std::array::from_fn(|_| steps.unit() * 100.0)).collect();
        // A stream of its own, so that lateness does not change the walks.
        let delays = Random::new(!set.seed);
        Self { set, walks, steps, delays, step: 0, ready: vec![], delayed: BTreeMap::new() }
    }

    fn take_step(&mut self) {
        let micros = BEGIN_MICROS + i64::from(self.step) * self.set.interval_micros;
        for host in 0..self.set.hosts {
            let walk = &mut self.walks[host as usize];
            let point = Point { host, micros, usage: walk.map(|v| v as i32) };
            for value in walk {
                *value = (*value + self.steps.normal()).clamp(0.0, 100.0);
            }
            match self.delay() {
                0 => self.ready.push(point),
                delay => self.delayed.entry(u64::from(self.step) + delay).or_default().push(point),
            }
        }
        if let Some(due) = self.delayed.remove(&u64::from(self.step)) {
            self.ready.extend(due);
        }
        self.ready.reverse();
        self.step += 1;
    }

    fn delay(&mut self) -> u64 {
        let Late { share, very } = self.set.late;
        match self.delays.unit() {
            u if u < very => u64::MAX / 2,
            u if u < very + share => 1 + self.delays.below(Late::STEPS_MAX),
            _ => 0,
        }
    }
}

impl Iterator for Points {
    type Item = Point;

    fn next(&mut self) -> Option<Point> {
        while self.ready.is_empty() {
            if self.step < self.set.steps {
                self.take_step();
                continue;
            }
            let (_, mut rest) = self.delayed.pop_first()?;
            rest.reverse();
            self.ready = rest;
        }
        self.ready.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_are_repeatable_and_bounded() {
        let set = Cpu::new(20, 1);
        let points: Vec<Point> = set.points().collect();
        assert_eq!(points.len() as u64, set.count());
        assert_eq!(points, set.points().collect::<Vec<_>>());
        assert!(points.iter().all(|p| p.usage.iter().all(|v| (0..=100).contains(v))));
        assert!(points.is_sorted_by_key(|p| (p.micros, p.host)));
        // A step is seldom larger than three.
        let host: Vec<&Point> = points.iter().filter(|p| p.host == 3).collect();
        assert!(host.windows(2).all(|w| (w[0].usage[0] - w[1].usage[0]).abs() <= 6));
    }

    #[test]
    fn late_points_are_the_same_points() {
        let set = Cpu::new(50, 1);
        let late = Cpu { late: Late::SOME, ..set };
        let mut arrived: Vec<Point> = late.points().collect();
        let newest = |max: &mut i64, p: &Point| {
            *max = p.micros.max(*max);
            Some(p.micros < *max)
        };
        let behind = arrived.iter().scan(0, newest).filter(|late| *late).count() as f64 / arrived.len() as f64;
        assert!((0.09..0.13).contains(&behind), "{behind}");
        arrived.sort_by_key(|p| (p.micros, p.host));
        assert!(arrived.into_iter().eq(set.points()));
    }
}
