"""What cells have sent to a sandbox, and what the ledger says of it."""

from swiftask_jupyter import Swiftask

LOAD = "%load_ext swiftask_jupyter"


def posts(box):
    """Return the prompts among the requests that the sandbox received."""
    return [seen for seen in box.requests if seen.method == "POST"]


def contents(box):
    """Return the texts of the messages in the newest request."""
    return [each["content"] for each in box.requests[-1].json["messages"]]


def ledger_frame():
    """Return the usage frame of the test's own ledger."""
    with Swiftask() as client:
        return client.usage()
