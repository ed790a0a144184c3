-- REPLACE is SQLite's: here ON CONFLICT updates the row that is there, and the triggers of an update tell of it. Nothing is
-- to be done, but for the number, which is the same in both.
SELECT 1;
