//! Sessions over a real folder with a client that only notes what it is told: failed blocks, savepoints, cursors, DDL against
//! REPEATABLE READ.

use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use heddle_env::Env;
use heddle_log::LogConfig;
use heddle_planner::Executor;
use heddle_planner::exec::ExecutorConfig;
use heddle_relational::RelationalConfig;
use heddle_session::{
    Client, CopyFormatCodes, OutputColumn, RowEncoder, Server, ServerOptions, Session, Startup, Status,
};
use heddle_timeseries::TimeseriesConfig;
use heddle_txn::{TxnConfig, TxnManager};
use heddle_types::text::TextSettings;
use heddle_types::{Datum, Notice, Result};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Notes tags and counts rows.
#[derive(Default)]
struct Noting {
    tags: Vec<String>,
    rows: usize,
}

impl Client for Noting {
    fn describe(&mut self, _: &[OutputColumn], _: &[i16]) {}
    async fn rows(
        &mut self,
        _: &[OutputColumn],
        _: &[i16],
        _: &RecordBatch,
        range: Range<usize>,
        _: &TextSettings,
    ) -> Result<()> {
        self.rows += range.len();
        Ok(())
    }
    fn encoder(&self, _: Arc<[OutputColumn]>, _: Vec<i16>, _: TextSettings) -> RowEncoder {
        Arc::new(|batch, rows| rows.resize(rows.len() + batch.num_rows(), 0))
    }
    async fn encoded(&mut self, rows: &[u8]) -> Result<()> {
        self.rows += rows.len();
        Ok(())
    }
    fn row(&mut self, _: &[OutputColumn], _: &[i16], _: &[Datum], _: &TextSettings) {
        self.rows += 1;
    }
    fn complete(&mut self, tag: &str) {
        self.tags.push(tag.to_owned());
    }
    fn empty(&mut self) {}
    fn notice(&mut self, _: &Notice) {}
    fn parameter(&mut self, _: &str, _: &str) {}
    async fn copy_in(&mut self, _: CopyFormatCodes) -> Result<()> {
        Ok(())
    }
    async fn copy_data(&mut self) -> Result<Option<Bytes>> {
        Ok(None)
    }
    fn copy_out(&mut self, _: CopyFormatCodes) {}
    async fn copy_row(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn copy_done(&mut self) {}
    async fn closed(&mut self) {
        std::future::pending().await
    }
}

struct Psql(Session);

impl Psql {
    /// The tags, or the error's SQLSTATE.
    async fn run(&mut self, sql: &str) -> std::result::Result<Vec<String>, &'static str> {
        let mut client = Noting::default();
        match self.0.simple_query(sql, &mut client).await {
            Ok(()) => Ok(client.tags),
            Err(e) => Err(e.code().0),
        }
    }

    async fn ok(&mut self, sql: &str) -> String {
        match self.run(sql).await {
            Ok(tags) => tags.last().cloned().unwrap_or_default(),
            Err(code) => panic!("{sql}: {code}"),
        }
    }

    async fn code(&mut self, sql: &str) -> &'static str {
        self.run(sql).await.expect_err(sql)
    }
}

fn server(dir: &Path) -> Arc<Server> {
    let env = Env::real();
    let config = TxnConfig {
        log: LogConfig {
            dir: dir.join("log"),
            segment_bytes: 4 << 20,
            batch_bytes_max: 1 << 20,
            queue_bytes_max: 8 << 20,
        },
        timeseries: TimeseriesConfig::new(dir.join("series"), 1 << 20),
        relational: RelationalConfig { dir: dir.join("rows"), memtable_bytes_max: 1 << 20, cache_bytes: 8 << 20 },
        stream_after_bytes: 1 << 20,
        write_set_bytes_max: 256 << 20,
        unmerged_bytes_max: 32 << 20,
    };
    let txns = TxnManager::open(env.clone(), config).unwrap();
    let executor = Executor::new(ExecutorConfig {
        memory_bytes_max: 64 << 20,
        batch_rows: 1024,
        partitions: 1,
        point_plans: true,
        spill_dir: dir.join("spill"),
    });
    Server::new(txns, Arc::new(executor.unwrap()), env, ServerOptions { max_connections: 10, settings: Arc::from([]) })
}

fn connect(server: &Arc<Server>) -> Psql {
    let startup = Startup { user: "postgres".to_owned(), database: None, parameters: vec![], client: None };
    Psql(Session::connect(server, startup).unwrap())
}

fn run(test: impl AsyncFnOnce(Arc<Server>)) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { test(server(dir.path())).await });
}

#[test]
fn error_after_savepoint_is_undone_by_rollback_to() {
    run(async |server| {
        let mut s = connect(&server);
        s.ok("CREATE TABLE t (a int PRIMARY KEY)").await;
        s.ok("BEGIN; INSERT INTO t VALUES (1); SAVEPOINT x; INSERT INTO t VALUES (2)").await;
        assert_eq!(s.code("INSERT INTO t VALUES (1)").await, "23505");
        assert_eq!(s.0.status(), Status::Failed);
        assert_eq!(s.code("SELECT 1").await, "25P02");
        assert_eq!(s.code("SAVEPOINT y").await, "25P02");
        assert_eq!(s.ok("ROLLBACK TO x").await, "ROLLBACK");
        assert_eq!(s.ok("SELECT * FROM t").await, "SELECT 1");
        s.ok("RELEASE x").await;
        assert_eq!(s.code("ROLLBACK TO x").await, "3B001");
        assert_eq!(s.ok("COMMIT").await, "ROLLBACK");
        assert_eq!(s.ok("SELECT * FROM t").await, "SELECT 0");
    });
}

#[test]
fn cursor_older_than_the_savepoint_outlives_rollback_to() {
    run(async |server| {
        let mut s = connect(&server);
        s.ok("CREATE TABLE t (a int PRIMARY KEY)").await;
        s.ok("INSERT INTO t VALUES (1), (2), (3), (4)").await;
        s.ok("BEGIN; DECLARE old CURSOR FOR SELECT a FROM t; FETCH 1 FROM old; SAVEPOINT x").await;
        s.ok("DECLARE young CURSOR FOR SELECT a FROM t").await;
        assert_eq!(s.code("SELECT 1/0").await, "22012");
        s.ok("ROLLBACK TO x").await;
        assert_eq!(s.ok("FETCH 2 FROM old").await, "FETCH 2");
        assert_eq!(s.code("FETCH 1 FROM young").await, "34000");
    });
}

#[test]
fn chain_keeps_the_mode_of_a_failed_block() {
    run(async |server| {
        let mut s = connect(&server);
        s.ok("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
        assert_eq!(s.code("SELECT 1/0").await, "22012");
        assert_eq!(s.ok("COMMIT AND CHAIN").await, "ROLLBACK");
        assert_eq!(s.0.status(), Status::InBlock);
        assert_eq!(s.code("CREATE TABLE t (a int)").await, "25006");
    });
}

#[test]
fn write_to_a_table_truncated_since_the_snapshot_is_refused() {
    run(async |server| {
        let (mut a, mut b) = (connect(&server), connect(&server));
        a.ok("CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE u (a int)").await;
        a.ok("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM u").await;
        b.ok("TRUNCATE t").await;
        assert_eq!(a.code("INSERT INTO t VALUES (1)").await, "40001");
        a.ok("ROLLBACK").await;
        a.ok("INSERT INTO t VALUES (1)").await;
        assert_eq!(b.ok("SELECT * FROM t").await, "SELECT 1");
        // Own DDL is no reason to refuse.
        a.ok("BEGIN ISOLATION LEVEL REPEATABLE READ; TRUNCATE t; INSERT INTO t VALUES (2); COMMIT").await;
        assert_eq!(b.ok("SELECT * FROM t").await, "SELECT 1");
    });
}
