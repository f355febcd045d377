"""A notebook to hold a conversation in."""

import pytest

from tests.support.notebooks import Page


@pytest.fixture
def page(box, tmp_path):
    """A notebook of the sandbox that has no file yet."""
    page = Page(box, tmp_path / "nb.ipynb")
    yield page
    page.close()
