"""A ledger shared in PostgreSQL: several users, and a server that stops and starts again."""

import asyncio
import threading
import time

import pandas as pd
import psycopg
import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.answers.turn import Turn
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.migrations import MIGRATIONS
from swiftask_jupyter.ledger.notebook_record import RecordedTurn
from swiftask_jupyter.ledger.opening import open_store
from swiftask_jupyter.ledger.postgres import mask_password, migrate
from swiftask_jupyter.turns.budget import parse_budget


@pytest.fixture
def server(postgres_server):
    """The server, which a test may stop: the fixture checks that it runs again afterwards."""
    yield postgres_server
    with psycopg.connect(postgres_server.url()):
        pass


@pytest.fixture(autouse=True)
def outbox(monkeypatch, tmp_path):
    """Put the outbox into the test's folder, and retry an unreachable server without a delay."""
    monkeypatch.setenv("SWIFTASK_OUTBOX", str(tmp_path / "out"))
    monkeypatch.setattr("swiftask_jupyter.ledger.postgres.RETRY_AFTER_SECONDS", 0.0)


def new_client(box, store, **options):
    """Return a client of the sandbox with that store."""
    return Swiftask(
        base_url=box.url, token=box.token, agent="echo", dialect="openai", store=store, **options
    )


def test_another_client_continues_a_conversation_and_the_frame_is_as_with_a_file(
    box, server, tmp_path
):
    url = server.database()
    with new_client(box, url, notebook="/n.ipynb") as one:
        one.session().ask("first")
    with (
        new_client(box, url, notebook="/n.ipynb") as other,
        new_client(box, tmp_path / "t.db") as file,
    ):
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
    """Create a second user of the server."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS bob")
        connection.execute("CREATE ROLE bob LOGIN SUPERUSER")


def test_users_share_the_ledger_but_not_their_conversations(live, box, server):
    url = server.database()
    add_bob(url)
    with new_client(box, url, notebook="/home/jovyan/Untitled.ipynb") as ada:
        ada.session().ask("between us")
    with new_client(
        box, url.replace("ada@", "bob@"), notebook="/home/jovyan/Untitled.ipynb"
    ) as bob:
        bob.session().ask("hello")
        frame, sums = bob.usage(), bob.usage("user")

    assert [each["content"] for each in box.requests[-1].json["messages"]] == ["hello"]
    assert frame["user"].tolist() == ["ada", "bob"]
    assert frame["session"].nunique() == 2
    assert dict(zip(sums["user"], sums["calls"], strict=True)) == {"ada": 1, "bob": 1}


def test_a_call_while_the_server_is_down_works_with_a_remark_and_is_delivered_later(box, server):
    url = server.database()
    with new_client(box, url, notebook="/n.ipynb") as client:
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


def test_a_client_started_while_the_server_is_down_works_and_delivers_later(box, server):
    url = server.database()
    server.stop()
    try:
        with new_client(box, url, notebook="/n.ipynb") as early:
            answer = early.session().ask("hello")
            assert answer.text == "hello"
            assert "stays out of the conversation" in " ".join(answer.reply.remarks)
            assert early.ask("hello again", cache="on").text == "hello again"
    finally:
        server.start()

    with new_client(box, url, notebook="/n.ipynb") as later:
        later.session().ask("I am back")
        assert later.usage(text=True)["prompt"].tolist() == ["hello", "hello again", "I am back"]


def test_a_server_restarted_during_200_calls_has_all_their_rows_once(box, server):
    url, halfway = server.database(), threading.Event()

    def crash():
        halfway.wait()
        server.stop()
        server.start()

    crasher = threading.Thread(target=crash)
    crasher.start()
    with new_client(box, url) as client:

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
        last = client.ask("one more, which delivers those that wait")
        frame = client.usage()

    assert len(answers) == 200
    assert sorted(frame["turn"]) == sorted(each.turn for each in [*answers, last])
    assert (frame["status"] == "ok").all()


def test_a_user_neither_erases_nor_gets_cached_answers_of_another(box, server):
    url = server.database()
    add_bob(url)
    with new_client(box, url) as ada, new_client(box, url.replace("ada@", "bob@")) as bob:
        ada.session().ask("the same question", cache="on")
        asked = len(box.requests)
        first, again = (
            bob.session().ask("the same question", cache="on", fresh=True) for _ in range(2)
        )

        assert not first.reply.cached
        assert again.reply.cached
        assert len(box.requests) == asked + 1
        assert bob.session().runtime.ledger.history.replays() == (1, 1)
        [adas] = ada.session().history()
        for asker, turn in [(ada, adas.id), (bob, bob.session().history()[0].id)]:
            asker.session().runtime.ledger.history.mark(
                "comment", asker.session().id, turn, "a thought"
            )
        assert bob.session().purge(1) == 2
        bob.session().runtime.ledger.erasure.of_turns([adas.id])  # not even by their ids
        assert ada.session().history() == [adas]
        assert bob.session().history() == []
        assert bob.session().runtime.ledger.history.replays() == (0, 1)
        assert ada.usage(text=True)["comment"].dropna().tolist() == ["a thought"]


def test_a_batch_reuses_only_the_users_own_answers(box, server):
    url = server.database()
    add_bob(url)
    rows = pd.DataFrame({"text": ["one", "two"]})
    asked = []
    for name in ("ada", "bob", "ada", "bob"):
        with new_client(box, url.replace("ada@", f"{name}@")) as client:
            client.map(rows, "{{text}}", confirm=False)
        asked.append(len(box.requests))

    assert asked[0] < asked[1] == asked[2] == asked[3]


def test_a_role_without_the_right_to_create_uses_the_existing_tables(box, server):
    url = server.database()
    schema = url.rpartition("%3D")[2]
    with new_client(box, url) as ada:
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
        with new_client(box, url.replace("ada@", "carol@"), notebook="/n.ipynb") as carol:
            carol.session().ask("from carol")
            assert carol.session().purge(1) == 1
            assert carol.usage()["user"].tolist() == ["ada", "carol"]
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP OWNED BY carol")
            connection.execute("DROP ROLE carol")


def cut_connections(server):
    """Cut all our connections, as a restart, a network timeout or a sleeping laptop does."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'swiftask-jupyter'"
        ).fetchall()
    assert rows
    assert all(ended for (ended,) in rows)


def test_idle_connections_that_were_cut_are_replaced_without_a_remark(live, box, server, tmp_path):
    with new_client(box, server.database(), notebook="/n.ipynb") as client:
        client.budgets.set(parse_budget("3 calls/day"))
        session = client.session()
        answers = []
        for text in ("one", "two", "three"):
            answers.append(session.ask(text))
            cut_connections(server)

        assert [each.reply.number for each in answers] == [1, 2, 3]
        remarks = " ".join(each for answer in answers for each in answer.reply.remarks)
        assert "without history" not in remarks
        assert "not checked" not in remarks
        assert [each["content"] for each in box.requests[-1].json["messages"]] == [
            "one", "one", "two", "two", "three",
        ]  # fmt: skip
        with pytest.raises(errors.BudgetSpent):
            session.ask("four")
        cut_connections(server)
        assert client.session("other").id.startswith("other-")
        assert list((tmp_path / "out").glob("*.db")) == []  # nothing had to wait


def test_the_outbox_is_delivered_over_a_new_connection_after_a_cut(server, tmp_path):
    ledger = Ledger(open_store(server.database(), {"SWIFTASK_OUTBOX": str(tmp_path)}))
    ledger.sessions.create(None, "before")
    waits = "INSERT INTO marks (mark, at, kind) VALUES (?, 1.0, 'waits')"
    ledger.store._outbox.add([(waits, ["m"])])
    cut_connections(server)

    ledger.history.mark("y", None)

    with ledger.store.read() as table:
        rows = table.execute("SELECT kind FROM marks ORDER BY kind").fetchall()
    assert rows == [("waits",), ("y",)]
    ledger.close()


def test_sessions_begun_while_the_server_is_down_are_distinct_and_delivered(server, tmp_path):
    ledger = Ledger(open_store(server.database(), {"SWIFTASK_OUTBOX": str(tmp_path)}))
    ledger.sessions.create(None, "before")
    server.stop()
    try:
        begun = [ledger.sessions.create(None, name) for name in ("one", "other")]
    finally:
        server.start()

    assert [each.rpartition("-")[0] for each in begun] == ["one", "other"]
    ledger.history.mark("x", None)  # delivers what waits
    assert [ledger.sessions.find(None, name) for name in ("one", "other")] == begun
    ledger.close()


def connection_count(server, role):
    """Return how many connections a role has."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (role,)
        ).fetchone()
    return row[0]


def test_a_role_that_cannot_create_the_tables_leaves_no_connection_open(server, tmp_path):
    url = server.database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE dave LOGIN")
        connection.execute(f"GRANT USAGE ON SCHEMA {url.rpartition('%3D')[2]} TO dave")
    named = url.replace("ada@", "dave@")
    ledger = Ledger(open_store(named, {"SWIFTASK_OUTBOX": str(tmp_path)}))
    kept = []  # an error's traceback keeps its frames alive, and an unclosed connection with them
    try:
        for _ in range(3):
            with pytest.raises(errors.StoreError, match="permission denied") as raised:
                ledger.turns.costs("echo")
            kept.append(raised.value)
        deadline = time.monotonic() + 10
        while connection_count(server, "dave") and time.monotonic() < deadline:
            time.sleep(0.05)  # the server ends a session shortly after its client disconnected

        assert connection_count(server, "dave") == 0
    finally:
        ledger.close()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP OWNED BY dave")
            connection.execute("DROP ROLE dave")


def test_a_read_that_outlives_the_store_closes_its_connection(server, tmp_path):
    ledger = Ledger(open_store(server.database(), {"SWIFTASK_OUTBOX": str(tmp_path)}))

    with ledger.store.read() as table:
        ledger.close()

    assert table.connection.closed


def test_a_nul_character_is_stored_as_its_picture(box, server):
    with new_client(box, server.database()) as client:
        client.ask("a\x00b \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"))

        assert client.usage(text=True)["prompt"].tolist() == ["a\u2400b 😀"]


def test_four_clients_that_open_an_empty_database_at_once_all_write(box, server):
    url = server.database()
    clients = [new_client(box, url) for _ in range(4)]
    threads = [threading.Thread(target=client.ask, args=("hello",)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(clients[0].usage()) == 4
    for client in clients:
        client.close()


def test_a_password_is_masked_everywhere(monkeypatch, tmp_path):
    url = "postgresql://ada:s3cret-word@127.0.0.1:1/turns"
    client = Swiftask(store=url)

    with pytest.raises(errors.StoreUnreachable) as raised:
        client.usage()

    assert "s3cret" not in str(raised.value) + str(client.store)
    assert str(client.store) == "postgresql://ada:••••@127.0.0.1:1/turns"
    assert mask_password("postgresql:///turns?password=abc&pwd=abc&Passwd=abc&host=x") == (
        "postgresql:///turns?password=••••&pwd=••••&Passwd=••••&host=x"
    )


def test_the_error_without_psycopg_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    client = Swiftask(store="postgresql://127.0.0.1:1/turns")

    with pytest.raises(errors.ConfigurationError, match=r"swiftask-jupyter\[postgres\]"):
        client.usage()


def test_a_usage_frame_is_read_from_the_server_in_chunks(server, monkeypatch):
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

    frame = usage(ledger.usage_queries)

    assert len(frame) == 20
    assert isinstance(frame, pd.DataFrame)
    ledger.close()


def forged(url, session, text, **columns):
    """Write a turn of another user into the database, as if it belonged to a session of Ada's."""
    columns = {
        "turn": f"forged-{text}", "at": time.time(), "session": session, "owner": "x", "number": 99,
        "slot": f"forged-{text}", "status": "ok", "surface": "python", "agent": "echo",
        "total_tokens": 10**6, "user": "ada", **columns,
    }  # fmt: skip
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO turns ({}) VALUES ({})".format(
                ", ".join(f'"{name}"' for name in columns), ", ".join(["%s"] * len(columns))
            ),
            list(columns.values()),
        )
        connection.execute("INSERT INTO texts (turn, prompt) VALUES (%s, %s)",
                           (columns["turn"], text))  # fmt: skip
    return columns["turn"]


@pytest.fixture
def two(box, server):
    """Ada's client and Bob's, on one ledger; Ada has asked one question in a notebook."""
    url = server.database()
    add_bob(url)
    bobs = url.replace("ada@", "bob@")
    with new_client(box, url, notebook="/n.ipynb") as ada, new_client(box, bobs) as bob:
        ada.session().ask("of Ada")
        bob.ask("of Bob")
        yield ada, bob, bobs


def test_a_row_that_another_user_wrote_into_my_session_is_not_my_history(two, box):
    ada, _, bobs = two
    session = ada.session().id
    turn = forged(bobs, session, "canary")
    ada.budgets.set(parse_budget("1k tokens/session"))

    answer = ada.session().ask("next")

    assert "canary" not in box.requests[-1].body.decode()
    assert [each.prompt for each in ada.session().history()] == ["of Ada", "next"]
    assert answer.reply.number == 2
    history = ada.session().runtime.ledger.history
    assert history.with_texts([Turn(id=turn)])[0].prompt == ""
    assert history.matching({RecordedTurn(turn, "x", "")}) == {}
    assert ada.usage()["user"].tolist() == ["ada", "bob", "bob", "ada"]


def test_the_server_writes_who_wrote_a_row_whatever_the_row_says(two):
    ada, _, bobs = two
    session = ada.session().id
    [own] = ada.session().history()
    forged(bobs, session, "canary")
    with psycopg.connect(bobs, autocommit=True) as connection:
        connection.execute(
            'INSERT INTO marks (mark, at, kind, session, turn, "user")'
            " VALUES ('m', 9e9, 'forgotten', %s, %s, 'ada')",
            (session, own.id),
        )
        connection.execute(
            'INSERT INTO everyones_sessions (at, session, notebook, name, "user")'
            " VALUES (9e9, 'bobs', '/n.ipynb', 'main', 'ada')"
        )
        for table in ("turns", "marks", "everyones_sessions"):
            connection.execute(f"UPDATE {table} SET \"user\" = 'ada' WHERE \"user\" = 'bob'")
            users = connection.execute(f'SELECT DISTINCT "user" FROM {table}').fetchall()
            assert sorted(users) in [[("ada",), ("bob",)], [("bob",)]]
        for statement in (
            "UPDATE turns SET session = 'mine' WHERE turn = %s",
            "UPDATE texts SET prompt = 'canary' WHERE turn = %s",
        ):
            with pytest.raises(psycopg.errors.RaiseException, match="of another user"):
                connection.execute(statement, (own.id,))

    assert [each.prompt for each in ada.session().history()] == ["of Ada"]
    assert ada.session().id == session


def test_the_texts_and_ratings_of_a_shared_ledger_are_each_users_own(two):
    ada, bob, _ = two
    [own] = ada.session().history()
    for client, said in ((ada, "good"), (bob, "canary")):
        history = client.session().runtime.ledger.history
        history.mark("comment", client.session().id, own.id, said)

    frame, others = ada.usage(text=True), bob.usage(text=True)

    assert frame["user"].tolist() == ["ada", "bob"]
    assert frame["prompt"].fillna("").tolist() == ["of Ada", ""]
    assert frame["answer"].fillna("").tolist() == ["of Ada", ""]
    assert frame["comment"].fillna("").tolist() == ["good", ""]
    assert others["prompt"].fillna("").tolist() == ["", "of Bob"]


def test_marks_of_an_earlier_version_get_their_users(box, server, monkeypatch):
    url = server.database()
    add_bob(url)
    with psycopg.connect(url, autocommit=True) as connection:
        monkeypatch.setattr("swiftask_jupyter.ledger.postgres.MIGRATIONS", MIGRATIONS[:7])
        migrate(connection)
        monkeypatch.undo()
        for session, user in (("a", "ada"), ("b", "bob")):
            connection.execute(
                "INSERT INTO everyones_sessions VALUES (1, %s, NULL, %s, NULL, %s)",
                (session, session, user),
            )
            connection.execute(
                'INSERT INTO turns (turn, at, session, owner, status, "user")'
                " VALUES (%s, 1, %s, 'x', 'ok', %s)",
                (f"turn {user}", session, user),
            )
        connection.execute(
            "INSERT INTO marks (mark, at, kind, session, turn) VALUES"
            " ('1', 1, 'undone', 'a', 't'), ('2', 1, 'reset', 'b', NULL),"
            " ('3', 1, 'liked', 'gone', 'turn ada'), ('4', 1, 'cleared', NULL, NULL)"
        )
        migrate(connection)
        migrate(connection)

        rows = connection.execute('SELECT mark, "user" FROM marks ORDER BY mark').fetchall()

    assert rows == [
        ("1", "ada"), ("2", "bob"), ("3", "ada"), ("4", None), ("4 ada", "ada"), ("4 bob", "bob"),
    ]  # fmt: skip


def test_a_purge_by_id_of_another_users_turn_erases_nothing_of_mine_either(two):
    ada, bob, _ = two
    bob.session("x").ask("of Ada", fresh=True)
    [adas] = ada.session().history()

    bob.session().runtime.ledger.erasure.of_turns([adas.id])

    assert [each.answer for each in ada.session().history()] == ["of Ada"]
    assert [each.answer for each in bob.session("x").history()] == ["of Ada"]
