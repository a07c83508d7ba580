//! This machine, and what runs leave on it.

causes! {}
