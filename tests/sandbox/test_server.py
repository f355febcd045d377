"""Start and stop, ports, many clients, forks and signals; and what the folder imports."""

import ast
import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from swiftask_jupyter.sandbox.server import Sandbox
from tests.support.sandbox_requests import (
    COMPLETIONS,
    HELLO,
    completion_request,
    http_client,
    stream_completion,
    stream_text,
)


def test_start_and_stop_can_be_called_twice_and_free_the_port():
    box = Sandbox()
    assert box.start() is box.start()
    port = int(box.url.rpartition(":")[2])
    box.stop()
    box.stop()

    with Sandbox(port) as again, http_client(again) as client:
        assert again.url == box.url
        assert again.token != box.token
        assert client.post(COMPLETIONS, json=HELLO).status_code == 200
    assert "swiftask-sandbox" not in {each.name for each in threading.enumerate()}


def test_a_port_in_use_is_a_clear_error(box):
    port = int(box.url.rpartition(":")[2])
    with pytest.raises(OSError, match=f"port {port} .* choose another"):
        Sandbox(port).start()


def test_stop_closes_the_open_streams():
    with Sandbox() as box, http_client(box) as client:
        with client.stream(
            "POST", COMPLETIONS, json=completion_request("slow", stream=True)
        ) as response:
            lines = response.iter_lines()
            next(lines)
            box.stop()
            with pytest.raises(httpx.RemoteProtocolError):
                list(lines)
        assert box.open_streams == 0
        assert box.requests[-1].disconnected is False


def test_two_hundred_concurrent_streams_complete():
    all_arrived = asyncio.Event()
    arrived = []

    async def together(messages):
        """Answer once all 200 requests have arrived, so that they are open at the same time."""
        arrived.append(messages)
        if len(arrived) == 200:
            all_arrived.set()
        await all_arrived.wait()
        for word in messages[-1]["content"].split(" "):
            yield word + " "

    def one(number):
        with http_client(box) as client:
            return stream_completion(client, completion_request("mine", text=f"number {number}"))

    with Sandbox(agents={"mine": together}) as box, ThreadPoolExecutor(200) as pool:
        responses = list(pool.map(one, range(200)))

    assert [stream_text(each) for each in responses] == [f"number {n} " for n in range(200)]


def run(code, **options):
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, **options
    )


START = """
import http.client, os, sys, json
from swiftask_jupyter.sandbox import Sandbox
box = Sandbox().start()
def ask():
    c = http.client.HTTPConnection("127.0.0.1", int(box.url.rpartition(":")[2]))
    body = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}
    c.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": "Bearer " + box.token})
    status = c.getresponse().status
    c.close()
    return status
"""  # noqa: E501 - a program in a text


def test_a_process_that_never_calls_stop_exits_without_output():
    done = run(START + "print(ask())")

    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_leaves_the_server_of_its_parent_running():
    code = """
ask()
import warnings; warnings.simplefilter("ignore", DeprecationWarning)
child = os.fork()
if child == 0:
    box.stop()
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), ask())
"""
    done = run(START + code)

    assert (done.returncode, done.stdout, done.stderr) == (0, "3 200\n", "")


def test_invalid_http_prints_and_logs_nothing():
    code = """
import socket
for junk in (b"nonsense\\r\\n\\r\\n", b"GET / HTTP/1.1\\r\\nContent-Length: x\\r\\n\\r\\n", b""):
    s = socket.create_connection(("127.0.0.1", int(box.url.rpartition(":")[2])))
    s.sendall(junk); s.shutdown(socket.SHUT_WR); s.recv(100); s.close()
box.stop()
"""
    done = run(START + code)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_the_sandbox_loads_neither_tornado_nor_the_model_nor_a_sibling():
    code = """
import sys, swiftask_jupyter
before = set(sys.modules)
import swiftask_jupyter.sandbox
new = set(sys.modules) - before
print(sorted(m for m in new if m.startswith(("tornado", "xllamacpp", "platformdirs"))
    or m.startswith("swiftask_jupyter") and not m.startswith("swiftask_jupyter.sandbox")))
"""
    assert run(code).stdout == "[]\n"


def test_it_works_after_nest_asyncio_is_applied():
    """nest-asyncio patches every event loop of the process, including the sandbox's."""
    pytest.importorskip("nest_asyncio")
    done = run("import nest_asyncio; nest_asyncio.apply()\n" + START + "print(ask(), ask())")

    assert (done.returncode, done.stdout) == (0, "200 200\n"), done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals to another process are POSIX")
@pytest.mark.parametrize("number", [2, 15])
def test_serve_forever_ends_on_a_signal(number):
    code = (
        "from swiftask_jupyter.sandbox import serve_forever\n"
        "serve_forever(on_ready=lambda box: print(box.url, flush=True)); print('ended')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout.readline().startswith("http://127.0.0.1:")
        server.send_signal(number)
        out, err = server.communicate(timeout=30)

    assert (server.returncode, out, err) == (0, "ended\n", "")


def test_the_sandbox_imports_nothing_from_its_siblings():
    """A test against the sandbox must compare two independent readings of the documents."""
    import swiftask_jupyter.sandbox

    files = list(Path(swiftask_jupyter.sandbox.__file__).parent.glob("*.py"))
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
                assert not any(name.startswith("swiftask_jupyter") for name in names), file.name
            elif isinstance(node, ast.ImportFrom):
                assert node.level <= 1, file.name
                assert not (node.module or "").startswith("swiftask_jupyter"), file.name
    assert len(files) > 20
