//! What pg_prepared_statements and pg_cursors show of a session. They show it to the session itself only: it is listed when a statement
//! that reads one of them begins, and nothing is kept for them but times and counts.

use crate::portal::Portal;
use crate::prepared::Named;
use crate::session::Session;
use heddle_planner::{Inventory, OpenCursor, PreparedStatement};

/// The portal that a statement runs in, or the cursor that is being declared. It is not in its place meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Running<'a> {
    pub name: &'a str,
    pub portal: &'a Portal,
}

impl Session {
    /// What there is now.
    pub(crate) fn inventory(&self, running: Running<'_>) -> Inventory {
        let named = self.prepared.iter().filter(|(name, _)| !name.is_empty());
        let portals = self.portals.iter().chain([(running.name, running.portal)]);
        Inventory { statements: named.map(statement).collect(), cursors: portals.filter_map(cursor).collect() }
    }
}

fn statement((name, named): (&str, &Named)) -> PreparedStatement {
    PreparedStatement {
        name: name.to_owned(),
        text: named.prepared.source().to_owned(),
        prepared_us: named.since_us,
        parameters: named.prepared.params.iter().map(|ty| ty.oid).collect(),
        from_sql: named.from_sql,
        uses: named.uses,
    }
}

fn cursor((name, portal): (&str, &Portal)) -> Option<OpenCursor> {
    let made_us = portal.made_us?;
    let text = portal.prepared.source().to_owned();
    let options = portal.options;
    let (hold, binary, scroll) = (options.hold, options.binary, options.scroll);
    Some(OpenCursor { name: name.to_owned(), text, hold, binary, scroll, made_us })
}
