//! Bound tree to DataFusion plan.
