"""Tests of the board, without a server: ``manage.py test example_project``."""

from typing import Any

from django.contrib.auth.models import User
from django.test import TransactionTestCase

from django_fastws import LiveError
from django_fastws.testing import clear_histories, live

from .consumers import MAX_NOTES, board
from .models import Note


class BoardTests(TransactionTestCase):
    def setUp(self) -> None:
        clear_histories()
        self.maya = User.objects.create_user("Maya")
        self.noah = User.objects.create_user("Noah")

    async def test_a_note_is_put_up_moved_written_on_and_taken_away(self) -> None:
        async with live(user=self.maya) as maya, live(user=self.noah) as noah:
            here, there = await maya.join(board()), await noah.join(board())
            pk = await here.call("add", x=0.25, y=0.5)
            await there.call("move", id=pk, x=0.75, y=1)
            await there.call("write", id=pk, text=" Tea at four ")
            notes = [(await here.next("put")).data for _ in range(3)]
            self.assertEqual(
                [(note["x"], note["text"]) for note in notes], [(0.25, ""), (0.75, ""), (0.75, "Tea at four")]
            )
            self.assertEqual(notes[-1]["name"], "Maya")
            self.assertEqual((await noah.join(board())).state, [notes[-1]])
            await there.call("remove", id=pk)
            self.assertEqual((await here.next("removed")).data, {"id": pk})

    async def test_a_cursor_is_passed_on_and_stored_nowhere(self) -> None:
        async with live(user=self.maya) as maya, live(user=self.noah) as noah:
            here, there = await maya.join(board()), await noah.join(board())
            before = await board().aposition()
            await here.call("cursor", x=0.1, y=0.9)
            cursor = await there.next("cursor")
            self.assertEqual((cursor.data, cursor.sender), ({"x": 0.1, "y": 0.9}, str(self.maya.pk)))
            self.assertEqual(await board().aposition(), before)

    async def test_moves_that_were_missed_are_replayed(self) -> None:
        async with live(user=self.maya) as maya, live(user=self.noah) as noah:
            here, there = await maya.join(board()), await noah.join(board())
            pk = await here.call("add", x=0, y=0)
            await there.next("put")
            await noah.close(1006)
            for x in (0.1, 0.2):
                await here.call("move", id=pk, x=x, y=0)
            await noah.reconnect()
            self.assertTrue(there.recovered)
            self.assertEqual([(await there.next("put")).data["x"] for _ in range(2)], [0.1, 0.2])

    async def test_what_cannot_be_is_refused(self) -> None:
        await Note.objects.abulk_create(Note(x=0, y=0, key="1", name="Maya") for _ in range(MAX_NOTES))
        cases: list[tuple[str, dict[str, Any], str]] = [
            ("add", {"x": 0, "y": 0}, "full"),
            ("add", {"x": 1.1, "y": 0}, "invalid"),
            ("cursor", {"x": 0, "y": -1}, "invalid"),
            ("move", {"id": 0, "x": 0, "y": 0}, "not_found"),
            ("remove", {"id": 0}, "not_found"),
        ]
        async with live(user=self.maya) as maya:
            room = await maya.join(board())
            for event, data, code in cases:
                with self.assertRaises(LiveError) as refused:
                    await room.call(event, data)
                self.assertEqual(refused.exception.code, code)
