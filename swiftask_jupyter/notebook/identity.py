"""Find out which notebook this kernel runs, and which cell is running."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def notebook_path(environ: Mapping[str, str], names: Mapping[str, Any]) -> str | None:
    """Return the path of the notebook, or `None` if the front end does not name it.

    JupyterLab and Notebook 7 name it in `JPY_SESSION_NAME` (since jupyter_server 2); VS Code
    puts it into the user's namespace; nbclient, papermill and a terminal do not name it.

    Args:
        environ: the environment of the kernel.
        names: the user's variables.
    """
    session = environ.get("JPY_SESSION_NAME", "")
    if session.endswith(".ipynb"):
        return session
    path = names.get("__vsc_ipynb_file__")
    return path if isinstance(path, str) and path else None


def running_cell(shell: InteractiveShell) -> tuple[str | None, str | None]:
    """Return the id of the running cell and of its execution, each `None` if unknown.

    JupyterLab, Notebook 7 and VS Code name the cell in the request's metadata (VS Code by an
    address that holds while the document is open), Colab under a key of its own. nbclient,
    papermill and a terminal do not name it.
    """
    if not hasattr(shell, "get_parent"):  # a terminal
        return None, None
    parent: dict[str, Any] = shell.get_parent() or {}
    metadata = parent.get("metadata") or {}
    colab = metadata.get("colab")
    cell = metadata.get("cellId") or (isinstance(colab, dict) and colab.get("cell_id"))
    if not isinstance(cell, str):
        return None, None
    return cell, str((parent.get("header") or {}).get("msg_id") or "") or None
