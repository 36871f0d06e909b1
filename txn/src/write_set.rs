//! The private write set.
