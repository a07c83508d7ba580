//! The codes of the Supabase CLI.

causes! {}
