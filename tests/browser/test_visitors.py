"""Two visitors of one page of Voila, each in a browser of their own."""

from contextlib import closing
from urllib.parse import quote

import pytest
from nbformat import v4, write
from playwright.sync_api import Browser, expect

from tests.support.hostility import block_other_hosts
from tests.support.jupyter import JupyterServer, Notebook
from tests.support.panels import CHAT, Panel

pytestmark = [pytest.mark.browser, pytest.mark.soak]


def test_a_visitor_sees_nothing_of_another(
    browser: Browser, jupyter: JupyterServer, env: dict[str, str]
):
    with (
        closing(Notebook(browser, jupyter)) as first,
        closing(Notebook(browser, jupyter)) as second,
    ):
        path = first.folder / "page.ipynb"
        # A server that Voila was started from may have named a notebook to its kernels.
        spec = jupyter.kernel(env | {"JPY_SESSION_NAME": str(path)})
        cells = [v4.new_code_cell(f"{CHAT} echo")]
        kernelspec = {"name": spec, "display_name": "Python 3"}
        write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernelspec}), path)
        place = quote(path.relative_to(jupyter.root).as_posix())

        def visit(visitor: Notebook) -> Panel:
            block_other_hosts(visitor)  # Voila's page requests fonts from another host
            visitor.page.goto(f"{jupyter.url}voila/render/{place}?token={jupyter.token}")
            return Panel(visitor.page).ready()

        one = visit(first)
        one.ask("the canary of the first visitor")
        one.ended()
        other = visit(second)
        other.ask("hello")

        expect(other.ended()).to_have_text("hello")
        assert "canary" not in second.page.content()
        expect(one.answers).to_have_count(1)
        assert "hello" not in first.page.inner_text("body")
