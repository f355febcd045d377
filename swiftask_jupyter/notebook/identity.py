"""Find the path of the notebook that this kernel runs, and the id of the running cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def notebook_path(environ: Mapping[str, str], names: Mapping[str, Any]) -> str | None:
    """Return the path of the notebook that this kernel runs; `None` for an unknown path.

    JupyterLab and Notebook 7 set the environment variable `JPY_SESSION_NAME`; this requires
    jupyter_server 2 or later. VS Code sets the user's variable `__vsc_ipynb_file__`. nbclient,
    papermill and terminals do not provide the path.

    Args:
        environ: the environment variables of the kernel.
        names: a dict that maps the names of the user's variables to their values.
    """
    session = environ.get("JPY_SESSION_NAME", "")
    if session.endswith(".ipynb"):
        return session
    path = names.get("__vsc_ipynb_file__")
    return path if isinstance(path, str) and path else None


def running_cell(shell: InteractiveShell) -> tuple[str | None, str | None]:
    """Return the id of the running cell, and the id of the current execution of the cell.

    JupyterLab, Notebook 7, VS Code and Colab send the cell's id in the metadata of the execute
    request. In VS Code, the id is a URI that is valid only while the document is open. nbclient,
    papermill and terminals do not send the cell's id; both results are then `None`.

    The id of the execution is the `msg_id` of the execute request.
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
