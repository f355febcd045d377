"""The table of sessions: which session a name stands for in a notebook."""

from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.sessions import SessionLocation
from swiftask_jupyter.ledger.sqlite import SQLiteStore


def test_two_kernels_that_begin_the_same_session_at_once_share_it(tmp_path):
    """Neither finds a session; the second gets the first one's when it writes."""
    store = tmp_path / "turns.db"
    first, second = Ledger(SQLiteStore(store)), Ledger(SQLiteStore(store))
    assert second.sessions.find("/nb.ipynb", "main") is None

    session = first.sessions.create("/nb.ipynb", "main")

    assert second.sessions.create("/nb.ipynb", "main") == session
    assert second.sessions.create("/nb.ipynb", "main", instead_of=session) != session
    first.close()
    second.close()


def test_a_name_stands_for_the_session_that_it_was_last_given(ledger):
    first = ledger.sessions.create("/nb.ipynb", "main")
    second = ledger.sessions.create("/nb.ipynb", "main", instead_of=first)

    assert ledger.sessions.find("/nb.ipynb", "main") == second
    ledger.sessions.assign(first, "/nb.ipynb", "main")
    assert ledger.sessions.find("/nb.ipynb", "main") == first


def test_each_notebook_has_its_own_sessions_and_so_has_no_notebook(ledger):
    for notebook, name in [("/a.ipynb", "main"), ("/a.ipynb", "side"), (None, "main")]:
        ledger.sessions.create(notebook, name)

    assert ledger.sessions.names("/a.ipynb") == ["main", "side"]
    assert ledger.sessions.names(None) == ["main"]
    assert ledger.sessions.names("/b.ipynb") == []
    assert ledger.sessions.find(None, "main") != ledger.sessions.find("/a.ipynb", "main")
    assert ledger.sessions.find("/b.ipynb", "main") is None
    assert ledger.sessions.location("unknown") is None


def test_the_sessions_of_a_renamed_notebook_follow_it_but_those_of_a_copied_one_stay(
    ledger, tmp_path
):
    old, new = str(tmp_path / "old.ipynb"), str(tmp_path / "new.ipynb")
    session = ledger.sessions.create(old, "main")

    (tmp_path / "old.ipynb").touch()
    ledger.sessions.rename_notebook(old, new)
    assert ledger.sessions.find(new, "main") is None

    (tmp_path / "old.ipynb").unlink()
    ledger.sessions.rename_notebook(old, new)
    assert ledger.sessions.find(new, "main") == session
    assert ledger.sessions.location(session) == SessionLocation(new, "main")


def test_a_session_is_found_by_the_file_that_it_was_last_used_in(ledger):
    first, second = (ledger.sessions.create(name, "main") for name in ("/a.ipynb", "/b.ipynb"))
    assert ledger.sessions.file(first) is None
    ledger.sessions.set_file(first, "7 1.5")
    ledger.sessions.set_file(second, "7 1.5")
    ledger.sessions.set_file(first, "8 1.5")

    assert ledger.sessions.file(first) == "8 1.5"
    assert ledger.sessions.of_file("7 1.5") == [first, second]
    assert ledger.history.marks(ledger.history.segments(first)) == []


def test_every_session_that_a_name_has_stood_for_is_kept(ledger):
    first = ledger.sessions.create("/a.ipynb", "main")
    second = ledger.sessions.create("/a.ipynb", "main", instead_of=first)
    ledger.sessions.create("/a.ipynb", "side")

    assert ledger.sessions.earlier("/a.ipynb", "main") == [first, second]
