"""What the pages say of schemas."""

from __future__ import annotations

import pytest

from django_fastws.live import live_rooms
from django_fastws.schema import describe, typescript
from tests.docs import examples
from tests.docs.blocks import DOCS, blocks_of
from tests.support.typescript import errors_of

PAGE = DOCS / "howto" / "live-schema.md"
BLOCKS = [block for block in blocks_of(PAGE) if block.language == "typescript"]


@pytest.mark.npm
@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.id)
def test_typescript_of_a_page_has_the_errors_that_it_names(routes, tmp_path, block):
    examples.load("live_room")
    errors = errors_of(tmp_path, block.text, typescript(describe(live_rooms())))
    lines = block.text.splitlines()
    assert {lines[number - 1] for number in errors} == {line for line in lines if "// error" in line}
