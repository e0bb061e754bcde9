-- The first shape of the store. Times are seconds since 1970 in UTC; numbers start at 1 and are never used twice.

-- epoch, session, closed (1 after a clean close), gone (runs of numbers without frames), last_message
create table meta (key text primary key, value any not null) strict, without rowid;

-- One revision of an order; `body` is the JSON of model.Entry. `ended`: it has had its last word.
create table entry (
    id text not null,
    revision integer not null,
    ended integer not null,
    changed real not null,
    body blob not null,
    primary key (id, revision)
) strict;

create table hold (point text primary key, before real) strict, without rowid;

-- Frames that were committed together, numbered first to last; `body` is their JSON, compressed and check-summed.
create table block (
    first integer primary key,
    last integer not null,
    oldest real not null,
    newest real not null,
    body blob not null
) strict;

create table message (
    number integer primary key,
    time real not null,
    topic text not null,
    uplink text,
    response_topic text,
    correlation blob,
    ref text,
    payload blob not null
) strict;

-- What each uplink has acknowledged, as JSON runs [[first, last], ...].
create table position (uplink text primary key, frames blob not null, messages blob not null) strict, without rowid;
