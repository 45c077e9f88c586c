"""daphne's own tests pass on our server. They come with daphne's sources, which are downloaded once."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.processes import ROOT

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.long]

VERSION = version("daphne")
LIMIT = 240  # seconds; it takes about 15
CACHED = ROOT / ".cache" / "daphne"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """daphne's sources, of the version that is installed."""
    archive = CACHED / f"daphne-{VERSION}.tar.gz"
    if not archive.exists():
        download = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        requirement = ["--no-deps", "--no-binary", "daphne", f"daphne=={VERSION}", "--dest", str(CACHED)]
        done = subprocess.run([*download, *requirement], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"the sources of daphne {VERSION} cannot be downloaded: {done.stderr.strip()[-200:]}")
    directory = tmp_path_factory.mktemp("daphne")
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
    return directory / f"daphne-{VERSION}"


def test_daphnes_own_tests_pass(sources):
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.server.daphne_suite", "tests"],
        cwd=sources,
        env={
            **{name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
            "PYTHONPATH": f"{ROOT}{os.pathsep}{sources / 'tests'}",
            "PYTEST_ADDOPTS": "-p no:randomly -p no:django -p no:cacheprovider",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=LIMIT)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a server that it has started as well
        process.wait()
    assert process.returncode == 0, output[-5000:]
    assert int(re.findall(r"(\d+) passed", output)[-1]) > 60, output[-5000:]
