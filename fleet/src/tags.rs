//! What is known about a host: the ten tags of TSBS, drawn as TSBS draws them.

use crate::random::Random;

/// Names of the tags, in the order of [`Tags::values`]. The first one identifies the host.
pub const TAGS: [&str; 10] = [
    "hostname",
    "region",
    "datacenter",
    "rack",
    "os",
    "arch",
    "team",
    "service",
    "service_version",
    "service_environment",
];

const REGIONS: [(&str, &[char]); 9] = [
    ("us-east-1", &['a', 'b', 'c', 'e']),
    ("us-west-1", &['a', 'b']),
    ("us-west-2", &['a', 'b', 'c']),
    ("eu-west-1", &['a', 'b', 'c']),
    ("eu-central-1", &['a', 'b']),
    ("ap-southeast-1", &['a', 'b']),
    ("ap-southeast-2", &['a', 'b']),
    ("ap-northeast-1", &['a', 'c']),
    ("sa-east-1", &['a', 'b', 'c']),
];
const SYSTEMS: [&str; 3] = ["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"];
const ARCHITECTURES: [&str; 2] = ["x64", "x86"];
const TEAMS: [&str; 4] = ["SF", "NYC", "LON", "CHI"];
const ENVIRONMENTS: [&str; 3] = ["production", "staging", "test"];

/// One host's tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags {
    /// By the place of its name in [`TAGS`].
    pub values: [String; 10],
}

impl Tags {
    /// The tags of host number `host`, which do not depend on how many hosts there are.
    pub fn of(host: u32, seed: u64) -> Self {
        let mut random = Random::new(seed ^ u64::from(host).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let (region, zones) = random.pick(&REGIONS);
        let zone = random.pick(zones);
        let values = [
            hostname(host),
            (*region).to_owned(),
            format!("{region}{zone}"),
            random.below(100).to_string(),
            (*random.pick(&SYSTEMS)).to_owned(),
            (*random.pick(&ARCHITECTURES)).to_owned(),
            (*random.pick(&TEAMS)).to_owned(),
            random.below(20).to_string(),
            random.below(2).to_string(),
            (*random.pick(&ENVIRONMENTS)).to_owned(),
        ];
        Self { values }
    }
}

/// `host_7`
pub fn hostname(host: u32) -> String {
    format!("host_{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datacenter_lies_in_its_region_and_hosts_differ() {
        let all: Vec<Tags> = (0..100).map(|host| Tags::of(host, 1)).collect();
        assert!(all.iter().all(|t| t.values[2].starts_with(&t.values[1])));
        assert_eq!(all[7], Tags::of(7, 1));
        let regions: std::collections::BTreeSet<&String> = all.iter().map(|t| &t.values[1]).collect();
        assert!(regions.len() > 5, "{regions:?}");
    }
}
