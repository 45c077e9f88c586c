"""Processes of a layer: what one of them asks all, and what each answers, over the layer, with a deadline.

A process answers as long as it serves: ``Responder``. Whoever asks, such as ``manage.py ws_doctor``, awaits
``ask_processes()``, whose result says whether all have answered.
"""

from __future__ import annotations

from .diagnosis import diagnosis_of
from .facts import PROCESS_TOPIC, descriptor_facts, process_facts
from .metrics_topic import METRICS_TOPIC
from .passes import PASS_HEADER, PASSES_TOPIC, hash_of_pass, passes
from .responder import InvalidQuestion, Responder, current_responder, topics
from .survey import Answer, Survey, ask_processes

__all__ = [
    "METRICS_TOPIC",
    "PASSES_TOPIC",
    "PASS_HEADER",
    "PROCESS_TOPIC",
    "Answer",
    "InvalidQuestion",
    "Responder",
    "Survey",
    "ask_processes",
    "current_responder",
    "descriptor_facts",
    "diagnosis_of",
    "hash_of_pass",
    "passes",
    "process_facts",
    "topics",
]
