"""What the tests of several dialects share: clients of a sandbox, and ways to split bytes."""

from swiftask_jupyter import Swiftask


def splits(data):
    """Yield bytes as lists of pieces: whole, split once at every position, and byte by byte."""
    yield [data]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]
    yield [data[at : at + 1] for at in range(len(data))]


def agencii_client(box, **options):
    """Return an Agencii client of the agent `mirror`; the options are the integration's."""
    return Swiftask(
        base_url=box.url,
        token=box.agencii_token,
        agent=box.integration_id("mirror", **options),
        dialect="agencii",
    )
