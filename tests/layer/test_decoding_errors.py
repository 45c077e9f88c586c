"""What cannot be decoded is logged, and each kind once: whoever may publish can send anything."""

import logging

import pytest

from django_fastws._core.envelope import UnknownVersion
from django_fastws.layer.decoding_errors import DecodingErrors


@pytest.mark.parametrize(
    ("error", "word"),
    [(UnknownVersion("2"), "'2'"), (UnknownVersion(100_000 * "9"), "version"), (TypeError(5000 * "x"), "TypeError")],
    ids=["version", "long version", "garbage"],
)
def test_each_kind_is_logged_once_and_in_short(caplog, error, word):
    errors = DecodingErrors()
    for _ in range(3):
        errors.log(error)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert word in record.getMessage()
    assert len(record.getMessage()) < 350
    assert record.exc_info is None


def test_kinds_are_apart(caplog):
    errors = DecodingErrors()
    for _ in range(2):
        errors.log(UnknownVersion("2"))
        errors.log(ValueError("garbage"))
        errors.log_stranger("a", "b")
    assert len(caplog.records) == 3
