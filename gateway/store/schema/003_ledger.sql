-- The chain of what was ordered, decided, written and answered; `record` is JSON, `hash` is over the hash before it and
-- the record, `signature` is over the hash, on the last record of each commit. What stood before the oldest record is
-- in meta under `ledger_base`.
create table ledger (n integer primary key, record blob not null, hash blob not null, signature blob) strict;
