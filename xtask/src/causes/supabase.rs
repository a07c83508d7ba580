//! The codes in the JSON of the Supabase CLI. Source: the CLI itself, 2.122 and 3.1, with each of these brought about.

use crate::causes::Fix::{Advice, Run, Shell};

causes! {
    NOT_CONNECTED {
        name: "supabase-cannot-connect",
        title: "The Supabase CLI gets no session with the server",
        codes: &["DbConnectError"],
        fix: Run("doctor"),
        more: "It reaches the server through the drill, which had a session of its own a moment before. So something changed in between. What the CLI suggests about network \
               restrictions is meant for a hosted project without the drill.",
    }
    SCRIPT_REFUSED {
        name: "mirror-script-fails",
        title: "The server refused a statement of the mirror's script",
        codes: &["DbQueryExecError"],
        fix: Advice("correct that statement in the mirror's script; nothing of the script is there"),
        more: "The script runs as one statement, so it is all there or not at all. The CLI passes on the server's sentence without its SQLSTATE and line.",
    }
    ASKED_OTHERWISE {
        name: "supabase-cli-changed",
        title: "The Supabase CLI does not take what it is asked as the drill asks it",
        codes: &["HostedMutationConsentRequiredError", "LinkBranchNotLinkedError", "DbQueryReadFileError"],
        fix: Shell("npm install --save-dev supabase@3.1.0"),
        more: "The drill passes its user's consent on, and names target and script by flags, as 2.122 and 3.1.0 want them. Another release of the CLI seems to want something else: please report it.",
    }
}
