//! What the role may do on the server, and what is set for it.

causes! {}
