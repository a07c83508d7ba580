//! What must hold of whatever the wrapped programs print; see `crate::fuzz`.

use crate::process::said;
use crate::tools::{prisma, prisma_error, schema_reading, squawk, supabase};

/// Output of the Prisma CLI, the Supabase CLI, the schema engine or squawk, or none of them: an explanation is short, in single lines, and of
/// what was printed; what is not theirs is no answer.
pub fn output(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text.lines().map(said::plain).collect();
    for explanation in [prisma_error::explain(&lines), supabase::explain(&lines)].into_iter().flatten() {
        assert!(!explanation.message.contains('\n') && !explanation.code.contains('\n'), "{}", explanation.message);
        assert!(explanation.details.len() <= 20 + lines.len() / 2, "{:?}", explanation.details);
        let numbers = explanation.details.iter().filter_map(|detail| prisma_error::quoted_line(detail));
        numbers.for_each(|(_, sql)| assert!(lines.iter().any(|line| line.contains(sql)) || sql.is_empty(), "{sql}"));
    }
    let why = said::why(&lines);
    assert!(!why.contains('\n'), "{why}");
    let told: Vec<&String> = lines.iter().filter(|line| said::is_an_error(line)).collect();
    assert!(told.iter().all(|line| said::may_be_an_error(line.as_bytes())), "passed over: {told:?}");
    let _ = schema_reading::judge(bytes);
    assert!(prisma::pending_of(&text).iter().all(|name| text.contains(name.as_str()) && !name.is_empty()));
    if let Some(findings) = squawk::read(bytes) {
        assert!(findings.iter().all(|finding| finding.line > 0), "{findings:?}");
    }
}
