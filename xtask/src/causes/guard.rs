//! What the guard refuses: layers 1 to 4.

causes! {}
