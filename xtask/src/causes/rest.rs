//! Why there is no count over Supabase's REST API.

causes! {}
