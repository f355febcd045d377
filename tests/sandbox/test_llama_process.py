"""The child process that runs llama.cpp, with a fake library in its place."""

import ast
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from swiftask_jupyter.sandbox import llama_process

FAKE_LIBRARY = """
import os
from types import SimpleNamespace

class CommonParams(SimpleNamespace):
    def __init__(self):
        super().__init__(
            model=SimpleNamespace(),
            cpuparams=SimpleNamespace(),
            cpuparams_batch=SimpleNamespace(),
        )

class Server:
    def __init__(self, params):
        if not os.path.exists(params.model.path):
            raise ValueError("no such model")
        assert params.hostnames == ["127.0.0.1"]
        self.listening_address = "http://" + params.api_keys[0]
"""


@pytest.fixture
def start_process(tmp_path):
    """A function that starts the process for a model file; it returns it and its first line."""
    (tmp_path / "xllamacpp.py").write_text(FAKE_LIBRARY)
    started = []

    def start(weights):
        process = subprocess.Popen(
            [sys.executable, "-P", llama_process.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )
        started.append(process)
        options = {"weights": str(weights), "key": "key", "threads": 1}
        process.stdin.write(json.dumps(options) + "\n")
        process.stdin.flush()
        return process, json.loads(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_it_prints_the_url_and_ends_when_its_input_is_closed(start_process, tmp_path):
    process, response = start_process(tmp_path / "xllamacpp.py")
    out, err = process.communicate(timeout=30)

    assert response == {"url": "http://key"}
    assert (process.returncode, out, err) == (0, "", "")


def test_an_error_while_loading_is_reported_on_one_line(start_process, tmp_path):
    _, response = start_process(tmp_path / "missing.gguf")

    assert response == {"error": "ValueError: no such model"}


@pytest.mark.skipif(os.name != "posix", reason="signals to another process are POSIX")
def test_an_interrupt_does_not_end_it(start_process, tmp_path):
    process, _ = start_process(tmp_path / "xllamacpp.py")
    process.send_signal(signal.SIGINT)

    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.3)


def test_it_imports_nothing_of_the_package():
    """It is started as a script, where relative imports fail."""
    tree = ast.parse(Path(llama_process.__file__).read_text())
    relative = [node for node in ast.walk(tree) if getattr(node, "level", 0)]

    assert relative == []
