//! Node, and what a package manager installs.

causes! {}
