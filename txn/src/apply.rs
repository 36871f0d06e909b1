//! The apply loop.
