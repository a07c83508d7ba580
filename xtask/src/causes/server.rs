//! SQLSTATEs of the server (PostgreSQL documentation, appendix A), where its own words are not enough.

causes! {}
