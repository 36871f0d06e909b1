//! What every row engine must do, as functions a test calls with a way to make the engine.
