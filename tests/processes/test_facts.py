"""What a process tells of itself."""

import os
import resource

import django

import django_fastws
from django_fastws.processes import ask_processes, descriptor_facts


async def test_a_process_tells_who_it_is(responder):
    (answer,) = (await ask_processes("process", seconds=30)).answers.values()
    facts = answer.data
    assert (facts["pid"], facts["kind"], facts["draining"]) == (os.getpid(), "server", False)
    assert facts["versions"]["django_fastws"] == django_fastws.__version__
    assert facts["versions"]["django"] == django.get_version()
    assert answer.at - answer.seconds - 0.001 <= facts["time"] <= answer.at + 0.001


def test_descriptors_are_counted_under_the_soft_limit():
    facts = descriptor_facts()
    assert facts["limit"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    with open(os.devnull):
        assert descriptor_facts()["open"] == facts["open"] + 1
