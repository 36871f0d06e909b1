//! A database in a folder, statements as text: parse, bind, lock, plan, run; rows as text.

use futures::StreamExt;
use heddle_catalog::POSTGRES_DB;
use heddle_env::Env;
use heddle_log::LogConfig;
use heddle_planner::exec::ExecutorConfig;
use heddle_planner::parse::{Kind, parse};
use heddle_planner::{EvalContext, Executor, Outcome, SessionInfo, bind};
use heddle_relational::RelationalConfig;
use heddle_timeseries::TimeseriesConfig;
use heddle_txn::{Isolation, Transaction, TxnConfig, TxnManager, Wait};
use heddle_types::text::TextSettings;
use heddle_types::{Datum, Error, Result};
use parking_lot::Mutex;
use std::sync::Arc;

pub struct Db {
    pub txns: Arc<TxnManager>,
    pub executor: Executor,
    pub notices: Arc<Mutex<Vec<String>>>,
    _dir: tempfile::TempDir,
}

impl Db {
    pub fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = TxnConfig {
            log: LogConfig { segment_bytes: 4 << 20, ..LogConfig::new(dir.path().join("log")) },
            timeseries: TimeseriesConfig::new(dir.path().join("series"), 8 << 20),
            relational: RelationalConfig {
                dir: dir.path().join("rows"),
                memtable_bytes_max: 8 << 20,
                cache_bytes: 8 << 20,
            },
            stream_after_bytes: 8 << 20,
            write_set_bytes_max: 512 << 20,
            unmerged_bytes_max: 64 << 20,
        };
        let txns = TxnManager::open(Env::real(), config).unwrap();
        let spill_dir = dir.path().join("spill");
        std::fs::create_dir_all(&spill_dir).unwrap();
        let config = ExecutorConfig {
            memory_bytes_max: 256 << 20,
            batch_rows: 1024,
            partitions: 2,
            point_plans: true,
            spill_dir,
        };
        Self { txns, executor: Executor::new(config).unwrap(), notices: Arc::default(), _dir: dir }
    }

    pub fn begin(&self, isolation: Isolation) -> Arc<Transaction> {
        self.txns.begin(isolation, false)
    }

    fn context(&self, txn: &Arc<Transaction>, params: Vec<Datum>) -> EvalContext {
        let notices = Arc::clone(&self.notices);
        let session = SessionInfo {
            database: "postgres".into(),
            database_oid: POSTGRES_DB,
            user: "postgres".into(),
            session_user: "postgres".into(),
            pid: 1,
            search_path: vec!["$user".into(), "public".into()],
            setting: Box::new(|_| None),
            set_setting: Box::new(|_, v, _| Ok(v.to_owned())),
            settings: Box::new(Vec::new),
            deferred: Default::default(),
            sequences: Default::default(),
            interrupts: Default::default(),
            backends: Arc::new(heddle_planner::context::Nobody),
            advisory: Default::default(),
            temporary: Default::default(),
            notice: Box::new(move |n| notices.lock().push(n.message().to_owned())),
        };
        EvalContext {
            text: TextSettings {
                datetime: heddle_types::datetime::DateTimeSettings {
                    format: Default::default(),
                    order: Default::default(),
                    interval: Default::default(),
                    zone: heddle_types::datetime::Zone::utc(),
                    now: 0,
                },
                bytea_escape: false,
                extra_float_digits: 1,
                reg_names: Default::default(),
            },
            statement_us: 0,
            params: params.into(),
            session: Arc::new(session),
            env: Env::real(),
            catalog: txn.catalog(),
            txn: Some(Arc::clone(txn)),
            stopped: Default::default(),
            inventory: None,
        }
    }

    /// Runs one statement inside `txn`: rows as `a|b`, or the count of changed rows as `#n`.
    pub async fn run(&self, txn: &Arc<Transaction>, sql: &str, params: Vec<Datum>) -> Result<Vec<String>> {
        let mut parsed = parse(sql)?;
        assert_eq!(parsed.len(), 1, "one statement at a time: {sql}");
        let Kind::Plan(ast) = parsed.remove(0).kind else { panic!("not a planned statement: {sql}") };
        let savepoint = txn.savepoint();
        let result = self.run_inner(txn, &ast, params).await;
        if result.is_err() {
            txn.rollback_to(savepoint);
        }
        result
    }

    async fn run_inner(
        &self,
        txn: &Arc<Transaction>,
        ast: &heddle_planner::parse::Ast,
        params: Vec<Datum>,
    ) -> Result<Vec<String>> {
        let ctx = self.context(txn, params);
        let bound = Arc::new(bind::bind(ast, &[], &ctx)?);
        for (oid, mode) in &bound.locks {
            txn.lock_relation(*oid, *mode, Wait::Block).await?;
        }
        let view = txn.statement();
        let plan = self.executor.plan(Arc::clone(&bound))?;
        let ctx = Arc::new(EvalContext { catalog: Arc::clone(view.catalog()), ..ctx });
        let outcome = self.executor.run(&plan, Arc::clone(&ctx), view).await?;
        let columns = bound.columns.clone().unwrap_or_default();
        let mut out = vec![];
        let mut show = |batch: arrow::record_batch::RecordBatch| {
            for i in 0..batch.num_rows() {
                let cells: Vec<String> = columns
                    .iter()
                    .zip(batch.columns())
                    .map(|(c, a)| match heddle_types::arrow::datum_at(a, c.ty, i) {
                        Datum::Null => "∅".to_owned(),
                        d => heddle_types::text::to_string(&d, c.ty, &ctx.text),
                    })
                    .collect();
                out.push(cells.join("|"));
            }
        };
        match outcome {
            Outcome::Rows(mut stream) => {
                while let Some(batch) = stream.next().await {
                    show(batch?);
                }
            }
            Outcome::Changed { rows, returning: Some(batches) } => {
                batches.into_iter().for_each(&mut show);
                let _ = rows;
            }
            Outcome::Changed { rows, returning: None } => out.push(format!("#{rows}")),
            Outcome::Done { rows } => out.extend(rows.map(|n| format!("#{n}"))),
        }
        Ok(out)
    }

    /// One statement in its own transaction.
    pub async fn try_sql(&self, sql: &str) -> Result<Vec<String>> {
        let txn = self.begin(Isolation::ReadCommitted);
        let out = self.run(&txn, sql, vec![]).await?;
        txn.commit().await?;
        Ok(out)
    }

    /// Statements separated by `;` at line ends, each in its own transaction.
    pub async fn setup(&self, script: &str) {
        for sql in script.split(";\n").map(str::trim).filter(|s| !s.is_empty()) {
            if let Err(e) = self.try_sql(sql).await {
                panic!("{sql}: {e:?}");
            }
        }
    }

    pub async fn rows(&self, sql: &str) -> String {
        match self.try_sql(sql).await {
            Ok(rows) => rows.join("\n"),
            Err(e) => error_text(&e),
        }
    }

    /// Asserts the rows of a query, lines trimmed.
    pub async fn check(&self, sql: &str, expected: &str) {
        let expected: Vec<&str> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let got = self.rows(sql).await;
        assert_eq!(got.lines().map(str::trim).collect::<Vec<_>>(), expected, "\n{sql}");
    }
}

pub fn error_text(e: &Error) -> String {
    let f = e.fields();
    let detail = f.detail.as_ref().map_or(String::new(), |d| format!(" / {}", d.replace('\n', " / ")));
    format!("{}: {}{detail}", e.code(), e.message())
}

pub fn block_on<F: Future>(f: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f)
}
