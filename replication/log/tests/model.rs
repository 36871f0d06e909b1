//! Random runs with kills and power cuts against a Vec: what was acknowledged is read back, the rest is a prefix.

mod harness;

use bytes::Bytes;
use harness::{Machine, Node, check_dense};
use heddle_env::{Cut, Fault, Op};
use heddle_log::{Kind, Proposer, Record};
use heddle_types::{LogIndex, SqlState};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Run(Vec<usize>),
    Wait,
    Purge(u8),
    FullDisk(bool),
    Shutdown,
    Kill,
    PowerCut(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0usize..1500).prop_map(Step::Append),
        3 => prop::collection::vec(0usize..1200, 1..8).prop_map(Step::Run),
        3 => Just(Step::Wait),
        1 => any::<u8>().prop_map(Step::Purge),
        1 => any::<bool>().prop_map(Step::FullDisk),
        1 => Just(Step::Shutdown),
        1 => Just(Step::Kill),
        3 => any::<u64>().prop_map(Step::PowerCut),
    ]
}

struct Model {
    machine: Machine,
    node: Option<Node>,
    /// What was appended, by index - 1; what a crash takes is taken from here too.
    log: Vec<(Kind, Bytes)>,
    durable: u64,
    first: u64,
}

impl Model {
    fn new() -> Self {
        let machine = Machine::new(42);
        let node = Some(machine.open());
        let mut model = Self { machine, node, log: Vec::new(), durable: 0, first: 1 };
        model.absorb();
        model
    }

    fn node(&self) -> &Node {
        self.node.as_ref().expect("running")
    }

    /// Notes what the log appended by itself.
    fn absorb(&mut self) {
        let last = self.node().seen.lock().last().cloned().expect("a start has a Membership record");
        assert_eq!((last.kind, last.index.0), (Kind::Membership, self.log.len() as u64 + 1));
        self.log.push((last.kind, last.payload));
    }

    fn append(&mut self, sizes: &[usize]) {
        let tag = self.log.len() as u8;
        let run: Vec<_> = sizes.iter().map(|n| (Kind::Part, Bytes::from(vec![tag; *n]))).collect();
        match self.node().log.append_all(run.clone()) {
            Ok(first) => {
                assert_eq!(first.0, self.log.len() as u64 + 1);
                self.log.extend(run);
            }
            Err(e) => assert_eq!(e.code(), SqlState::DISK_FULL),
        }
    }

    fn crash(&mut self, cut: Cut) {
        let node = self.node.take().expect("running");
        self.durable = self.durable.max(node.log.durable().0);
        let seen = node.seen.clone();
        node.disk.power_cut(cut).expect("cut");
        node.log.shutdown();
        self.durable = self.durable.max(node.log.durable().0);
        self.check_records(&seen.lock());
        self.reopen();
    }

    fn shutdown(&mut self) {
        let node = self.node.take().expect("running");
        node.disk.clear();
        node.log.shutdown();
        assert!(node.stops.lock().is_empty());
        assert_eq!(node.log.durable().0, self.log.len() as u64);
        self.durable = self.log.len() as u64;
        self.check_records(&node.seen.lock());
        self.reopen();
    }

    fn reopen(&mut self) {
        let node = self.machine.try_open(self.machine.fault_disk(), LogIndex(self.first)).expect("reopen");
        let last = node.seen.lock().last().map(|r| (r.index, r.kind));
        let recovered = match last {
            Some((i, Kind::Membership)) if i.next() == node.log.next_index() => i.0 - 1,
            other => panic!("a start appends a Membership record: {other:?}"),
        };
        assert!(recovered >= self.durable, "lost {} of {}", self.durable, recovered);
        assert!(recovered <= self.log.len() as u64, "more than was appended");
        self.log.truncate(recovered as usize);
        self.node = Some(node);
        self.absorb();
        self.durable = self.log.len() as u64;
        let seen = self.node().seen.clone();
        self.check_records(&seen.lock());
        assert_eq!(seen.lock().len() as u64, self.log.len() as u64 + 1 - self.first);
    }

    fn check_records(&self, records: &[Record]) {
        let Some(first) = records.first().map(|r| r.index.0) else { return };
        check_dense(records, first);
        for r in records {
            let (kind, payload) = &self.log[r.index.0 as usize - 1];
            assert_eq!((r.kind, &r.payload), (*kind, payload), "at {}", r.index);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append(n) => self.append(&[n]),
            Step::Run(sizes) => self.append(&sizes),
            Step::Wait => {
                self.node().log.wait_durable(LogIndex(self.log.len() as u64)).expect("durable");
                self.durable = self.log.len() as u64;
            }
            Step::Purge(part) => {
                let to = self.durable * u64::from(part) / 256;
                self.node().log.purge_below(LogIndex(to)).expect("purge");
                let before = self.first;
                self.first = self.node().log.first_index().0;
                assert!(self.first >= before && self.first <= to.max(before));
            }
            Step::FullDisk(true) => self.node().disk.fail_from(Some(Op::Allocate), 0, Fault::NoSpace),
            Step::FullDisk(false) => self.node().disk.clear(),
            Step::Shutdown => self.shutdown(),
            Step::Kill => self.crash(Cut::KeepAll),
            Step::PowerCut(0) => self.crash(Cut::DropAll),
            Step::PowerCut(seed) => self.crash(Cut::Random(seed)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn log_behaves_like_a_vec(steps in prop::collection::vec(step(), 1..40)) {
        let mut model = Model::new();
        for s in steps {
            model.step(s);
        }
        model.shutdown();
    }
}
