"""Scripted teachers of the tests."""

import json

from synth.teacher import Request

CALLS: list[Request] = []


def upper(request: Request) -> str:
    CALLS.append(request)
    return f"{request.messages[-1]['content'].upper()} {request.sample}"


def as_json(request: Request) -> str:
    return json.dumps({"a": request.messages[-1]["content"]})


def is_good(request: Request) -> str:
    """Three of four texts are."""
    return "no" if int(request.messages[-1]["content"].rpartition(" ")[2]) % 4 == 0 else "yes"
