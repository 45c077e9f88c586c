"""Ports for the servers of tests: nobody else gets them."""

from __future__ import annotations

import socket

import pytest

from tests.support.processes import HOST, Ports


@pytest.fixture
def few(monkeypatch):
    for name, value in {"FIRST": 18_000, "LAST": 20_000, "BLOCK": 3}.items():  # which no server of other tests has
        monkeypatch.setattr(Ports, name, value)


def test_two_processes_have_no_port_in_common(few):
    one, two = Ports(), Ports()
    ports = [[each.take() for _ in range(3)] for each in (one, two)]
    assert len({*ports[0], *ports[1]}) == 6
    assert all(Ports.FIRST <= port < Ports.LAST for port in [*ports[0], *ports[1]])
    for each in (one, two):
        each.close()


def test_they_are_taken_in_turn_but_for_those_on_which_something_listens(few):
    ports = Ports()
    first, second, third = [ports.take() for _ in range(3)]
    with socket.create_server((HOST, second)):
        assert [ports.take() for _ in range(4)] == [first, third, first, third]
    assert ports.take() == first
    ports.close()
