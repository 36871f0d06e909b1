//! Where settings come from: a TOML file < environment variables `HEDDLEDB_…` < flags. The later one wins, setting by setting.
//!
//! An unknown name in the file is an error. An unknown `HEDDLEDB_…` variable is only reported: the environment is shared with
//! other programs.

use crate::settings::{Config, SETTINGS, Setting};
use figment::Figment;
use figment::providers::{Format, Toml};
use figment::value::Value;
use heddle_types::{Error, Result, SqlState};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// Values by the setting's name, and where they are from.
#[derive(Clone, Debug)]
pub struct Layer {
    origin: String,
    values: BTreeMap<String, String>,
}

impl Layer {
    /// The command line's.
    pub fn flags(values: BTreeMap<String, String>) -> Self {
        Self { origin: "the command line".to_owned(), values }
    }

    /// A configuration file's.
    ///
    /// # Errors
    /// `58030` when it cannot be read, `22023` when it is not TOML or has an unknown name.
    pub fn file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Error::new(SqlState::IO_ERROR, format!("could not read configuration file \"{}\": {e}", path.display()))
        })?;
        Self::toml(&text, &path.display().to_string())
    }

    fn toml(text: &str, path: &str) -> Result<Self> {
        let origin = format!("configuration file \"{path}\"");
        let bad = |why: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("{origin}: {why}"));
        let parsed: BTreeMap<String, Value> =
            Figment::from(Toml::string(text)).extract().map_err(|e| bad(e.to_string()))?;
        let mut values = BTreeMap::new();
        for (name, value) in parsed {
            if !SETTINGS.iter().any(|s| s.name == name) {
                return Err(bad(format!("unknown setting \"{name}\"")));
            }
            let text = plain(&value).ok_or_else(|| bad(format!("setting \"{name}\" takes a single value")))?;
            values.insert(name, text);
        }
        Ok(Self { origin, values })
    }

    /// The environment's; the second result names variables that are no setting.
    ///
    /// # Errors
    /// `22021` when a value is not UTF-8.
    pub fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<(Self, Vec<String>)> {
        let (mut values, mut unknown) = (BTreeMap::new(), vec![]);
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|n| n.starts_with(PREFIX)) else { continue };
            match SETTINGS.iter().find(|s| variable(s) == name) {
                Some(setting) => {
                    let text = value.into_string().map_err(|_| {
                        let message = format!("environment variable {name} is not valid UTF-8");
                        Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
                    })?;
                    values.insert(setting.name.to_owned(), text);
                }
                None => unknown.push(name.to_owned()),
            }
        }
        Ok((Self { origin: "the environment".to_owned(), values }, unknown))
    }
}

const PREFIX: &str = "HEDDLEDB_";

/// A setting's environment variable.
pub fn variable(setting: &Setting) -> String {
    format!("{PREFIX}{}", setting.name.to_ascii_uppercase())
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, on) => Some(on.to_string()),
        Value::Num(_, n) => n.to_i128().map(|n| n.to_string()).or_else(|| n.to_f64().map(|n| n.to_string())),
        _ => None,
    }
}

/// Joins the layers, later ones over earlier ones, over the defaults.
///
/// # Errors
/// `22023` when a value is outside of its domain (says where it is from) or a needed one is missing.
pub fn load(layers: &[Layer]) -> Result<Config> {
    let find = |s: &Setting| layers.iter().rev().find_map(|l| l.values.get(s.name).map(|v| (v, &l.origin)));
    let mut last = None;
    let config = Config::read(|setting| {
        let found = find(setting);
        last = found.map(|(_, origin)| origin.clone());
        Ok(found.map_or_else(|| setting.default.to_owned(), |(text, _)| text.clone()))
    });
    config.map_err(|e| match &last {
        Some(origin) => e.hint(format!("The value is from {origin}.")),
        None => e.hint("Give it on the command line, in the environment or in the configuration file."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> (Layer, Vec<String>) {
        Layer::environment(pairs.iter().map(|(n, v)| (n.into(), v.into()))).unwrap()
    }

    #[test]
    fn later_layers_win() {
        let file =
            Layer::toml("data_directory = '/a'\nbatch_rows = 100\nmax_connections = 5\ninsecure = true", "f").unwrap();
        let (environment, unknown) =
            environment(&[("HEDDLEDB_MAX_CONNECTIONS", "6"), ("HEDDLEDB_BATCH_ROWS", "200"), ("HOME", "x")]);
        let flags = Layer::flags(BTreeMap::from([("batch_rows".to_owned(), "300".to_owned())]));
        let config = load(&[file, environment, flags]).unwrap();
        assert_eq!((config.batch_rows, config.max_connections, config.insecure), (300, 6, true));
        assert!(unknown.is_empty());
    }

    #[test]
    fn unknown_names_are_told() {
        assert!(Layer::toml("nope = 1", "f").unwrap_err().message().contains("unknown setting \"nope\""));
        assert!(Layer::toml("batch_rows = [1]", "f").unwrap_err().message().contains("single value"));
        assert!(Layer::toml("batch_rows = ", "f").is_err());
        assert_eq!(environment(&[("HEDDLEDB_NOPE", "6")]).1, ["HEDDLEDB_NOPE"]);
    }

    #[test]
    fn errors_say_where_the_value_is_from() {
        let (environment, _) = environment(&[("HEDDLEDB_DATA_DIRECTORY", "007"), ("HEDDLEDB_BATCH_ROWS", "0")]);
        let error = load(&[environment]).unwrap_err();
        assert_eq!(error.fields().hint.as_deref(), Some("The value is from the environment."));
        let error = load(&[]).unwrap_err();
        assert_eq!(error.message(), "setting \"data_directory\" has no value");
    }
}
