"""The errors: their tree, what they carry, what they say."""

import copy
import pickle

import pytest

import django_fastws
from django_fastws import (
    InvalidMessage,
    LiveError,
    MessageTooBig,
    RouteError,
    WebSocketConnectionError,
    WebSocketDisconnect,
    WebSocketError,
    WebSocketException,
    WebSocketStateError,
    exceptions,
    websocket,
)
from django_fastws._core.headers import HeaderMap
from django_fastws._core.parameters import ParameterError
from django_fastws._core.query import QueryError
from django_fastws.testing import HandshakeDenied
from tests.support.ids import shown

TREE = {
    WebSocketError: (Exception,),
    WebSocketConnectionError: (WebSocketError, ConnectionError, OSError),
    WebSocketDisconnect: (WebSocketConnectionError, ConnectionError),
    WebSocketException: (WebSocketError,),
    WebSocketStateError: (WebSocketError, RuntimeError),
    MessageTooBig: (WebSocketError, ValueError),
    InvalidMessage: (WebSocketError, ValueError),
    LiveError: (WebSocketError,),
}


@pytest.mark.parametrize("error", TREE, ids=lambda error: error.__name__)
def test_the_tree(error):
    assert issubclass(error, TREE[error])


def test_the_tree_has_no_accidental_relations():
    assert not issubclass(WebSocketException, (ConnectionError, RuntimeError, ValueError))
    assert not issubclass(WebSocketStateError, ConnectionError)
    assert not issubclass(MessageTooBig, ConnectionError)
    assert not issubclass(WebSocketConnectionError, (RuntimeError, ValueError))


@pytest.mark.parametrize("error", TREE, ids=lambda error: error.__name__)
def test_every_error_imports_from_the_package_and_from_websocket(error):
    for module in (django_fastws, websocket, exceptions):
        assert getattr(module, error.__name__) is error
        assert error.__name__ in module.__all__


@pytest.mark.parametrize("error", TREE, ids=lambda error: error.__name__)
def test_the_module_opens_with_the_tree(error):
    assert error.__name__ in exceptions.__doc__


DISCONNECTS = [
    (WebSocketDisconnect(), 1000, "", "the connection is closed (1000)"),
    (WebSocketDisconnect(1001), 1001, "", "the connection is closed (1001)"),
    (WebSocketDisconnect(1001, "bye"), 1001, "bye", "the connection is closed (1001 bye)"),
    (WebSocketDisconnect(code=1006, reason=""), 1006, "", "the connection is closed (1006)"),
    (
        WebSocketDisconnect(4000, "bye", call="send"),
        4000,
        "bye",
        "cannot call send(): the connection is closed (4000 bye)",
    ),
]


@pytest.mark.parametrize(("error", "code", "reason", "text"), DISCONNECTS, ids=shown)
def test_a_disconnect_has_code_and_reason(error, code, reason, text):
    assert (error.code, error.reason, str(error)) == (code, reason, text)
    assert repr(error) == f"WebSocketDisconnect(code={code}, reason={reason!r})"


def test_a_disconnect_is_no_errno():
    # ConnectionError is an OSError, which takes two arguments for these
    error = WebSocketDisconnect(1001, "bye")
    assert error.errno is None
    assert error.strerror is None


EXCEPTIONS = [
    (WebSocketException(4001), 4001, "", "4001"),
    (WebSocketException(4001, "not you"), 4001, "not you", "4001 not you"),
    (WebSocketException(code=1008, reason="policy"), 1008, "policy", "1008 policy"),
    (WebSocketException(4001, None), 4001, "", "4001"),
]


@pytest.mark.parametrize(("error", "code", "reason", "text"), EXCEPTIONS, ids=shown)
def test_an_exception_has_code_and_reason(error, code, reason, text):
    assert (error.code, error.reason, str(error)) == (code, reason, text)
    assert str(code) in repr(error)
    assert reason in repr(error)


SENDABLE = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]
NOT_SENDABLE = [-1, 0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65535, 10**9]


@pytest.mark.parametrize("code", SENDABLE)
def test_a_code_that_a_close_frame_may_carry(code):
    exceptions.check_close(code, "")
    assert WebSocketException(code).code == code


@pytest.mark.parametrize("code", NOT_SENDABLE)
def test_a_code_that_no_close_frame_may_carry(code):
    with pytest.raises(ValueError, match=f"close code {code} cannot be sent: .* 3000 to 4999"):
        WebSocketException(code)


@pytest.mark.parametrize("code", [True, False, "1000", 1000.0, None, b"1000", [1000]])
def test_a_code_that_is_no_int(code):
    with pytest.raises(TypeError, match=f"a close code is an int, not {type(code).__name__}"):
        WebSocketException(code)


@pytest.mark.parametrize("reason", ["", "x" * 123, "ü" * 61, "😀" * 30])
def test_a_reason_that_a_close_frame_may_carry(reason):
    assert WebSocketException(4000, reason).reason == reason


@pytest.mark.parametrize(("reason", "size"), [("x" * 124, 124), ("ü" * 62, 124), ("😀" * 31, 124)])
def test_a_reason_that_is_too_long(reason, size):
    words = f"the close reason has {size} bytes, and a close frame carries 123: shorten it"
    with pytest.raises(ValueError, match=f"^{words}$"):
        WebSocketException(4000, reason)


@pytest.mark.parametrize("reason", [b"bye", 5, ["bye"]])
def test_a_reason_that_is_no_str(reason):
    with pytest.raises(TypeError, match=f"a close reason is a str, not {type(reason).__name__}"):
        WebSocketException(4000, reason)


def test_a_reason_without_utf8_is_refused():
    with pytest.raises(ValueError, match="the close reason has no UTF-8"):
        exceptions.check_close(4000, "\ud800")


def test_message_too_big_has_size_and_limit_in_bytes():
    error = MessageTooBig(1048577, 1048576)
    assert (error.size, error.limit) == (1048577, 1048576)
    assert "1048577 bytes" in str(error)
    assert "1048576" in str(error)
    assert "FASTWS_MAX_MESSAGE_BYTES" in str(error)
    assert repr(error) == "MessageTooBig(1048577, 1048576)"


def test_the_others_carry_their_text():
    assert str(WebSocketStateError("cannot")) == "cannot"
    assert str(WebSocketConnectionError("lost")) == "lost"
    assert str(WebSocketError("any")) == "any"


PICKLED = [
    WebSocketError("any"),
    WebSocketConnectionError("lost"),
    WebSocketDisconnect(1001, "bye", call="send"),
    WebSocketException(4001, "not you"),
    WebSocketStateError("cannot"),
    MessageTooBig(5, 3),
    RouteError("cannot be", "not-async"),
    ParameterError("does not fit"),
    QueryError("is not UTF-8"),
    HandshakeDenied(403, HeaderMap([(b"x-a", b"1")]), "no"),
]


@pytest.mark.parametrize("error", PICKLED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy], ids=["pickle", "copy"]
)
def test_errors_survive_pickling_and_copying(error, copied):
    twin = copied(error)
    assert type(twin) is type(error)
    assert (str(twin), repr(twin), vars(twin)) == (str(error), repr(error), vars(error))


def test_a_denied_handshake_is_no_errno():
    error = HandshakeDenied(403, HeaderMap(), "no")
    assert (error.errno, error.strerror, error.filename) == (None, None, None)


def test_a_denied_handshake_says_status_and_text():
    error = HandshakeDenied(403, HeaderMap([(b"x-a", b"1")]), "Forbidden: no")
    assert str(error) == "the handshake was denied with 403 Forbidden: no"
    assert isinstance(error, WebSocketConnectionError)
    assert (error.status, error.headers["X-A"], error.text) == (403, "1", "Forbidden: no")


# (arguments, what the error says)
WRONG = [
    ({"code": 5}, "a code is a str"),
    ({"code": ""}, "a code is a word"),
    ({"message": None}, "a message is a str"),
    ({"fields": {"text": "too long"}}, r"write a list of messages, \['too long'\]"),
    ({"fields": {"text": 5}}, "write a list of messages"),
    ({"retry_after": "5"}, "a number of seconds, or None"),
    ({"retry_after": True}, "a number of seconds, or None"),
]


@pytest.mark.parametrize(("wrong", "says"), WRONG, ids=[str(row[0]) for row in WRONG])
def test_a_live_error_that_no_frame_can_hold_is_a_mistake_where_it_is_made(wrong, says):
    with pytest.raises((TypeError, ValueError), match=says):
        LiveError(**{"code": "no", "message": "", **wrong})
