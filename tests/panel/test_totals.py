"""The total line of a chat: calls, tokens, credits, budgets."""

from swiftask_jupyter.turns.budget import parse_budget


def test_the_total_shows_what_is_spent_of_a_budget(live, view, client):
    client.budgets.set(parse_budget("20 calls/hour"))

    view.ask("hi")

    view.finished()
    assert view.state["total"] == "1 call · tokens not reported · 1 of 20 calls/hour"


def test_the_total_does_not_count_cached_and_imported_turns(live, view, client, tmp_path):
    session = client.session()
    session.ask("one two", cache="on", fresh=True)
    session.ask("one two", cache="on", fresh=True)
    session.import_file(session.export(tmp_path / "said.json"))
    view.ask("hi")

    view.finished(5)

    assert view.state["total"] == "2 calls · tokens not reported"


def test_the_total_says_how_many_calls_reported_no_tokens(live, view, client, box):
    view.ask("one two")
    view.finished()
    client.connections.overrides = type(client.connections.overrides)(
        box.url, box.token, "echo", "native"
    )
    view.ask("one two")
    view.finished(2)

    assert view.state["total"].startswith("2 calls · ")
    assert view.state["total"].partition(" tokens")[2].startswith(" (1 not reported)")


def test_calls_to_the_sandbox_are_marked_and_not_counted_beside_others(view, client, monkeypatch):
    client.budgets.set(parse_budget("20 calls/hour"))
    client.budgets.set(parse_budget("9 calls/hour", sandbox=True))

    view.ask("to the sandbox")
    view.finished()
    assert view.state["total"] == (
        "1 call (sandbox) · tokens not reported"
        " · 0 of 20 calls/hour · 1 of 9 calls/hour in the sandbox"
    )

    monkeypatch.setattr("swiftask_jupyter.settings.connection.is_sandbox", lambda _: False)
    view.ask("to a live service")
    view.finished(2)
    assert view.state["total"] == (
        "1 call · tokens not reported · 1 call to the sandbox not counted"
        " · 1 of 20 calls/hour · 1 of 9 calls/hour in the sandbox"
    )
