//! `docs/evidence.schema.json` against every record that any test leaves, whatever became of its run.

use std::path::Path;
use std::sync::OnceLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use crate::server::workspace;

/// What the schema has against a record; None when it is one.
pub fn complaint(record: &Value) -> Option<String> {
    static SCHEMA: OnceLock<(Schemas, SchemaIndex)> = OnceLock::new();
    let (schemas, index) = SCHEMA.get_or_init(|| {
        let mut schemas = Schemas::new();
        let path = workspace().join("docs/evidence.schema.json");
        let index = Compiler::new().compile(path.to_str().unwrap(), &mut schemas).unwrap();
        (schemas, index)
    });
    schemas.validate(record, *index).err().map(|error| format!("{error:#}"))
}

/// Panics when a record in `evidence`, a folder of runs, does not follow the schema.
pub fn assert_followed(evidence: &Path) {
    for entry in std::fs::read_dir(evidence).into_iter().flatten().flatten() {
        let path = entry.path().join("run.json");
        if let Ok(bytes) = std::fs::read(&path) {
            let record = serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let complaint = complaint(&record);
            assert!(complaint.is_none(), "{}: {}", path.display(), complaint.unwrap_or_default());
        }
    }
}
