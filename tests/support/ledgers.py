"""Replies for a ledger, and all rows of one."""

import time

from swiftask_jupyter.answers.turn import Reply, new_id
from swiftask_jupyter.ledger.schema import frame_columns
from swiftask_jupyter.ledger.usage import UsageFilter, UsageQueries


def a_reply(**fields):
    """Return a reply that has not begun, in the session main."""
    known = {"notebook": "/nb.ipynb", "session": "main", "prompt": "hello"}
    return Reply(agent="echo", id=new_id(), dialect="openai", at=time.time(), **(known | fields))


def read(store):
    """Return all rows of a store as dicts, oldest first."""
    names = [column.name for column in frame_columns()]
    chunks = UsageQueries(store).rows(names, UsageFilter())
    found = (dict(zip(names, row, strict=True)) for chunk in chunks for row in chunk)
    return sorted(found, key=lambda row: (row["at"], row["turn"]))
