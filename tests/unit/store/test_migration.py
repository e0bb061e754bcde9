"""A store is brought to the present shape step by step, each step whole or not at all."""

import sqlite3

import pytest

from gateway.store import database


@pytest.fixture
def connection(tmp_path):
    connection = database.connect(tmp_path / "store.db")
    yield connection
    connection.close()


def version(connection):
    return connection.execute("pragma user_version").fetchone()[0]


def tables(connection):
    return {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}


def test_the_shipped_schema_files_are_numbered_from_one_without_a_gap():
    folder = database.files("gateway.store") / "schema"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    assert [int(name[:3]) for name in names] == list(range(1, len(names) + 1))
    assert len(names) == len(database.migrations()) >= 1


def test_each_step_is_done_once(connection):
    steps = ["create table a (x);", "create table b (x); insert into b values (1);"]
    database.migrate(connection, steps[:1])
    database.migrate(connection, steps)
    database.migrate(connection, steps)
    assert tables(connection) == {"a", "b"}
    assert version(connection) == 2
    assert connection.execute("select count(*) from b").fetchone() == (1,)


def test_a_step_that_fails_leaves_the_store_at_the_one_before(connection):
    steps = ["create table a (x);", "create table b (x); insert into nowhere values (1);"]
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        database.migrate(connection, steps)
    assert tables(connection) == {"a"}
    assert version(connection) == 1
    assert not connection.in_transaction


def test_commits_are_made_durable_and_the_log_is_bounded(connection):
    assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
    assert connection.execute("pragma synchronous").fetchone() == (2,)  # FULL
    assert connection.execute("pragma journal_size_limit").fetchone() == (database.WAL_BYTES,)
