//! What keeps Prisma's schema engine, its config or the project's schema from being used.

causes! {}
