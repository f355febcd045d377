"""Files of packages in npm's registry, which are unpacked but never installed."""

import shutil
import subprocess
import tarfile
from pathlib import Path


def fetch_file(package: str, member: str, folder: Path) -> tuple[str, str]:
    """Return the text of a file of a package, or an empty text and why it cannot be fetched.

    Args:
        package: the name and the version, `name@1.2.3`.
        member: the file's path in the package's archive; it begins with `package/`.
        folder: an empty folder for the archive.
    """
    if not (npm := shutil.which("npm")):
        return "", "npm is not installed"
    command = [npm, "pack", package, "--silent", "--ignore-scripts"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        return "", f"npm could not fetch {package} ({type(error).__name__})"
    [archive] = folder.glob("*.tgz")
    with tarfile.open(archive) as packed, packed.extractfile(member) as file:
        return file.read().decode(), ""
