//! The simplest correct row engine: every version in one ordered map. The conformance suite compares real engines with it.
