"""Masking of secrets in paths and queries for the log, as ``FASTWS_LOG_MASKED_PARAMETERS`` says.

The rules themselves are in ``_core/redaction.py``.
"""

from __future__ import annotations

from ._core.redaction import is_secret, mask_target
from .conf import conf

__all__ = ["is_masked", "mask_path"]


def mask_path(path: object) -> str:
    """A path, or a path with its query, without the values of what ``FASTWS_LOG_MASKED_PARAMETERS`` names."""
    text = path.decode("latin-1") if isinstance(path, bytes) else str(path)
    return mask_target(text, conf.log_masked_parameters)


def is_masked(name: str) -> bool:
    """Whether the values of a parameter stay out of the log: ``FASTWS_LOG_MASKED_PARAMETERS`` names it."""
    return is_secret(name, tuple(conf.log_masked_parameters))
