//! A running node: opens everything in order, closes it in reverse.
//!
//!   start: settings checked -> folder locked -> log replayed into the engines -> executor -> sessions -> listener
//!   shutdown: listener and sessions (57P01) -> log and apply (everything acknowledged is applied) -> folder unlocked

use crate::folder::DataFolder;
use crate::settings::Config;
use heddle_env::Env;
use heddle_log::LogConfig;
use heddle_pg_frontend::{Listener, ListenerConfig};
use heddle_planner::Executor;
use heddle_planner::exec::ExecutorConfig;
use heddle_relational::RelationalConfig;
use heddle_session::{Server, ServerOptions};
use heddle_timeseries::TimeseriesConfig;
use heddle_txn::{TxnConfig, TxnManager};
use heddle_types::{Error, Result, SqlState};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// A server on one data folder. Dropping it shuts it down.
pub struct Node {
    address: SocketAddr,
    running: Option<Running>,
}

/// What must be closed, in this order.
struct Running {
    listener: Listener,
    server: Arc<Server>,
    txns: Arc<TxnManager>,
    folder: DataFolder,
}

impl Node {
    /// Opens the data folder and serves it. Blocks until the log is replayed.
    ///
    /// # Errors
    /// Those of [`Config::check`], of the data folder (`55006` in use), of recovery (`XX001`), and `58030` when the address
    /// cannot be listened on.
    pub fn start(config: Config) -> Result<Self> {
        config.check()?;
        let env = Env::real();
        let folder = DataFolder::open(&*env.disk, &config.data_directory)?;
        let disk = Arc::clone(&env.disk);
        let txns = TxnManager::open(env.clone(), txn_config(&config, &folder))?;
        let executor = Arc::new(Executor::new(executor_config(&config, &folder))?);
        let options = ServerOptions { max_connections: config.max_connections, settings: config.shown() };
        let server = Server::new(Arc::clone(&txns), executor, env, options);
        futures::executor::block_on(server.drop_temporary())?;
        let listen = ListenerConfig {
            address: config.pg_listen,
            socket_dir: config.pg_socket_dir.clone(),
            workers: or_cores(config.worker_threads),
        };
        let listener = Listener::start(&listen, Arc::clone(&server), &disk)
            .map_err(|e| Error::new(SqlState::IO_ERROR, e.to_string()))?;
        let address = listener.address();
        tracing::info!(%address, data_directory = %config.data_directory.display(), "ready");
        Ok(Self { address, running: Some(Running { listener, server, txns, folder }) })
    }

    /// Where it listens for the PostgreSQL protocol.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The file of its Unix socket, if it has one.
    pub fn socket_path(&self) -> Option<&Path> {
        self.running.as_ref().expect("only shutdown takes it, and consumes the node").listener.socket_path()
    }

    /// What its sessions share; for tests that look inside.
    pub fn server(&self) -> &Arc<Server> {
        &self.running.as_ref().expect("only shutdown takes it, and consumes the node").server
    }

    /// Ends the sessions, applies what was acknowledged, releases the folder. Blocks.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        // On a thread of its own: callers may sit in an asynchronous runtime, where blocking and ending other runtimes panics.
        let stopping = std::thread::Builder::new().name("shutdown".to_owned()).spawn(move || {
            running.listener.shutdown();
            running.txns.shutdown();
            drop(running.server);
            drop(running.txns);
            drop(running.folder);
        });
        match stopping.map(std::thread::JoinHandle::join) {
            Ok(Ok(())) => tracing::info!("stopped"),
            Ok(Err(_)) => tracing::error!("the shutdown panicked; the next start recovers from the log"),
            Err(e) => tracing::error!(error = %e, "could not start the shutdown thread"),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

fn or_cores(threads: usize) -> usize {
    match threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        n => n,
    }
}

fn txn_config(config: &Config, folder: &DataFolder) -> TxnConfig {
    let log = LogConfig {
        dir: folder.log(),
        segment_bytes: config.log_segment_size as u64,
        batch_bytes_max: config.log_batch_size,
        queue_bytes_max: config.log_queue_size,
    };
    let relational = RelationalConfig {
        dir: folder.relational(),
        memtable_bytes_max: config.memtable_size,
        cache_bytes: config.cache_size,
    };
    TxnConfig {
        log,
        relational,
        timeseries: TimeseriesConfig::new(folder.timeseries(), config.memtable_size),
        stream_after_bytes: config.write_set_stream_size,
        write_set_bytes_max: config.write_set_memory_max,
        unmerged_bytes_max: config.unmerged_memory_max,
    }
}

fn executor_config(config: &Config, folder: &DataFolder) -> ExecutorConfig {
    ExecutorConfig {
        memory_bytes_max: config.query_memory,
        batch_rows: config.batch_rows,
        partitions: or_cores(config.query_threads),
        point_plans: !config.disable_point_plans,
        spill_dir: folder.tmp(),
    }
}
