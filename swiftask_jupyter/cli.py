"""The command `swiftask-jupyter` with the subcommands sandbox, model, doctor, privacy and demo."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from swiftask_jupyter.errors import SwiftaskError

DEMO_PROMPT = "In two sentences: why do people like notebooks?"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 1 after an error, or 130 after Ctrl-C.

    Args:
        arguments: the command-line arguments without the program's name; default: the arguments of
            this process.
    """
    parser = argparse.ArgumentParser(
        prog="swiftask-jupyter", description="AI agents in Jupyter: commands outside a notebook."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    sandbox = commands.add_parser(
        "sandbox", help="run a local server that speaks the APIs, without a token or a network"
    )
    sandbox.add_argument("--port", type=int, default=0, help="default: a free one")
    sandbox.add_argument(
        "--model", action="store_true", help="load the real model now, or say why it can't be"
    )
    commands.add_parser("model", help="fetch the small model's weights (98 MB), once")
    commands.add_parser("doctor", help="check settings, network, token, agent and streaming")
    commands.add_parser("privacy", help="what is sent and kept where, and how to erase it")
    commands.add_parser("demo", help="ask the sandbox one prompt and print what it cost")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "sandbox":
            return _sandbox(chosen.port, model=chosen.model)
        others = {"model": _model, "doctor": _doctor, "privacy": _privacy, "demo": _demo}
        return others[chosen.command]()
    except KeyboardInterrupt:
        return 130
    except (SwiftaskError, ModuleNotFoundError) as error:  # raised if an extra is missing
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _sandbox(port: int, *, model: bool) -> int:
    from swiftask_jupyter.sandbox.model_weights import ModelUnavailable
    from swiftask_jupyter.sandbox.server import Sandbox, serve_forever

    def ready(box: Sandbox) -> None:
        print(f"sandbox at {box.url}; agents: {', '.join(box.agents)}; Ctrl-C stops it")
        print(f"export SWIFTASK_BASE_URL={box.url} SWIFTASK_API_KEY={box.token}", flush=True)

    try:
        serve_forever(port=port, model=model, on_ready=ready)
    except (ModelUnavailable, OSError) as error:
        print(getattr(error, "strerror", None) or error, file=sys.stderr)
        return 1
    return 0


def _model() -> int:
    from swiftask_jupyter.sandbox.model_weights import ModelUnavailable, fetch_weights

    try:
        print(f"the model's weights are at {fetch_weights()}")
    except ModelUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _doctor() -> int:
    from swiftask_jupyter.client import Swiftask
    from swiftask_jupyter.doctor import diagnose

    healthy = True
    with Swiftask() as client:
        for finding in diagnose(client):
            print(finding, flush=True)
            healthy = healthy and finding.ok is not False
    return 0 if healthy else 1


def _privacy() -> int:
    from swiftask_jupyter.client import Swiftask
    from swiftask_jupyter.notebook.privacy import describe

    with Swiftask() as client:
        for line in describe(client):
            print(line)
    return 0


def _demo() -> int:
    from swiftask_jupyter.answers.turn import Delta
    from swiftask_jupyter.client import Swiftask
    from swiftask_jupyter.sandbox.model_weights import ModelUnavailable
    from swiftask_jupyter.sandbox.server import Sandbox

    try:
        box, agent = Sandbox(model=True), "smollm2"
        box.start()
    except ModelUnavailable as error:
        print(f"{error}; the lorem agent answers instead")
        box, agent = Sandbox(), "lorem"
        box.start()
    try:
        with (
            TemporaryDirectory() as folder,  # keeps the demo out of the user's ledger
            Swiftask(
                base_url=box.url, token=box.token, agent=agent, store=Path(folder, "demo.db")
            ) as swiftask,
        ):
            print(f"{agent} is asked: {DEMO_PROMPT}\n")
            for event in swiftask.stream(DEMO_PROMPT):
                if isinstance(event, Delta):
                    print(event.text, end="", flush=True)
            columns = ["at", "agent", "status", "input_tokens", "output_tokens", "seconds"]
            print("\n\nswiftask.usage()")
            print(swiftask.usage()[columns].tail(5).to_string())
    finally:
        box.stop()
    return 0
