"""A model that is asked: `Crew` runs rows that ask a `Teacher`, whichever back end the `teacher:` of a manifest names.

What was answered once is never asked and never paid again. Of many workers that ask the same model, none passes its rates, and all of them
together never pass its budget. The parts, in the order in which a request meets them:

    crew        rows as coroutines, so many at a time; the answers that are kept; what was used of them
    answers     the file of answers, keyed by model and request
    gate        how a worker asks no faster than its share, without asking anybody about each request
    account     the one book of all workers: shares, budget, the breaker
    endpoint, offline, scripted, cassette   the back ends
"""

from synth.teacher.crew import Crew
from synth.teacher.protocol import Answer, Request, Teacher, TeacherError
from synth.teacher.settings import PROMPTS, Settings, read_prompt

__all__ = ["PROMPTS", "Answer", "Crew", "Request", "Settings", "Teacher", "TeacherError", "read_prompt"]
