"""Tests of the market, without a feed: ``manage.py test example_project``."""

from django.test import SimpleTestCase

from django_fastws.testing import clear_histories, live, peer

from .consumers import market


class MarketTests(SimpleTestCase):
    def setUp(self) -> None:
        clear_histories()

    async def test_what_the_feed_says_is_what_a_page_begins_with(self) -> None:
        async with peer("ANVL") as anvil, peer("DUNE") as dune, live() as client:
            room = await client.join(market())
            self.assertEqual(room.latest, {})
            await anvil.send_json({"type": "tick", "price": 84.25})
            await dune.send_json({"price": 9.75})
            self.assertEqual((await room.next(key="ANVL")).data["price"], 84.25)
            await room.next(key="DUNE")
            async with live() as other:
                latest = (await other.join(market())).latest
                self.assertEqual(
                    {symbol: quote["price"] for symbol, quote in latest.items()}, {"ANVL": 84.25, "DUNE": 9.75}
                )

    async def test_the_last_of_many_ticks_arrives_with_the_line_that_leads_there(self) -> None:
        async with peer("CLDR") as calder, live() as client:
            room = await client.join(market())
            for price in (30, 31, 32, 33):
                await calder.send_json({"price": price})
            last = await room.next(key="CLDR", where={"price": 33.0})
            self.assertEqual(last.data["recent"][-4:], [30, 31, 32, 33])
