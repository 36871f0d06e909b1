//! The reference page of all settings, `docs/guide/settings.md`, made from the tables themselves.
//!
//! `heddledb settings` prints it, `cargo xtask docs` writes it, a test checks that the page in the repository is current.

use crate::settings::SETTINGS;
use crate::sources::variable;
use heddle_session::settings::{self as session, Domain, Scope, SettingDef};
use std::fmt::Write;

const INTRODUCTION: &str = "\
# Settings

<!-- Made by `cargo xtask docs` from the tables in the code. Do not edit. -->

## Server settings

Read at start, from a TOML file (`--config FILE`, `name = value`), then from environment variables, then from flags of
`heddledb start`; the later one wins. `SHOW name` shows the value in use. Sizes are written with `B`, `kB`, `MB`, `GB` or `TB`;
a bare number is bytes. A change takes effect as the column *change* says.

| name | flag | environment | default | range | change | |
|---|---|---|---|---|---|---|
";

const SESSION: &str = "
## Session settings

Changed with `SET`, shown with `SHOW`; a client may give them when it connects. Names, values and the rules of transactions are
PostgreSQL's.

| name | default | values | who changes it | |
|---|---|---|---|---|
";

const INERT: &str = "
## Session settings without effect

Clients of PostgreSQL set these out of habit. They are kept and shown, and change nothing:
";

/// The whole page.
pub fn settings_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for s in SETTINGS {
        let default = if s.default.is_empty() { "must be given".to_owned() } else { format!("`{}`", s.default) };
        let (name, flag, variable) = (s.name, s.flag, variable(s));
        let (range, rule, about) = (s.domain.range(), s.reload.rule(), s.about);
        put(&mut page, &format!("| `{name}` | `--{flag}` | `{variable}` | {default} | {range} | {rule} | {about} |\n"));
    }
    page += SESSION;
    for s in session::SETTINGS {
        let default = if s.default.is_empty() { String::new() } else { format!("`{}`", s.default) };
        put(&mut page, &format!("| `{}` | {default} | {} | {} | {} |\n", s.name, values(s), who(s), s.description));
    }
    page += INERT;
    let names: Vec<String> = session::INERT.iter().map(|(name, default)| format!("`{name}` ({default})")).collect();
    put(&mut page, &wrapped(&names));
    page
}

fn put(page: &mut String, text: &str) {
    page.write_str(text).expect("a String takes everything");
}

fn who(setting: &SettingDef) -> &'static str {
    match setting.scope {
        Scope::User => "anybody",
        Scope::Internal => "nobody",
        Scope::Postmaster => "server start",
    }
}

fn values(setting: &SettingDef) -> String {
    match setting.domain {
        Domain::Bool => "on, off".to_owned(),
        Domain::Int { min, max, .. } if min == max => "fixed".to_owned(),
        Domain::Int { unit: "", min, max } => format!("{min} .. {max}"),
        Domain::Int { unit, min, max } => format!("{min} .. {max} {unit}"),
        Domain::Real { min, max } => format!("{min} .. {max}"),
        Domain::Enum(words) => words.join(", "),
        Domain::Text => "text".to_owned(),
        Domain::TimeZone => "a time zone".to_owned(),
        Domain::DateStyle => "ISO, SQL, Postgres, German; MDY, DMY, YMD".to_owned(),
        Domain::Encoding => "UTF8".to_owned(),
        Domain::NameList => "a list of names".to_owned(),
    }
}

/// The words as a paragraph of at most 120 columns.
fn wrapped(words: &[String]) -> String {
    let mut text = String::new();
    let mut column = 0;
    for (i, word) in words.iter().enumerate() {
        let word = if i + 1 < words.len() { format!("{word},") } else { format!("{word}.") };
        let separator = if column == 0 || column + 1 + word.len() > 120 { "\n" } else { " " };
        column = if separator == "\n" { word.len() } else { column + 1 + word.len() };
        text += separator;
        text += &word;
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    #[test]
    fn page_in_the_repository_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/settings.md");
        let page = std::fs::read_to_string(path).expect("the page is in the repository");
        assert!(page == super::settings_page(), "docs/guide/settings.md is not current: run `cargo xtask docs`");
    }
}
