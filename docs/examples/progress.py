from collections.abc import AsyncIterator
from typing import Annotated

from annotated_types import Len
from django_fastws import FastWS, LiveError
from pydantic import BaseModel

app = FastWS()
KEPT: dict[int, list[str]] = {}


class Progress(BaseModel):
    done: int
    of: int


class Looking(BaseModel):
    row: int


imports = app.room("imports/{pk:int}", login_required=True)


@imports.on("run", rate="1/s", concurrent=True, timeout=600)
async def run(ws, pk: int, rows: Annotated[list[str], Len(1, 1000)]) -> AsyncIterator[Progress]:
    for done, row in enumerate(rows, 1):
        if not row:
            raise LiveError("empty_row", f"Row {done} is empty.")
        KEPT.setdefault(pk, []).append(row)
        yield Progress(done=done, of=len(rows))


imports.relay("looking", Looking, rate="10/s")
