//! Node's own codes, as a program of the project prints them.

causes! {}
