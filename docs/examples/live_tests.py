"""A test that talks to a real server."""

import json

from channels.testing import ChannelsLiveServerTestCase
from django.contrib.auth.models import User
from websockets import Origin
from websockets.sync.client import connect


class LiveTests(ChannelsLiveServerTestCase):
    def open(self, path):
        cookies = "; ".join(f"{name}={cookie.value}" for name, cookie in self.client.cookies.items())
        return connect(
            f"{self.live_server_ws_url}{path}",
            origin=Origin(self.live_server_url),
            additional_headers={"Cookie": cookies} if cookies else None,
        )

    def test_both_hear(self):
        self.client.force_login(User.objects.create_user("ada"))
        with self.open("/ws/chat/tea?username=ada") as ada, self.open("/ws/chat/tea") as bob:
            bob.send("here")  # who hears himself is in the room
            self.assertEqual(json.loads(bob.recv(timeout=5))["message"], "here")
            ada.send("hello")
            self.assertEqual(json.loads(bob.recv(timeout=5)), {"username": "ada", "message": "hello"})
