"""The outbox keeps transactions in a file; `test_postgres` covers their delivery."""

from swiftask_jupyter.ledger.outbox import Outbox


def test_a_transaction_waits_in_the_file_also_after_it_was_closed(tmp_path):
    outbox = Outbox(tmp_path / "outbox.db")
    outbox.add([("INSERT INTO t VALUES (?)", ["x"])])
    outbox.close()

    assert Outbox(tmp_path / "outbox.db").count() == 1


def test_an_outbox_creates_no_file_before_a_transaction_waits(tmp_path):
    outbox = Outbox(tmp_path / "outbox.db")
    outbox.add([])

    assert outbox.count() == 0
    assert list(tmp_path.iterdir()) == []
