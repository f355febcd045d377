"""Mistakes that a user can make. A type checker finds one in each line that says `error`."""

import pandas as pd

import swiftask_jupyter
from swiftask_jupyter import Fault, Session, Swiftask, Turn


def ask(swiftask: Swiftask, session: Session, frame: pd.DataFrame) -> None:
    swiftask.ask(1)  # error
    swiftask.ask("hello", temprature=0.5)  # error
    swiftask.ask("hello", temperature="warm")  # error
    swiftask.ask("hello", cache="maybe")  # error
    swiftask.ask("hello", history=False)  # error
    swiftask.ask("hello", slot="c1")  # error
    swiftask.stream("hello", fresh=True)  # error
    swiftask.dry_run("hello", concurrency=2)  # error
    swiftask.map(frame, "say {{text}}", concurency=2)  # error
    swiftask.map(frame, "say {{text}}", retry="some")  # error
    swiftask.map("frame.csv", "say {{text}}")  # error
    swiftask.chat(transcripts=False)  # error
    swiftask.usage(since=[])  # error
    session.ask("hello", lasst=2)  # error
    session.ask("hello", surface="cell")  # error
    _number: int = swiftask.ask("hello")  # error
    _turns: list[str] = session.history()  # error
    _answer: str = swiftask.map(frame, "say {{text}}")  # error


def read(turn: Turn) -> None:
    turn.prompts()  # error
    swiftask_jupyter.Turns()  # error
    Fault(state=429)  # error
