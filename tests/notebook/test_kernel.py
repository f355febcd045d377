"""Cells in a real kernel: what is shown, saved, interrupted and counted."""

import json
import time

import ipykernel
import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

from swiftask_jupyter import Sandbox, Swiftask
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.ledger.notebook_record import recorded_turn
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.cells import LOAD, ledger_frame
from tests.support.kernels import Kernel

# A task of the user's on the kernel's loop.
TICKING = """
import asyncio
ticks = []
async def tick():
    while True:
        ticks.append(1)
        await asyncio.sleep(.01)
task = asyncio.get_running_loop().create_task(tick())
"""


def test_the_answer_grows_and_ends_as_one_output_and_a_footer(kernel):
    grown = set()

    ran = kernel.run("%%swiftask lorem\nhello", on_output=lambda ran: grown.add(str(ran.outputs)))

    answer, footer = ran.outputs
    assert ran.status == "ok"
    assert len(grown) > 3
    assert answer["data"].keys() == {"text/html", "text/plain", TURN_MIME_TYPE}
    assert "<table>" in answer["data"]["text/html"]
    assert "lorem · " in footer["data"]["text/plain"]


def test_out_holds_the_answer_without_showing_it_twice(kernel):
    kernel.run("%%swiftask echo\nhello")

    ran = kernel.run("type(_).__name__, _.text, _.agent, Out[2].text")

    assert ran.texts() == ["('Answer', 'hello', 'echo', 'hello')"]


def test_a_variable_takes_the_answer_and_shows_itself_later(kernel):
    silent = kernel.run("%%swiftask echo ans <<\n*hello*")
    shown = kernel.run("%%swiftask echo ans2 =<<\n*hello*")
    later = kernel.run("ans")

    assert [len(ran.outputs) for ran in (silent, shown, later)] == [1, 2, 2]
    assert "<em>hello</em>" in later.texts("text/html")[0]


def test_an_error_is_one_line_fails_the_cell_and_stops_run_all(kernel):
    first = kernel.send("%%swiftask nobody\nhello")
    second = kernel.send("ran = True")

    failed = kernel.finish(first)
    aborted = kernel.finish(second)

    assert (failed.status, aborted.status) == ("error", "aborted")
    assert failed.error.startswith("AgentNotFound: 400")
    assert "\n" not in failed.error


def test_an_interrupt_keeps_the_text_closes_the_stream_and_stops_run_all(kernel, box):
    kernel.run(TICKING)
    for number in range(5):
        asked = kernel.send("%%swiftask slow\ntell me")
        queued = kernel.send("ran = True")
        interrupted = []

        def stop_once(ran, interrupted=interrupted):
            if len(ran.texts("text/html")) and not interrupted:
                interrupted.append(True)
                kernel.interrupt()

        ran = kernel.finish(asked, on_output=stop_once)

        assert (ran.status, kernel.finish(queued).status) == ("error", "aborted")
        assert ran.error.startswith("Interrupted: stopped; ")
        assert "\n" not in ran.error
        answer, footer = ran.outputs[:2]
        assert answer["data"][TURN_MIME_TYPE]["status"] == "interrupted"
        assert len(answer["data"]["text/plain"]) > 0
        assert "interrupted" in footer["data"]["text/plain"]
        assert box.wait_for(
            lambda number=number: sum(seen.disconnected for seen in box.requests) == number + 1
        )
    assert kernel.run("%%swiftask echo\nstill here").texts()[0] == "still here"
    alive = kernel.run(
        "before = len(ticks); await asyncio.sleep(.1); (task.done(), len(ticks) > before)"
    )
    assert alive.texts() == ["(False, True)"]
    assert list(ledger_frame()["status"]) == ["interrupted"] * 5 + ["ok"]


@pytest.mark.parametrize(
    "prompt",
    [
        '{"a": {"b": [1, 2]}}',
        "f'{x!r:>{width}}' {name} {{}}",
        "{% for x in y %}{{ x | upper }}{% endfor %}",
        "${HOME} $HOME $x `ls` !ls %ls",
        r"$\frac{a}{b}$ \(x\) \n \\ \u0041",
        "1 << 4\nans <<\nx =<<",
        "</script><script>alert(1)</script>",
        "🎉 é \u202e \x1b[31m\x00 \u2028 \t tab  trailing  ",
        "\"\"\"quotes''' and \\",
        "%%swiftasks echo\nanother?",
        "first\n\n\n   last",
        ">>> 1 + 1\n2\n>>> x",
        "In [1]: a\n   ...: b",
    ],
)
def test_a_prompt_arrives_byte_for_byte(kernel, box, prompt):
    kernel.run(f"%%swiftask echo\n{prompt}")

    assert box.requests[-1].json["messages"][-1]["content"] == prompt


def test_a_megabyte_arrives_byte_for_byte(kernel, box):
    prompt = "{{a}} %%swiftask é🎉$x\n%%swiftask echo\n" * 30_000 + "end"

    ran = kernel.run(f"%%swiftask echo --raw ans <<\n{prompt}")

    assert ran.status == "ok"
    assert box.requests[-1].json["messages"][-1]["content"] == prompt


def test_earlier_inputs_and_outputs_can_be_used_in_a_prompt(kernel, box):
    kernel.run("6 * 7")

    kernel.run("%%swiftask echo\n{{In[2]}} is {{Out[2]}}")

    assert box.requests[-1].json["messages"][-1]["content"] == "6 * 7 is 42"


def run_notebook(environment, *cells, allow_errors=False):
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        NotebookClient(notebook, timeout=60, allow_errors=allow_errors).execute()
    nbformat.validate(notebook)
    return notebook


def test_nbclient_saves_the_answer_its_footer_and_its_record(environment):
    notebook = run_notebook(environment, LOAD, "%%swiftask lorem\nhello")

    answer, footer = notebook.cells[1].outputs
    assert "<table>" in answer.data["text/html"]
    assert answer.data["text/plain"].startswith("#")
    assert answer.data[TURN_MIME_TYPE]["agent"] == "lorem"
    assert footer.data["text/plain"].startswith("lorem · ")


@pytest.mark.parametrize(
    "code",
    ["%%swiftask echo\nhello", "%%swiftask echo ans <<\nhello", "%%swiftask echo mirror\nhello",
     "%%swiftask echo -f json\n{}", "%swiftask ask hello echo"],
)  # fmt: skip
def test_the_record_of_every_answer_proves_its_turn(kernel, code):
    ran = kernel.run(code)

    saved = [output["data"].get(TURN_MIME_TYPE, []) for output in ran.outputs]
    records = [each for value in saved for each in (value if isinstance(value, list) else [value])]
    with Swiftask() as client:
        proven = client.runtime.ledger.history.matching(map(recorded_turn, records))
        assert list(proven) == sorted(client.usage()["turn"])
    assert all(each["content_digest"] for each in records)


def test_nbclient_stops_at_a_failed_prompt(environment):
    with pytest.raises(CellExecutionError, match="AgentNotFound"):
        run_notebook(environment, LOAD, "%%swiftask nobody\nhello", "1/0")


NESTED = "%config SwiftaskMagics.nested = True"


TASK_STATE = "len(ticks) > before + 5, task.done()"


@pytest.mark.skipif(ipykernel.version_info >= (7, 1), reason="there it is refused, as tested below")
def test_nested_waiting_lets_the_kernels_own_tasks_run(kernel):
    kernel.run(f"{TICKING}\n{NESTED}\nbefore = len(ticks)")

    ran = kernel.run("%%swiftask lorem\nhello")

    assert ran.status == "ok"
    assert kernel.run(TASK_STATE).texts() == ["(True, False)"]


@pytest.mark.skipif(ipykernel.version_info < (7, 1), reason="there it works, as tested above")
def test_nested_waiting_is_refused_where_it_drops_cells(kernel):
    kernel.run(NESTED)

    ran = kernel.run("%%swiftask echo\nhello")

    assert ran.status == "error"
    assert "drops the queued cells" in ran.error
    assert "nested = False" in ran.error


# Two interrupts at each drawing, from within: none can arrive after the cell, where ipykernel
# would have to survive it.
INTERRUPTED_DRAWING = """
import os, signal
own_publish = get_ipython().display_pub.publish
def publish(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGINT)
    own_publish(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGINT)
get_ipython().display_pub.publish = publish
"""


def test_many_interrupts_in_one_cell_leave_a_kernel_that_works(kernel, box):
    kernel.run(INTERRUPTED_DRAWING)
    stopped = [kernel.run("%%swiftask slow\ntell me") for _ in range(3)]
    kernel.run("get_ipython().display_pub.publish = own_publish")

    after = kernel.run("%%swiftask echo\nstill here")

    assert [ran.status for ran in stopped] == ["error"] * 3
    assert all(ran.error.startswith("Interrupted: stopped; ") for ran in stopped)
    assert all(ran.outputs[0]["data"][TURN_MIME_TYPE]["status"] == "interrupted" for ran in stopped)
    assert after.texts()[0] == "still here"
    assert box.wait_for(lambda: box.open_streams == 0)
    assert list(ledger_frame()["status"]) == ["interrupted"] * 3 + ["ok"]


def test_an_interrupted_answer_is_in_its_variable(kernel, box):
    asked = kernel.send("%%swiftask slow part <<\ntell me")
    assert box.wait_for(lambda: box.requests and box.requests[-1].first_byte)
    time.sleep(0.5)  # what has left the sandbox arrives
    kernel.interrupt()
    ran = kernel.finish(asked)

    assert ran.status == "error"
    assert kernel.run("part.status").texts() == ["'interrupted'"]


def test_a_kernel_killed_during_an_answer_leaves_a_lost_turn(environment, box):
    with Kernel(environment) as kernel:
        kernel.run(LOAD)
        kernel.send("%%swiftask slow\nhello")
        assert box.wait_for(lambda: box.open_streams and box.requests[-1].method == "POST")
        kernel.kill()
    assert box.wait_for(lambda: box.open_streams == 0) is not None

    assert list(ledger_frame()["status"]) == ["lost"]


FAILURES = {
    "unknown agent": "%%swiftask nobody\nhello",
    "unknown option": "%%swiftask echo --dialct x\nhello",
    "unknown command": "%swiftask usge",
    "empty prompt": "%%swiftask echo\n ",
    "broken stream": "%%swiftask echo\ngarbage please, this is long enough to be cut",
    "the token in the prompt": "%%swiftask echo\nmy token is {{token}}",
    "status": "%swiftask",
    "interrupted": "%%swiftask slow\nhello",
    "refused": "%%swiftask echo\nhello",
}


def test_the_token_is_nowhere_after_any_failure(tmp_path):
    outputs = []
    with Sandbox() as box:
        environment = {"SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}
        with Kernel(environment) as kernel:
            kernel.run(LOAD + "\n%xmode Verbose\nimport os\ntoken = os.environ['SWIFTASK_API_KEY']")
            for name, code in FAILURES.items():
                if name == "broken stream":
                    box.fail(Fault(garbage_after=1))
                if name == "refused":
                    refused = json.dumps({"error": f"bad key {box.token}"})
                    box.fail(Fault(status=401, body=refused), times=2)
                stop = kernel.interrupt if name == "interrupted" else None
                stopped = []

                def on_output(ran, stop=stop, stopped=stopped):
                    if stop and not stopped and ran.outputs:
                        stopped.append(stop())

                ran = kernel.run(code, on_output=on_output)
                assert ran.status == ("ok" if name == "status" else "error"), name
                outputs.append(ran)
            outputs.append(kernel.run("%history"))
            outputs.append(
                kernel.run(
                    "get_ipython().magics_manager.registry['SwiftaskMagics'].client.__dict__"
                )
            )
            outputs.append(
                kernel.run(
                    "get_ipython().magics_manager.registry['SwiftaskMagics'].client.connections.resolve()"
                )
            )
        shown = "".join(f"{ran.error}{ran.outputs}" for ran in outputs)
        kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
        assert box.token not in shown
        assert box.token.encode() not in kept
        assert b"bad key" in kept
