"""What must not be lost is in the database."""

from django_fastws import FastWS, Room, WebSocket

from chat.models import Comment

app = FastWS(prefix="/ws")


@app.websocket("/comments/{topic}")
async def comments(ws: WebSocket, topic: str, after: int = 0):
    await ws.accept()
    await ws.join(f"comments-{topic}")
    async for comment in Comment.objects.filter(topic=topic, pk__gt=after).order_by("pk"):
        await ws.send({"number": comment.pk, "text": comment.text})
    async for message in ws:
        await add_comment(topic, message.text)


async def add_comment(topic, text):
    comment = await Comment.objects.acreate(topic=topic, text=text)
    await Room(f"comments-{topic}").abroadcast({"number": comment.pk, "text": comment.text})
