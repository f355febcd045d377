"""Which store a path or URL opens, and which names are refused."""

from pathlib import Path

import pytest

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.ledger.opening import open_store


@pytest.mark.parametrize(
    "name",
    [
        "postgresql+psycopg://ada:s3cret@db/turns", "mysql://ada:s3cret@db/turns",
        "sqlite:///s3cret.db", "jdbc:postgresql://ada:s3cret@db/turns", "ada:s3cret@db/turns",
        "host=db password=s3cret", "sslmode=require PASSWORD = s3cret",
        "postgresql:/ada:s3cret@db/turns", "postgresql://ada:s3c@ret@db/turns",
        "postgresql://ada:s3c/ret@db/turns", Path("postgresql://ada:s3cret@db/turns"),
        "postgresql://ada:s3c%ret@db/turns", "postgresql://ada:s3c%00ret@db/turns",
        "postgresql://ada:s3c ret@db/turns", "postgresql://ada@db/turns?password=s3c%",
    ],
)  # fmt: skip
def test_an_unknown_kind_of_name_is_refused_without_repeating_its_password(name):
    with pytest.raises(ConfigurationError, match="ledger") as raised:
        open_store(name, {})

    assert "s3c" not in str(raised.value)


@pytest.mark.parametrize(
    "name", ["POSTGRESQL://ada:s3cret@db/turns", " Postgres://ada:s3cret@db/turns?sslmode=require"]
)
def test_the_scheme_of_a_server_may_be_spelled_in_any_case(name, tmp_path):
    assert "db/turns" in (shown := str(open_store(name, {"SWIFTASK_OUTBOX": str(tmp_path)})))
    assert "postgres" in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    "name", ["run=3/turns.db", "a b/me@home.db", "C:/turns.db", "turns.db", "~nobody-here/x.db"]
)
def test_a_path_that_resembles_a_url_is_a_path(name):
    assert open_store(name, {}).path == Path(name).absolute()
