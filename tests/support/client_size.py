"""Size of the browser client as a page loads it, compressed by gzip.

``python -m tests.support.client_size`` prints it, and fails if it is over the limit.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

__all__ = ["CLIENT", "LIMIT", "compressed_size"]

CLIENT = Path(__file__).resolve().parents[2] / "django_fastws" / "static" / "django_fastws" / "fastws.js"
#: Bytes of ``gzip -9 fastws.js``, with its comments.
LIMIT = 5_000


def compressed_size(path: Path = CLIENT) -> int:
    """The size of a file after ``gzip -9``, whose header has the name of the file."""
    return len(gzip.compress(path.read_bytes(), 9, mtime=0)) + len(path.name) + 1


def main() -> int:
    """Print the size; whether it is over the limit."""
    size = compressed_size()
    print(f"{CLIENT.name}: {size:,} bytes compressed, of {LIMIT:,}")
    return int(size > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
