-- Facts written before scopes existed belong to operations. The mark in `metadata` is what lets down.sql find them again.
UPDATE "DashboardFact"
SET "scope" = 'ops',
    "metadata" = COALESCE("metadata", '{}'::jsonb) || '{"scopeBackfilled": true}'::jsonb
WHERE "scope" IS NULL;
