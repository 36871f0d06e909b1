//! The `heddledb` binary.
fn main() {}
