"""The ledger's SQL as PostgreSQL accepts it, and the recording of what is written."""

from swiftask_jupyter.ledger.postgres_connection import RecordingConnection, to_postgres


def test_placeholders_types_and_nul_characters_are_translated():
    assert to_postgres("SELECT ? WHERE a = ?", ("a\x00b", 1)) == (
        "SELECT %s WHERE a = %s",
        ("a\u2400b", 1),
    )
    assert to_postgres("ALTER TABLE t ADD COLUMN a REAL")[0].endswith("a DOUBLE PRECISION")
    assert to_postgres("CREATE TABLE t (a INTEGER)")[0] == "CREATE TABLE t (a BIGINT)"


def test_without_a_server_writes_are_recorded_and_queries_find_nothing():
    connection = RecordingConnection(None)
    connection.begin("SELECT lock()")

    found = connection.execute("SELECT a FROM t")
    written = connection.execute("INSERT INTO t VALUES (?)", ("x",))

    assert (found.fetchall(), found.fetchone(), list(found)) == ([], (None,), [])
    assert written.rowcount == 1
    assert connection.commit() is False
    assert connection.written == [("INSERT INTO t VALUES (?)", ["x"])]
