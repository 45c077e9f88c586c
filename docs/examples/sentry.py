"""What failed goes to Sentry with the socket that it failed in."""

import sentry_sdk


class SentryMiddleware:
    """Keeps what Sentry knows of one socket apart from the others."""

    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        with sentry_sdk.isolation_scope() as sentry:
            sentry.set_tag("websocket", scope["path"])  # without the query string, which may hold a token
            if scope["user"].is_authenticated:
                sentry.set_user({"id": str(scope["user"].pk)})
            await self.inner(scope, receive, send)
