"""The order of the tests."""

import pytest

from tests.support.order import longest_first


@pytest.mark.parametrize(
    ("long", "others", "processes", "order"),
    [
        ("", "abcdefgh", 4, "ab cd ef gh"),
        ("A B C D", "abcdefgh", 4, "Aab Bcd Cef Dgh"),
        ("A BC D E F", "abcdefgh", 4, "BCa AFb Dcde Efgh"),
        ("A B", "abcdefg", 4, "Aa Bb cd efg"),
        ("A B C", "a", 4, "A B C a"),
        ("ABC D", "a", 2, "ABC Da"),
        ("A B", "abc", 1, "ABabc"),
        ("", "", 4, ""),
    ],
)
def test_each_process_begins_with_its_share_of_the_long_tests(long, others, processes, order):
    files = [list(file) for file in long.split()]
    assert "".join(longest_first(files, list(others), processes)) == order.replace(" ", "")
