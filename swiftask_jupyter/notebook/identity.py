"""Find out which notebook this kernel runs, and which cell is running."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def notebook_path(environ: Mapping[str, str], names: Mapping[str, Any]) -> str | None:
    """Return the path of the notebook that this kernel runs, or `None` if it is not known.

    JupyterLab and Notebook 7 provide the path in the environment variable `JPY_SESSION_NAME` (with
    jupyter_server 2 or later), VS Code in the user's variable `__vsc_ipynb_file__`. With nbclient,
    papermill or a terminal, the path is not known.

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
    """Return the id of the running cell, and the id of the current execution of the cell.

    Both are `None` if the front end does not send the id of the cell. JupyterLab, Notebook 7, VS
    Code and Colab send it in the metadata of the execute request; VS Code's id is a URI that is
    valid only while the document is open. nbclient, papermill and a terminal do not send it. The id
    of the execution is the `msg_id` of the execute request, or `None` if there is none.
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
