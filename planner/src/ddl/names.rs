//! Names of indexes and constraints: PostgreSQL's choice (`t_pkey`, `t_a_b_key`, then `t_a_b_key1` …).

/// Identifiers are at most this long.
const NAME_BYTES_MAX: usize = 63;

/// `name1_name2_label`, the names shortened alternately so that the whole fits (makeObjectName).
pub(super) fn object_name(name1: &str, name2: Option<&str>, label: &str) -> String {
    let overhead = label.len() + 1 + usize::from(name2.is_some());
    let available = NAME_BYTES_MAX.saturating_sub(overhead);
    let (mut len1, mut len2) = (name1.len(), name2.map_or(0, str::len));
    while len1 + len2 > available {
        if len1 > len2 { len1 -= 1 } else { len2 -= 1 }
    }
    let mut out = name1[..name1.floor_char_boundary(len1)].to_owned();
    if let Some(name2) = name2 {
        out.push('_');
        out.push_str(&name2[..name2.floor_char_boundary(len2)]);
    }
    out.push('_');
    out.push_str(label);
    out
}

/// The first of `label`, `label1`, `label2` … that is free (ChooseRelationName).
pub(crate) fn choose(name1: &str, name2: Option<&str>, label: &str, taken: &dyn Fn(&str) -> bool) -> String {
    let mut pass = 0;
    loop {
        let suffix = if pass == 0 { label.to_owned() } else { format!("{label}{pass}") };
        let name = object_name(name1, name2, &suffix);
        if !taken(&name) {
            return name;
        }
        pass += 1;
    }
}

/// Column names joined by `_`, cut at the identifier length (ChooseIndexNameAddition).
pub(crate) fn columns<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for name in names {
        if !out.is_empty() {
            out.push('_');
        }
        out.push_str(name);
        if out.len() > NAME_BYTES_MAX {
            break;
        }
    }
    out.truncate(out.floor_char_boundary(NAME_BYTES_MAX));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_postgresql() {
        assert_eq!(object_name("t", None, "pkey"), "t_pkey");
        assert_eq!(object_name("t", Some("a_b"), "key"), "t_a_b_key");
        let long = "x".repeat(63);
        assert_eq!(object_name(&long, None, "pkey").len(), 63);
        assert_eq!(choose("t", Some("a"), "key", &|n| n == "t_a_key"), "t_a_key1");
    }
}
