"""One ledger for a team: PostgreSQL by URL, and what happens while its server is away."""

import asyncio
import threading
import time

import pandas as pd
import psycopg
import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.opening import open_store
from swiftask_jupyter.ledger.postgres import mask_password
from swiftask_jupyter.turns.budget import parse_budget


@pytest.fixture
def server(postgres_server):
    """A server that a test may stop: it runs again afterwards."""
    yield postgres_server
    with psycopg.connect(postgres_server.url()):
        pass


@pytest.fixture(autouse=True)
def outbox(monkeypatch, tmp_path):
    monkeypatch.setenv("SWIFTASK_OUTBOX", str(tmp_path / "out"))
    monkeypatch.setattr("swiftask_jupyter.ledger.postgres.RETRY_AFTER_SECONDS", 0.0)


def asking(box, url, **named):
    return Swiftask(
        base_url=box.url, token=box.token, agent="echo", dialect="openai", store=url, **named
    )


def test_a_conversation_goes_on_in_another_process_and_the_frame_is_as_in_a_file(
    box, server, tmp_path
):
    url = server.database()
    with asking(box, url, notebook="/n.ipynb") as one:
        one.session().ask("first")
    with asking(box, url, notebook="/n.ipynb") as other, asking(box, tmp_path / "t.db") as file:
        other.session().ask("second")
        file.ask("first")
        frame, alone = other.usage(), file.usage()

    assert [each["content"] for each in box.requests[-2].json["messages"]] == [
        "first", "first", "second",
    ]  # fmt: skip
    assert frame["status"].tolist() == ["ok", "ok"]
    assert list(map(str, frame.dtypes[:-1])) == list(map(str, alone.dtypes))
    assert frame["user"].tolist() == ["ada", "ada"]


def add_bob(url):
    """Make a second user of the server."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS bob")
        connection.execute("CREATE ROLE bob LOGIN SUPERUSER")


def test_users_share_the_ledger_and_not_their_conversations(box, server):
    url = server.database()
    add_bob(url)
    with asking(box, url, notebook="/home/jovyan/Untitled.ipynb") as ada:
        ada.session().ask("between us")
    with asking(box, url.replace("ada@", "bob@"), notebook="/home/jovyan/Untitled.ipynb") as bob:
        bob.session().ask("hello")
        frame, sums = bob.usage(), bob.usage("user")

    assert [each["content"] for each in box.requests[-1].json["messages"]] == ["hello"]
    assert frame["user"].tolist() == ["ada", "bob"]
    assert frame["session"].nunique() == 2
    assert dict(zip(sums["user"], sums["calls"], strict=True)) == {"ada": 1, "bob": 1}


def test_while_the_server_is_away_a_call_works_says_so_and_is_delivered_later(box, server):
    url = server.database()
    with asking(box, url, notebook="/n.ipynb") as client:
        client.session().ask("first")
        server.stop()

        answer = client.session().ask("second")
        with pytest.raises(errors.StoreUnreachable, match=r"can't be reached|was lost"):
            client.usage()

        assert answer.text == "second"
        assert any("sent without history:" in remark for remark in answer.reply.remarks)
        server.start()
        third = client.session().ask("third")
        frame = client.usage()
    assert third.reply.remarks == []
    assert frame["status"].tolist() == ["ok"] * 3
    assert not frame["turn"].duplicated().any()


def test_a_client_that_starts_while_the_server_is_away_works_and_delivers_later(box, server):
    url = server.database()
    server.stop()
    try:
        with asking(box, url, notebook="/n.ipynb") as early:
            answer = early.session().ask("hello")
            assert answer.text == "hello"
            assert "stays out of the conversation" in " ".join(answer.reply.remarks)
            assert early.ask("hello again", cache="on").text == "hello again"
    finally:
        server.start()

    with asking(box, url, notebook="/n.ipynb") as later:
        later.session().ask("I am back")
        assert later.usage(text=True)["prompt"].tolist() == ["hello", "hello again", "I am back"]


def test_a_server_that_stops_and_starts_in_a_run_of_200_calls_has_200_rows(box, server):
    """None is lost, none is there twice, and each is there as it ended."""
    url, halfway = server.database(), threading.Event()

    def crash():
        halfway.wait()
        server.stop()
        server.start()

    crasher = threading.Thread(target=crash)
    crasher.start()
    with asking(box, url) as client:

        async def run():
            lanes = asyncio.Semaphore(8)

            async def one(number):
                async with lanes:
                    if number == 60:
                        halfway.set()
                    return await client.ask_async(f"number {number}")

            return await asyncio.gather(*(one(number) for number in range(200)))

        answers = asyncio.run(run())
        crasher.join()
        last = client.ask("one more, which brings the others along")
        frame = client.usage()

    assert len(answers) == 200
    assert sorted(frame["turn"]) == sorted(each.turn for each in [*answers, last])
    assert (frame["status"] == "ok").all()


def test_a_user_neither_erases_nor_is_shown_what_another_asked(box, server):
    url = server.database()
    add_bob(url)
    with asking(box, url) as ada, asking(box, url.replace("ada@", "bob@")) as bob:
        ada.session().ask("the same question", cache="on")
        asked = len(box.requests)
        first, again = (
            bob.session().ask("the same question", cache="on", fresh=True) for _ in range(2)
        )

        assert not first.reply.cached
        assert again.reply.cached
        assert len(box.requests) == asked + 1
        assert bob.session().ledger.history.replays() == (1, 1)
        [ada_s] = ada.session().history()
        for asker, turn in [(ada, ada_s.turn), (bob, bob.session().history()[0].turn)]:
            asker.session().ledger.history.mark("comment", asker.session().id, turn, "a thought")
        assert bob.session().purge(1) == 2
        bob.session().ledger.history.purge([ada_s.turn])  # not even by name
        assert ada.session().history() == [ada_s]
        assert [each.answer for each in bob.session().history()] == [""]
        assert bob.session().ledger.history.replays() == (0, 1)
        assert ada.usage(text=True)["comment"].dropna().tolist() == ["a thought"]


def test_a_batch_goes_on_from_the_users_own_answers_alone(box, server):
    url = server.database()
    add_bob(url)
    rows = pd.DataFrame({"text": ["one", "two"]})
    asked = []
    for name in ("ada", "bob", "ada", "bob"):
        with asking(box, url.replace("ada@", f"{name}@")) as client:
            client.map(rows, "{{text}}", confirm=False)
        asked.append(len(box.requests))

    assert asked[0] < asked[1] == asked[2] == asked[3]


def test_a_role_that_may_create_nothing_uses_the_tables_that_there_are(box, server):
    url = server.database()
    schema = url.rpartition("%3D")[2]
    with asking(box, url) as ada:
        ada.ask("from ada")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS carol")
        connection.execute("CREATE ROLE carol LOGIN")
        for grant in (
            f"USAGE ON SCHEMA {schema}",
            f"SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {schema}",
        ):
            connection.execute(f"GRANT {grant} TO carol")
    try:
        with asking(box, url.replace("ada@", "carol@"), notebook="/n.ipynb") as carol:
            carol.session().ask("from carol")
            assert carol.session().purge(1) == 1
            assert carol.usage()["user"].tolist() == ["ada", "carol"]
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP OWNED BY carol")
            connection.execute("DROP ROLE carol")


def cut(server):
    """Cut every connection of ours, as a restart, a network's timeout or a sleeping laptop does."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        cut = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'swiftask-jupyter'"
        ).fetchall()
    assert cut
    assert all(ended for (ended,) in cut)


def test_connections_that_were_cut_while_idle_cost_no_history_and_no_number(box, server, tmp_path):
    with asking(box, server.database(), notebook="/n.ipynb") as client:
        client.budgets.set(parse_budget("3 calls/day"))
        session = client.session()
        answers = []
        for text in ("one", "two", "three"):
            answers.append(session.ask(text))
            cut(server)

        assert [each.reply.number for each in answers] == [1, 2, 3]
        remarks = " ".join(each for answer in answers for each in answer.reply.remarks)
        assert "without history" not in remarks
        assert "not checked" not in remarks
        assert [each["content"] for each in box.requests[-1].json["messages"]] == [
            "one", "one", "two", "two", "three",
        ]  # fmt: skip
        with pytest.raises(errors.BudgetSpent):
            session.ask("four")
        cut(server)
        assert client.session("other").id.startswith("other-")
        assert list((tmp_path / "out").glob("*.db")) == []  # nothing had to wait


def test_what_waits_is_delivered_over_a_connection_that_takes_the_place_of_a_cut_one(
    server, tmp_path
):
    ledger = Ledger(open_store(server.database(), {"SWIFTASK_OUTBOX": str(tmp_path)}))
    ledger.sessions.begin(None, "before")
    waits = "INSERT INTO marks (mark, at, kind) VALUES (?, 1.0, 'waits')"
    ledger.store._outbox.add([(waits, ["m"])])
    cut(server)

    ledger.history.mark("y", None)

    with ledger.store.read() as table:
        rows = table.execute("SELECT kind FROM marks ORDER BY kind").fetchall()
    assert rows == [("waits",), ("y",)]
    ledger.close()


def test_a_session_begun_as_the_server_goes_away_has_a_name_of_its_own(server, tmp_path):
    ledger = Ledger(open_store(server.database(), {"SWIFTASK_OUTBOX": str(tmp_path)}))
    ledger.sessions.begin(None, "before")
    server.stop()
    try:
        begun = [ledger.sessions.begin(None, name) for name in ("one", "other")]
    finally:
        server.start()

    assert [each.rpartition("-")[0] for each in begun] == ["one", "other"]
    ledger.history.mark("x", None)  # brings along what waited
    assert [ledger.sessions.find(None, name) for name in ("one", "other")] == begun
    ledger.close()


def connections(server, role):
    with psycopg.connect(server.url(), autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (role,)
        ).fetchone()
    return row[0]


def test_a_role_that_may_not_make_the_tables_leaves_no_connection_behind(server, tmp_path):
    url = server.database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE dave LOGIN")
        connection.execute(f"GRANT USAGE ON SCHEMA {url.rpartition('%3D')[2]} TO dave")
    named = url.replace("ada@", "dave@")
    ledger = Ledger(open_store(named, {"SWIFTASK_OUTBOX": str(tmp_path)}))
    kept = []  # each error holds its frames, and with them a connection that nobody closed
    try:
        for _ in range(3):
            with pytest.raises(errors.StoreError, match="permission denied") as raised:
                ledger.turns.costs("echo")
            kept.append(raised.value)
        cut_off = time.monotonic() + 10
        while connections(server, "dave") and time.monotonic() < cut_off:
            time.sleep(0.05)  # the server ends a session a moment after its client has left

        assert connections(server, "dave") == 0
    finally:
        ledger.close()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP OWNED BY dave")
            connection.execute("DROP ROLE dave")


def test_a_read_that_ends_after_the_ledger_was_closed_closes_its_connection(server, tmp_path):
    ledger = Ledger(open_store(server.database(), {"SWIFTASK_OUTBOX": str(tmp_path)}))

    with ledger.store.read() as table:
        ledger.close()

    assert table.connection.closed


def test_what_a_database_can_not_hold_is_shown_and_not_lost(box, server):
    with asking(box, server.database()) as client:
        client.ask("a\x00b \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"))

        assert client.usage(text=True)["prompt"].tolist() == ["a\u2400b 😀"]


def test_two_clients_that_open_an_empty_database_at_once_both_write(box, server):
    url = server.database()
    clients = [asking(box, url) for _ in range(4)]
    threads = [threading.Thread(target=client.ask, args=("hello",)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(clients[0].usage()) == 4
    for client in clients:
        client.close()


def test_a_password_is_shown_nowhere(monkeypatch, tmp_path):
    url = "postgresql://ada:s3cret-word@127.0.0.1:1/turns"
    client = Swiftask(store=url)

    with pytest.raises(errors.StoreUnreachable) as raised:
        client.usage()

    assert "s3cret" not in str(raised.value) + str(client.store)
    assert str(client.store) == "postgresql://ada:••••@127.0.0.1:1/turns"
    assert mask_password("postgresql:///turns?password=abc&pwd=abc&Passwd=abc&host=x") == (
        "postgresql:///turns?password=••••&pwd=••••&Passwd=••••&host=x"
    )


def test_without_psycopg_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    client = Swiftask(store="postgresql://127.0.0.1:1/turns")

    with pytest.raises(errors.ConfigurationError, match=r"swiftask-jupyter\[postgres\]"):
        client.usage()


def test_a_frame_of_rows_from_the_server_is_read_in_chunks(server, monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.ledger.usage.CHUNK", 7)
    ledger = Ledger(open_store(server.database(), {}))
    with ledger.store.write() as rows:
        for number in range(20):
            rows.execute(
                "INSERT INTO turns (turn, at, session, owner, status)"
                " VALUES (?, ?, 's', 'x', 'ok')",
                (str(number), float(number)),
            )

    from swiftask_jupyter.usage.query import usage

    frame = usage(ledger.accounts)

    assert len(frame) == 20
    assert isinstance(frame, pd.DataFrame)
    ledger.close()
