-- AlterTable
ALTER TABLE "Session" ADD COLUMN     "collaborator" BOOLEAN DEFAULT false,
ADD COLUMN     "emailVerified" BOOLEAN DEFAULT false;
