-- CreateTable
CREATE TABLE "DashboardFact" (
    "id" SERIAL NOT NULL,
    "shopDomain" TEXT NOT NULL,
    "factType" TEXT NOT NULL,
    "scope" TEXT,
    "value" JSONB NOT NULL,
    "metadata" JSONB,
    "evidenceUrl" TEXT,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "DashboardFact_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "DecisionLog" (
    "id" SERIAL NOT NULL,
    "scope" TEXT NOT NULL,
    "actor" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "rationale" TEXT,
    "evidenceUrl" TEXT,
    "shopDomain" TEXT,
    "externalRef" TEXT,
    "payload" JSONB,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "DecisionLog_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "DashboardFact_shopDomain_factType_idx" ON "DashboardFact"("shopDomain", "factType");

-- CreateIndex
CREATE INDEX "DashboardFact_createdAt_idx" ON "DashboardFact"("createdAt");

-- CreateIndex
CREATE INDEX "DecisionLog_scope_createdAt_idx" ON "DecisionLog"("scope", "createdAt");
