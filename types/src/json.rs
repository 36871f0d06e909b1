//! json and jsonb: validation (json keeps its text) and normalisation (jsonb as PostgreSQL prints it).

use crate::Result;

/// Checks json input; `22P02` with PostgreSQL's DETAIL.
pub fn validate(_s: &str) -> Result<()> { todo!() }

/// Normalises as jsonb does: keys by length then bytes, last duplicate wins, numbers exact, `", "` and `": "` separators.
pub fn normalize(_s: &str) -> Result<String> { todo!() }
