"""Tests of the desk, without a server: ``manage.py test example_project``."""

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from django.test import TransactionTestCase

from django_fastws import LiveError
from django_fastws.testing import clear_histories, live

from .consumers import desk, post, tickets
from .models import Message, Seat, Ticket


class DeskTests(TransactionTestCase):
    """Commits are real here: what is broadcast in a transaction goes out after it."""

    def setUp(self) -> None:
        clear_histories()
        self.maya = User.objects.create_user("Maya")
        self.iris = User.objects.create_user("Iris", is_staff=True)
        self.ticket = Ticket.objects.create(subject="Where is my order?")
        self.room = tickets(pk=self.ticket.pk)

    async def test_a_message_is_saved_and_told_in_one_step(self) -> None:
        async with live(user=self.maya) as maya, live(user=self.iris) as iris:
            here, there, listed = await maya.join(self.room), await iris.join(self.room), await iris.join(desk())
            self.assertEqual(await here.call("say", text=" Hello! "), 1)
            said = await there.next("said")
            self.assertEqual((said.data["name"], said.data["text"], said.data["number"]), ("Maya", "Hello!", 1))
            changed = await listed.next("changed")
            self.assertEqual((changed.data["count"], changed.data["last_text"]), (1, "Hello!"))
        self.assertEqual((await Message.objects.aget()).text, "Hello!")

    async def test_who_was_away_gets_what_was_missed_and_no_state(self) -> None:
        async with live(user=self.iris) as iris:
            room = await iris.join(self.room)
            await iris.close(1006)
            for text in ("one", "two"):
                await sync_to_async(post)(self.ticket.pk, self.maya, text)
            await iris.reconnect()
            self.assertTrue(room.recovered)
            self.assertEqual([(await room.next("said")).data["text"] for _ in range(2)], ["one", "two"])

    async def test_what_is_unread_is_a_number_of_each_user(self) -> None:
        await sync_to_async(post)(self.ticket.pk, self.maya, "Hello!")
        async with live(user=self.iris) as iris, live(user=self.maya) as maya:
            here, listed = await iris.join(self.room), await iris.join(desk())
            self.assertEqual([row["read"] for row in listed.state], [0])
            self.assertEqual([row["read"] for row in (await maya.join(desk())).state], [1])
            await here.call("read", number=10**9)  # as far as there is something to read
            mark = {"id": self.ticket.pk, "key": str(self.iris.pk), "read": 1}
            self.assertEqual((await listed.next("read")).data, mark)
            await here.call("read", number=0)  # of a page that is behind: a mark never goes back
            self.assertTrue(await listed.receive_nothing())

    async def test_typing_is_passed_on_with_who_it_is(self) -> None:
        async with live(user=self.maya) as maya, live(user=self.iris) as iris:
            here, there = await maya.join(self.room), await iris.join(self.room)
            await here.call("typing", is_typing=True)
            typing = await there.next("typing")
            self.assertEqual((typing.data, typing.sender), ({"is_typing": True}, str(self.maya.pk)))

    async def test_an_agent_takes_somebody_out_who_cannot_come_back_at_once(self) -> None:
        async with live(user=self.maya) as maya, live(user=self.iris) as iris:
            here, there = await maya.join(self.room), await iris.join(self.room)
            with self.assertRaises(LiveError) as refused:
                await here.call("kick", key=self.iris.pk)
            self.assertEqual(refused.exception.code, "forbidden")
            await there.call("kick", key=self.maya.pk)
            self.assertIn("Iris has taken you out", (await here.wait_left()).reason)
            self.assertEqual((await there.next("taken_out")).data["name"], "Maya")
            with self.assertRaises(LiveError) as refused:
                await maya.join(self.room)
            self.assertEqual(refused.exception.code, "forbidden")
            await Seat.objects.filter(user=self.maya).aupdate(out_until=None)
            await maya.join(self.room)

    async def test_nobody_comes_in_without_an_account_or_to_a_ticket_that_is_none(self) -> None:
        async with live(user=AnonymousUser()) as nobody, live(user=self.maya) as maya:
            for client, room, code in (
                (nobody, self.room, "unauthenticated"),
                (nobody, desk(), "unauthenticated"),
                (maya, tickets(pk=0), "not_found"),
            ):
                with self.assertRaises(LiveError) as refused:
                    await client.join(room)
                self.assertEqual(refused.exception.code, code)

    def test_the_form_opens_a_ticket(self) -> None:
        self.client.force_login(self.maya)
        page = self.client.post("/desk/open/", {"subject": "A <b>lamp</b>", "text": "It flickers."}, follow=True)
        self.assertContains(page, "A &lt;b&gt;lamp&lt;/b&gt;")
        self.assertEqual(Ticket.objects.get(subject__startswith="A").last_text, "It flickers.")
        self.assertEqual(self.client.post("/desk/open/", {"subject": "", "text": "x"}).status_code, 422)

    async def test_a_page_brings_the_position_from_which_its_socket_goes_on(self) -> None:
        await sync_to_async(post)(self.ticket.pk, self.maya, "rendered")
        await self.async_client.aforce_login(self.iris)
        page = await self.async_client.get(f"/desk/{self.ticket.pk}/")
        since = str(await self.room.aposition())
        self.assertContains(page, f'data-since="{since}"')
        self.assertContains(page, "rendered")
        await sync_to_async(post)(self.ticket.pk, self.maya, "between")
        async with live(user=self.iris) as iris:
            room = await iris.join(self.room, since=since)
            self.assertEqual((await room.next("said")).data["text"], "between")
            self.assertIsNone(room.state)
