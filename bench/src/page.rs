//! The tables in `docs/performance.md`: each between two markers, the text around them is written by people.

use crate::Result;
use std::path::Path;

/// Replaces what stands between the markers of `name`.
///
/// # Errors
/// When the page cannot be read or written, or has no such markers.
pub fn write(page: &Path, name: &str, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(page).map_err(|e| format!("could not read {}: {e}", page.display()))?;
    let text = replace(&text, name, table).ok_or(format!("{} has no markers for {name}", page.display()))?;
    std::fs::write(page, text).map_err(|e| format!("could not write {}: {e}", page.display()))
}

fn replace(text: &str, name: &str, table: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- bench {name} -->\n"), format!("<!-- end {name} -->"));
    let from = text.find(&begin)? + begin.len();
    let to = from + text[from..].find(&end)?;
    Some(format!("{}{table}{}", &text[..from], &text[to..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_part_is_replaced() {
        let text = "a\n<!-- bench x -->\nold\n<!-- end x -->\nb\n";
        assert_eq!(replace(text, "x", "new\n").unwrap(), "a\n<!-- bench x -->\nnew\n<!-- end x -->\nb\n");
        assert!(replace(text, "y", "new").is_none());
    }
}
