//! Our errors through DataFusion and back.
//!
//! Kernels and aggregates run inside DataFusion; their errors travel as `External` and keep SQLSTATE, DETAIL and HINT.

use datafusion::error::DataFusionError;
use heddle_types::{Error, SqlState};

/// Wraps our error for DataFusion.
pub fn to_df(e: Error) -> DataFusionError {
    DataFusionError::External(Box::new(e))
}

/// Unwraps our error, or maps DataFusion's own: out of memory is `53200`, everything else `XX000`.
pub fn from_df(e: DataFusionError) -> Error {
    match e {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(e) => *e,
            Err(other) => match other.downcast::<DataFusionError>() {
                Ok(df) => from_df(*df),
                Err(other) => Error::internal(other.to_string()),
            },
        },
        DataFusionError::ArrowError(arrow, context) => from_arrow(*arrow, context.as_deref()),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => from_df(*inner),
        DataFusionError::Collection(mut all) if !all.is_empty() => from_df(all.swap_remove(0)),
        DataFusionError::Shared(inner) => from_shared(&inner),
        DataFusionError::ResourcesExhausted(message) => out_of_memory(&message),
        other => Error::internal(other.to_string()),
    }
}

fn from_arrow(e: arrow::error::ArrowError, _context: Option<&str>) -> Error {
    match e {
        arrow::error::ArrowError::ExternalError(inner) => from_df(DataFusionError::External(inner)),
        arrow::error::ArrowError::MemoryError(message) => out_of_memory(&message),
        other => arrow_error(other),
    }
}

/// A shared error cannot be taken apart: look through it by reference.
fn from_shared(e: &DataFusionError) -> Error {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(e);
    while let Some(s) = source {
        if let Some(ours) = s.downcast_ref::<Error>() {
            return ours.clone();
        }
        if let Some(DataFusionError::ResourcesExhausted(message)) = s.downcast_ref::<DataFusionError>() {
            return out_of_memory(message);
        }
        source = s.source();
    }
    Error::internal(e.to_string())
}

fn out_of_memory(message: &str) -> Error {
    Error::new(SqlState::OUT_OF_MEMORY, "out of memory").detail(message.to_owned())
}

/// An Arrow kernel refused something we did not expect.
pub fn arrow_error(e: arrow::error::ArrowError) -> Error {
    Error::internal(format!("arrow: {e}"))
}

/// `integer out of range` and its siblings.
pub(crate) fn out_of_range(type_name: &str) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{type_name} out of range"))
}

/// `division by zero`
pub(crate) fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// `value out of range: overflow`
pub(crate) fn float_overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

/// `value out of range: underflow`
pub(crate) fn float_underflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
}

/// `22023` with a message.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}
