"""What must not be lost is in the database."""

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import F
from django_fastws import FastWS, Room, WebSocket

from chat.models import Comment, Topic

app = FastWS(prefix="/ws")


@app.websocket("/comments/{name}")
async def comments(ws: WebSocket, name: str, seen: int = 0):
    await ws.accept()
    await ws.join(f"comments-{name}")
    await ws.send(await page_after(name, seen))
    async for message in ws:
        data = message.json()
        if "seen" in data:
            await ws.send(await page_after(name, data["seen"]))
        else:
            await sync_to_async(add_comment)(name, data["text"])


async def page_after(name, seen, size=100):
    # Read first: whatever has this number or a lower one is there when the comments are read.
    last = (await Topic.objects.aget(name=name)).last
    found = Comment.objects.filter(topic=name, number__gt=seen).order_by("number")
    page = [comment async for comment in found.values("number", "text")[:size]]
    return {"comments": page, "seen": page[-1]["number"] if len(page) == size else last, "last": last}


@transaction.atomic
def add_comment(name, text):
    # This locks the topic until the commit. So the order of the numbers is the order of the commits.
    Topic.objects.filter(name=name).update(last=F("last") + 1)
    topic = Topic.objects.get(name=name)
    comment = topic.comments.create(number=topic.last, text=text)
    Room(f"comments-{name}").broadcast({"number": comment.number, "text": comment.text})
