"""What every test stands on: a clean environment, a sandbox, and no way out of this machine."""

import atexit
import os
import signal
import socket

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from swiftask_jupyter import Sandbox, Swiftask
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.opening import open_store
from tests.support import postgres

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # What a shell starts in its background ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """No test sees the user's settings, ledger or proxies."""
    for name in [*os.environ]:
        ours = name.startswith(("SWIFTASK_", "JPY_")) or name.lower().endswith("_proxy")
        if ours and name != "SWIFTASK_MODELS":  # the model's weights are worth sharing
            monkeypatch.delenv(name)
    monkeypatch.setenv("SWIFTASK_STORE", str(tmp_path / "turns.db"))


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch):
    """A connection to anywhere else fails the test."""
    real = socket.socket.connect

    def connect(self, address):
        if self.family != socket.AF_UNIX and address[0] not in {"127.0.0.1", "::1", "localhost"}:
            pytest.fail(f"a test tried to reach {address}")
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture
def box():
    """A sandbox that has seen nothing yet."""
    with Sandbox() as box:
        yield box


@pytest.fixture
def live(monkeypatch, tmp_path):
    """A sandbox counts as a live service, here and in kernels that the test starts."""
    monkeypatch.setattr("swiftask_jupyter.settings.connection.is_sandbox", lambda _: False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))


@pytest.fixture
def client(box):
    """A client of the sandbox, with a ledger of its own."""
    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as client:
        yield client


@pytest.fixture
def swiftask(box):
    """A client that chooses the dialect of each prompt."""
    with Swiftask(base_url=box.url, token=box.token, agent="echo") as client:
        yield client


@pytest.fixture
def widget(box):
    with Swiftask(
        base_url=box.url, token=box.client_token("echo"), agent="echo", dialect="widget"
    ) as client:
        yield client


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL server of our own, for all tests that want one."""
    if (programs := postgres.find()) is None:
        pytest.skip(postgres.NO_SERVER)
    server = postgres.Server(programs)
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request, tmp_path):
    """An empty ledger: a file, and then in PostgreSQL."""
    named = tmp_path / "deep" / "turns.db"
    if request.param == "postgresql":
        named = request.getfixturevalue("postgres_server").database()
    ledger = Ledger(open_store(named, {"SWIFTASK_OUTBOX": str(tmp_path)}))
    yield ledger
    ledger.close()


@pytest.fixture
def shell():
    """A real IPython shell, as in a terminal, with the extension loaded."""
    config = Config()
    config.HistoryManager.enabled = False
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config)
    shell.run_line_magic("load_ext", "swiftask_jupyter")
    yield shell
    shell.extension_manager.unload_extension("swiftask_jupyter")
    InteractiveShell.clear_instance()
    # Each would be kept until the end, and collect the garbage of all then: a minute and a half.
    atexit.unregister(shell.atexit_operations)


@pytest.fixture
def connected(shell, box, monkeypatch):
    """The shell, with the sandbox's address and token in the environment."""
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setenv("SWIFTASK_API_KEY", box.token)
    return shell
