"""Server-sent events: a view that passes on what a room is told."""

from django.http import StreamingHttpResponse
from django_fastws import Room


async def ticket_events(request, pk):
    async def stream():
        async with Room(f"tickets/{pk}").listen() as events:
            async for event in events:
                yield b"event: %b\ndata: %b\n\n" % (event.event.encode(), event.raw)

    return StreamingHttpResponse(stream(), content_type="text/event-stream")
