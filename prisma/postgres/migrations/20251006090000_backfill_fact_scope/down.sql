-- Takes back exactly the rows that migration.sql marked.
UPDATE "DashboardFact"
SET "scope" = NULL,
    "metadata" = NULLIF("metadata" - 'scopeBackfilled', '{}'::jsonb)
WHERE "metadata" @> '{"scopeBackfilled": true}'::jsonb;
