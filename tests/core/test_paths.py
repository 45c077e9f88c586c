"""The paths of routes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.paths import Param, Path, Readings, join, parse, without_prefix

JOINED = [
    ("", "", "/"),
    ("", "/", "/"),
    ("", "chat", "/chat"),
    ("", "/chat", "/chat"),
    ("", "/chat/", "/chat/"),
    ("", "//chat", "/chat"),
    ("/ws", "", "/ws"),
    ("/ws", "/", "/ws/"),
    ("/ws", "chat", "/ws/chat"),
    ("/ws", "/chat", "/ws/chat"),
    ("/ws", "/chat/", "/ws/chat/"),
    ("/ws/", "/chat", "/ws/chat"),
    ("/ws/", "chat", "/ws/chat"),
    ("ws", "chat", "/ws/chat"),
    ("ws/", "chat/", "/ws/chat/"),
    ("/", "/", "/"),
    ("/", "/chat", "/chat"),
    ("/api/ws", "/{room}", "/api/ws/{room}"),
    ("/{tenant}/ws", "/{room}", "/{tenant}/ws/{room}"),
]


@pytest.mark.parametrize(("prefix", "path", "joined"), JOINED)
def test_joining(prefix, path, joined):
    assert join(prefix, path) == joined


PARSED = [
    ("/", ()),
    ("", ()),
    ("/chat", ("chat",)),
    ("/chat/", ("chat/",)),
    ("chat", ("chat",)),
    ("/{room}", (Param("room", None),)),
    ("/{pk:int}", (Param("pk", "int"),)),
    ("/<int:pk>", (Param("pk", "int"),)),
    ("/<pk>", (Param("pk", None),)),
    ("/chat/{room}/{pk:int}/end", ("chat/", Param("room", None), "/", Param("pk", "int"), "/end")),
    ("/{a}{b}", (Param("a", None), Param("b", None))),
    ("/{a}-{b}", (Param("a", None), "-", Param("b", None))),
    ("/{größe}", (Param("größe", None),)),
    ("/größe/{a}", ("größe/", Param("a", None))),
    ("/{rest:path}", (Param("rest", "path"),)),
    ("/{_}/{a1}", (Param("_", None), "/", Param("a1", None))),
    ("/a.b*c$d^e(f)/{x}", ("a.b*c$d^e(f)/", Param("x", None))),
]


@pytest.mark.parametrize(("path", "parts"), PARSED)
def test_parsing(path, parts):
    assert parse(path) == Path(parts)
    assert parse(path).params == tuple(part for part in parts if isinstance(part, Param))


BAD = [
    ("/{room", "stray '{'"),
    ("/room}", "stray '}'"),
    ("/<room", "stray '<'"),
    ("/room>", "stray '>'"),
    ("/{room}}", "stray '}'"),
    ("/{{room}}", "stray '{'"),
    ("/{<room>}", "stray '{'"),
    ("/{}", "'' is not a parameter"),
    ("/<>", "'' is not a parameter"),
    ("/{ room}", "' room' is not a parameter"),
    ("/{pk: int}", "'pk: int' is not a parameter"),
    ("/{pk:}", "'pk:' is not a parameter"),
    ("/{:int}", "':int' is not a parameter"),
    ("/<int:>", "'int:' is not a parameter"),
    ("/<:pk>", "':pk' is not a parameter"),
    ("/{a:b:c}", "'a:b:c' is not a parameter"),
    ("/{1a}", "'1a' is not a parameter"),
    ("/{a-b}", "'a-b' is not a parameter"),
    ("/{a.b}", "'a.b' is not a parameter"),
    ("/{room}/{room}", "two parameters called 'room'"),
    ("/{room}/<int:room>", "two parameters called 'room'"),
    ("/chat?x=1", "query parameters are parameters of the handler"),
    ("/chat/{room}?x={x}", "query parameters are parameters of the handler"),
    ("/chat#x", "stray '#'"),
]


@pytest.mark.parametrize(("path", "words"), BAD)
def test_a_bad_path_is_refused_with_what_is_wrong(path, words):
    with pytest.raises(ValueError, match=re.escape(words)) as raised:
        parse(path)
    assert repr(path) in str(raised.value)


@pytest.mark.parametrize("path", ["/{room", "/{}", "/{a b}"])
def test_a_refusal_says_how_parameters_are_written(path):
    with pytest.raises(ValueError, match=r"\{name\}, \{name:converter\} or <converter:name>"):
        parse(path)


@pytest.mark.parametrize("path", [None, 5, b"/chat", ["/chat"]])
def test_a_path_that_is_no_str_is_refused(path):
    with pytest.raises(TypeError, match=f"not {type(path).__name__}"):
        parse(path)


@pytest.mark.parametrize(
    ("path", "converters", "route"),
    [
        ("/chat", {}, "chat"),
        ("/{room}", {}, "<str:room>"),
        ("/{room}", {"room": "slug"}, "<slug:room>"),
        ("/{pk:int}", {"pk": "str"}, "<int:pk>"),
        ("/<int:pk>", {}, "<int:pk>"),
        ("/a/{x}/b/{y}", {"y": "uuid"}, "a/<str:x>/b/<uuid:y>"),
    ],
)
def test_a_path_in_djangos_syntax(path, converters, route):
    assert parse(path).django_route(converters) == route


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("/chat", "chat", True),
        ("/chat", "/chat/", False),
        ("/{a}", "/{b}", True),
        ("/{a}", "/<str:b>", True),
        ("/{a:int}", "/<int:b>", True),
        ("/{a:int}", "/{a}", False),
        ("/{a}/x", "/{b}/y", False),
    ],
)
def test_paths_that_differ_in_names_alone_have_one_shape(one, two, same):
    assert (parse(one).shape({}) == parse(two).shape({})) is same


def test_the_shape_knows_the_converters_that_annotations_pick():
    assert parse("/{a}").shape({"a": "int"}) == parse("/{b:int}").shape({})


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
LITERALS = st.text("abcüß/-._~ %", min_size=1, max_size=8)
PARAMS = st.builds(Param, NAMES, st.one_of(st.none(), st.sampled_from(["int", "str", "slug", "uuid", "path"])))


@given(st.lists(st.one_of(LITERALS, PARAMS), max_size=6), st.booleans())
def test_what_is_written_is_read_back(parts, angles):
    def written(part):
        if isinstance(part, str):
            return part
        if part.converter is None:
            return f"<{part.name}>" if angles else f"{{{part.name}}}"
        return f"<{part.converter}:{part.name}>" if angles else f"{{{part.name}:{part.converter}}}"

    names = [part.name for part in parts if isinstance(part, Param)]
    text = "".join(map(written, parts))
    if len(set(names)) < len(names):
        with pytest.raises(ValueError, match="two parameters called"):
            parse(text)
        return
    path = parse("/" + text)
    assert list(path.params) == [part for part in parts if isinstance(part, Param)]
    assert "".join(map(written, path.parts)) == text.lstrip("/")


@given(st.text("{}<>:/ab1?# ü", max_size=20))
def test_arbitrary_text_is_a_path_or_a_value_error(text):
    try:
        path = parse(text)
    except ValueError:
        return
    assert all(param.name.isidentifier() for param in path.params)


@given(st.text("/ab ", max_size=5), st.text("/ab ", max_size=5))
def test_a_joined_path_starts_with_one_slash(prefix, path):
    joined = join(prefix, path)
    assert joined.startswith("/")
    assert not joined.startswith("//")


REST = [
    ("/app/ws/echo", "/app", "/ws/echo"),
    ("/app/ws/echo", "/app/", "/ws/echo"),
    ("/app", "/app", ""),
    ("/app/", "/app", "/"),
    ("/app/app/x", "/app", "/app/x"),
    ("/a/b/x", "/a/b", "/x"),
    ("/appws/echo", "/app", None),
    ("/ws/echo", "/app", None),
    ("/ap", "/app", None),
    ("/ws/echo", "", None),
    ("/ws/echo", "/", None),
    ("app/x", "/app", None),
]


@pytest.mark.parametrize(("path", "prefix", "rest"), REST)
def test_what_is_left_behind_a_prefix(path, prefix, rest):
    assert without_prefix(path, prefix) == rest


# (path, text, whether it has too many readings)
READ = [
    ("{a}-{b}", "-" * 508, False),
    ("{a}-{b}", "-" * 8_000, True),
    ("{a}-{b}", "a-b" * 1_000, False),
    ("{a}-{b}-{c}", "-" * 150, False),
    ("{a}-{b}-{c}", "-" * 508, True),
    ("{a}{b}{c}", "x" * 508, True),
    ("{a}-{b}_{c}-{d}", "-_" * 250, True),
    ("{n}-{b}-{c}", "-" * 3_000, False),  # a number has no hyphen: where it ends is clear
    ("{a}/{b}/{c}", "/" * 8_000, False),
    ("-{a}-", "-" * 8_000, False),
    ("chat", "-" * 8_000, False),
]


@pytest.mark.parametrize(("path", "text", "are_too_many"), READ)
def test_readings(path, text, are_too_many):
    word = re.compile("[^/]+")
    regexes = {"a": word, "b": word, "c": word, "d": word, "n": re.compile("[0-9]+")}
    assert Readings(parse(path), regexes).are_too_many(text) == are_too_many
