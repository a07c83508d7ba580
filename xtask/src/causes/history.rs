//! Where the ledger and the folder of migrations do not agree, and where the schema is not what they make.

causes! {}
