//! The node as a library: configuration, data folder, wiring, start and shutdown. The `heddledb` binary is a thin shell over it;
//! tests and benchmarks run the real server through it.
//!
//! | module | subject |
//! |---|---|
//! | [`settings`] | the one table of server settings, [`Config`] |
//! | [`sources`] | where values come from: file < environment < flags |
//! | `folder` | the data folder: version file, lock, sub-folders |
//! | [`node`] | [`Node`]: opens everything in order, closes it in reverse |
//! | [`manual`] | the reference page of all settings |
//! | [`demo`] | a small fleet, loaded through the node's own port |
//! | `table` | prints a query's result |

pub mod demo;
mod folder;
pub mod manual;
pub mod node;
pub mod settings;
pub mod sources;
mod table;

pub use node::Node;
pub use settings::Config;
