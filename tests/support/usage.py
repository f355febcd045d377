"""Support for the usage tests: turns that are written to a ledger without a service."""

from swiftask_jupyter.answers.turn import Delta, Reply, Usage, new_id
from swiftask_jupyter.ledger.schema import frame_columns

DAY = 86_400  # seconds
NOON = 20_000 * DAY + DAY / 2  # of some day, in seconds since the epoch


def add_turn(
    ledger,
    agent="a",
    *,
    at=NOON,
    status="ok",
    notebook="/n.ipynb",
    usage=None,
    seconds=2.0,
    **fields,
):
    """Write a turn to a ledger.

    Args:
        ledger: the ledger.
        agent: the agent's slug.
        at: when the request was sent, in seconds since the epoch.
        status: how the turn ended; `running`: it did not.
        notebook: the notebook's path.
        usage: the reported usage; default: nothing was reported.
        seconds: the time to the end of the answer; the first text comes after a quarter of it.
        fields: other attributes of the reply.
    """
    reply = Reply(agent=agent, id=new_id(), session="main-1", dialect="openai", at=at)
    reply.cell = reply.slot = "c1"
    reply.run, reply.surface = "r1", "cell"
    reply.notebook, reply.prompt = notebook, "the prompt"
    for name in ("host", "connection", "sandbox"):  # written before the request leaves
        if name in fields:
            setattr(reply, name, fields.pop(name))
    ledger.turns.begin(reply)
    reply.status, reply.attempts = status, 1
    reply.seconds, reply.first_token_seconds = seconds, seconds / 4
    reply.usage = usage or Usage()
    for name, value in fields.items():
        setattr(reply, name, value)
    reply.apply([Delta("the answer")])
    if status != "running":
        ledger.turns.complete(reply)


def add_varied_turns(ledger):
    """Write 60 turns to a ledger: every status, two agents, two notebooks, three services."""
    usages = [Usage(1, 2, 3, 3, 0.5, "api"), Usage(), Usage(credits=2.0, source="api")]
    for number in range(60):
        status = ("ok", "ok", "error", "interrupted", "refused", "running")[number % 6]
        add_turn(
            ledger, "ab"[number % 2], at=NOON + number * 7_000, status=status,
            notebook=(None, "/n.ipynb", "/m.ipynb")[number % 3], usage=usages[number % 3],
            cached=number % 10 == 0, first_token_seconds=number / 10 if number % 4 else None,
            finish_reason="stop", error="it broke" if status == "error" else None,
            host=(None, "one.example", "two.example", "http://127.0.0.1:8123")[number % 4],
            connection=("team", None)[number % 2], sandbox=number % 4 == 3,
        )  # fmt: skip


def column_names(ledger):
    """Return the names of the columns of a ledger's usage frame; a shared ledger has `user`."""
    names = [column.name for column in frame_columns()]
    return [*names, "user"] if ledger.usage_queries.shared else names
