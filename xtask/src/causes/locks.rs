//! Who holds what a migration needs.

causes! {}
