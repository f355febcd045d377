"""Which notebook this kernel runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def notebook_path(environ: Mapping[str, str], names: Mapping[str, Any]) -> str | None:
    """Return the path of the notebook, or `None` where the front end doesn't tell.

    JupyterLab and Notebook 7 name it in `JPY_SESSION_NAME` (since jupyter_server 2); VS Code
    puts it into the user's namespace; nbclient, papermill and a terminal name none.

    Args:
        environ: the environment of the kernel.
        names: the user's namespace.
    """
    session = environ.get("JPY_SESSION_NAME", "")
    if session.endswith(".ipynb"):
        return session
    code = names.get("__vsc_ipynb_file__")
    return code if isinstance(code, str) and code else None
