"""Helpers for tests of attachments: attach one value, or read why it is refused."""

import base64

import pandas as pd
import pytest

from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.prompts.attachments import load_attachments

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
)
FRAME = pd.DataFrame({"ville": ["Orléans", "東京"]}, index=["a", "b"])
FRAME_CSV = ",ville\na,Orléans\nb,東京\n".encode()


def attach(value, names=None, directory=None):
    """Return the attachment of a value."""
    (found,) = load_attachments([value], names or {}, directory)
    return found


def names_of(*values, names=None, directory=None):
    """Return the names of the attachments of some values."""
    return [found.name for found in load_attachments(values, names or {}, directory)]


def refusal(value, names=None, directory=None):
    """Return the one-line error with which a value is refused."""
    with pytest.raises(PromptError) as refused:
        load_attachments([value], names or {}, directory)
    (line,) = refused.value._render_traceback_()
    assert "\n" not in line
    assert refused.value.advice
    return str(refused.value)
