//! The file that says where the target is, and what somebody left in it.

causes! {}
