"""Users of live rooms by a token: one that Django signs, one of the Django REST framework, a JWT."""

from django.contrib.auth import get_user_model
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django_fastws import FastWS

app = FastWS()
inbox = app.room("inbox", login_required=True)


@inbox.state
async def mine(ws) -> str:
    return f"inbox of {ws.user.get_username()}"


def live_token(request):
    """A view behind a login, whatever kind of login that is."""
    return HttpResponse(signing.dumps(request.user.pk, salt="live"))


async def by_signature(token, scope):
    try:
        pk = signing.loads(token, salt="live", max_age=600)
    except signing.BadSignature as error:
        raise PermissionDenied("the token is not valid") from error
    return await active_user(pk)


async def by_drf_token(token, scope):
    from rest_framework.authtoken.models import Token

    found = await Token.objects.filter(key=token).afirst()
    return await active_user(found and found.user_id)


async def by_jwt(token, scope):
    import jwt
    from django.conf import settings

    try:
        claims = jwt.decode(token, settings.SECRET_KEY, algorithms=["HS256"], options={"require": ["exp", "user_id"]})
    except jwt.InvalidTokenError as error:
        raise PermissionDenied("the token is not valid") from error
    return await active_user(claims["user_id"])


async def active_user(pk):
    user = await get_user_model().objects.filter(pk=pk, is_active=True).afirst()
    if user is None:
        raise PermissionDenied("the token is not valid")
    return user
