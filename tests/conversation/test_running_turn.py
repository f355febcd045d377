"""A turn while it runs: what is written to the ledger, and when."""

from swiftask_jupyter.ledger.turns import Turns


def test_nothing_is_written_between_the_request_and_the_first_text(client, box, monkeypatch):
    written, texts = [], []
    for name in ("begin", "complete", "refuse"):
        real = getattr(Turns, name)

        def noted(self, reply, *others, real=real, name=name):
            written.append((name, len(box.requests), len(texts)))
            return real(self, reply, *others)

        monkeypatch.setattr(Turns, name, noted)
    begun = []
    write = type(client._ledger.store).write
    monkeypatch.setattr(
        type(client._ledger.store), "write", lambda self: begun.append(len(texts)) or write(self)
    )
    client.session()  # its own row is written when it is first asked for
    client.session().id  # noqa: B018 - as above
    begun.clear()

    for event in client.session().stream("hello there"):
        texts += [event]

    assert written == [("begin", 0, 0), ("complete", 1, written[1][2])]
    assert begun[0] == 0
    assert len(begun) == 2
