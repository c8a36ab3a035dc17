"""The person, the planner, and a model in place of the script."""

import asyncio
import json

from synth.export.messages import chat_messages
from synth.render import Call
from synth.rows import Made
from synth.teacher import Answer, Request
from synth.tooluse import dialogue, generator, model
from synth.tooluse.environments import ENVIRONMENTS
from synth.tooluse.judge import conversation_verdicts
from synth.tooluse.planner import plan
from synth.tooluse.user import User, _asked
from tests.synth.tooluse.worlds import conversed, find, posed


def user_of(name: str, wish: str) -> User:
    task, draw = find(name, wish)
    return User(task.wishes, task.environment.slots, draw)


def test_a_yes_never_ends_a_conversation() -> None:
    task, draw = find("retail", "cancel_order")
    session, _ = conversed(task, draw)
    user = User(task.wishes, task.environment.slots, draw)
    user.opens()
    order = task.wishes[0].gold[0].arguments["order_id"]
    asked = [turn.text for turn in session.turns if turn.role == "assistant" and "?" in turn.text]
    proposal = next(text for text in asked if order in text)
    assert "es" in (user.reply(proposal) or "") or "o ahead" in (user.reply(proposal) or "")
    assert user.reply("Done, it is cancelled.") is None


def test_a_person_doubts_what_is_not_wanted() -> None:
    user = user_of("bank", "set_card_limit")
    user.opens()
    said = user.reply("I will block your card for good. Shall I go ahead?")
    assert said is not None
    assert said.startswith("No")


def test_a_person_tells_what_is_asked_for_and_no_more() -> None:
    for number in range(99):
        task, draw = posed("bank", number, 1)
        user = User(task.wishes, task.environment.slots, draw)
        user.opens()
        if not user.told & {"customer_id", "birthday"}:
            break
    user = User(task.wishes, task.environment.slots, draw)
    opening = user.opens()
    facts = task.wishes[0].facts
    assert facts["birthday"] not in opening
    said = user.reply("What is your birthday?") or ""
    assert facts["birthday"] in said
    assert facts["customer_id"] not in said
    assert user.told >= {"birthday"}
    user.reply("And your customer number?")
    assert user.reply("What is the weather like?") is not None


def test_what_is_asked_for_ends_as_a_question() -> None:
    for given, said in (
        ("Can I pay order W1 with my wallet.", "Can I pay order W1 with my wallet?"),
        ("I'm Ada. Could you invite Bo to “a.b”, please.", "I'm Ada. Could you invite Bo to “a.b”, please?"),
        ("I am moving, so can you send it to another address.", "I am moving, so can you send it to another address?"),
        ("Please cancel it, if you can.", "Please cancel it, if you can."),
        ("Where is it? It was here.", "Where is it? It was here."),
    ):
        assert _asked(given) == said


def test_a_person_says_its_name_once() -> None:
    for number in range(40):
        task, draw = posed("rooms", number, 3)
        if len(task.wishes) > 1:
            break
    user = User(task.wishes, task.environment.slots, draw)
    name = task.wishes[0].facts["name"]
    assert name in user.opens()
    assert name not in user.opens()
    assert "name" in user.told


def test_a_person_does_not_tell_everything_at_once() -> None:
    for number in range(60):
        task, draw = posed("retail", number, 1)
        user = User(task.wishes, task.environment.slots, draw)
        user.opens()
        before = user.told
        if task.wishes[0].name == "change_address" and not before & {"new_street", "new_city", "new_zip"}:
            user.reply("What is the new address?")
            assert 1 <= len(user.told - before) <= 2
            return
    raise AssertionError("nobody holds the address back")


def test_the_planner_finds_the_reads_and_no_more() -> None:
    task, _ = find("retail", "change_payment")
    wish, tools = task.wishes[0], task.environment.by_name
    found = plan(task.start, tools, wish.facts, [*wish.look, *wish.gold], wish.needs)
    assert found == list(task.plans[0][: -len(wish.gold)])
    assert plan(task.start, tools, {}, [*wish.look, *wish.gold]) is None, "nothing is known of the person"


def test_a_task_has_one_to_eight_actions_and_several_wishes() -> None:
    lengths = {len(posed(name, n)[0].gold) for name in ENVIRONMENTS for n in range(40)}
    assert lengths >= set(range(1, 9))
    assert max(lengths) == dialogue.MAX_ACTIONS
    assert {len(posed("bank", n)[0].wishes) for n in range(40)} == {1, 2, 3}


class Replaying:
    """A teacher that says what a scripted conversation says; `spoil` changes one answer of some samples."""

    def __init__(self, turns: list, spoil: dict[int, Answer]) -> None:
        self.said = [turn for turn in turns if turn.role == "assistant"]
        self.spoil = spoil
        self.requests: list[Request] = []

    async def ask(self, request: Request) -> Answer:
        self.requests.append(request)
        number = sum(message["role"] == "assistant" for message in request.messages)
        if request.sample in self.spoil and number == len(self.said) - 1:
            return self.spoil[request.sample]
        turn = self.said[min(number, len(self.said) - 1)]
        return Answer(turn.text, "stop", 1, 1, reasoning=turn.think, calls=turn.calls)


def test_of_a_models_tries_the_shortest_right_one_is_kept() -> None:
    task, draw = find("bank", "balance")
    session, faults = conversed(task, draw)
    sql = "SELECT account_id FROM accounts WHERE customer_id = ? LIMIT 1"
    mine = task.start.value(sql, task.wishes[0].facts["customer_id"])
    account = Call("list_cards", {"account_id": mine})
    spoil = {
        0: Answer("I cannot tell.", "stop", 1, 1),
        1: Answer("", "stop", 1, 1, failure="http_500"),
        2: Answer("cut", "length", 1, 1),
        3: Answer("", "tool_calls", 1, 1, calls=(account,)),
    }
    teacher = Replaying(session.turns, spoil)

    async def all_tries() -> list:
        people = [model.ScriptedPerson(User(task.wishes, task.environment.slots, draw)) for _ in range(6)]
        return [
            await model.attempt(task, task.environment.tools, faults, person, teacher, n)
            for n, person in enumerate(people)
        ]

    tries = asyncio.run(all_tries())
    assert [one is None for one in tries] == [False, True, True, False, False, False]
    assert tries[3].num_calls == tries[4].num_calls + 1
    found, verdict = model.best(task, tries, faults)
    assert found is tries[4]
    assert verdict == {"passed": True, "tries": 6, "right": 3}
    assert model.best(task, tries[:3], faults) == (None, {"passed": False, "tries": 3, "right": 0})


def test_messages_are_in_the_form_of_the_api() -> None:
    task, draw = find("bank", "balance")
    session, _ = conversed(task, draw)
    sent = chat_messages(session.turns)
    calls = [call for message in sent for call in message.get("tool_calls", ())]
    answered = [message["tool_call_id"] for message in sent if message["role"] == "tool"]
    assert [call["id"] for call in calls] == answered == [f"call_{n}" for n in range(len(calls))]
    assert json.loads(calls[0]["function"]["arguments"]) == dict(task.gold[0].arguments)
    assert sent[0]["role"] == "system"


def test_a_model_as_the_person_is_held_to_the_facts() -> None:
    task, draw = find("bank", "balance")
    session, faults = conversed(task, draw)
    facts = task.wishes[0].facts

    class Talking(Replaying):
        async def ask(self, request: Request) -> Answer:
            if request.tools:
                return await super().ask(request)
            asked = request.messages[-1]["content"]
            done = task.wishes[0].answer in asked
            return Answer(
                "DONE." if done else f"It's {facts['customer_id']}, {facts['birthday']}{self.more}", "stop", 1, 1
            )

    for more, right in (("", True), (" and my PIN is 1234", False)):
        teacher = Talking(session.turns, {})
        teacher.more = more  # type: ignore[attr-defined]
        person = model.ModelPerson(User(task.wishes, task.environment.slots, draw), task.wishes, teacher, 0)
        found = asyncio.run(model.attempt(task, task.environment.tools, faults, person, teacher, 0))
        assert found is not None
        verdicts = conversation_verdicts(task, found.turns, faults)
        assert verdicts["user_consistent"]["passed"] == (
            right or not any(turn.text.startswith("It's") for turn in found.turns)
        )
        assert verdicts["answered"]["passed"]


class FakeCrew:
    """`Crew` as far as a generator uses it."""

    model = "fake"

    def __init__(self, answer: Answer) -> None:
        self.answer, self.asked = answer, 0

    async def ask(self, request: Request) -> Answer:
        self.asked += 1
        return self.answer

    def run(self, work: list) -> list:
        async def all_of_it() -> list:
            return [await one(self) for one in work]

        return asyncio.run(all_of_it())


def test_a_teacher_that_solves_nothing_leaves_rejects() -> None:
    posings = (generator._posed(3, 0, n, (), 1, list(ENVIRONMENTS.values())) for n in range(4))
    crew = FakeCrew(Answer("I don't know.", "stop", 1, 1))
    rows = list(generator._asked(3, posings, crew, 2, False, 0))  # type: ignore[arg-type]
    assert rows
    assert {row["drop_reason"] for row in rows} <= {"synth.solved", None}
    assert "synth.solved" in {row["drop_reason"] for row in rows}
    assert {json.loads(row["meta"])["author"] for row in rows} == {"fake"}
    assert Made("tools", 3).generator == generator.NAME


def test_what_a_teacher_solves_is_a_row_with_its_name() -> None:
    posings = [generator._posed(3, 0, n, (), 1, list(ENVIRONMENTS.values())) for n in range(3)]
    sessions = [dialogue.converse(one.task, (), one.draw)[0] for one in posings if one is not None]

    class Solving(FakeCrew):
        def run(self, work: list) -> list:
            return [session for session in sessions for _ in range(2)]

    rows = list(generator._asked(3, iter(posings), Solving(Answer("", "stop", 1, 1)), 2, False, 0))  # type: ignore[arg-type]
    about = [json.loads(row["meta"]) for row in rows if row["drop_reason"] is None]
    assert about
    assert all(entry["author"] == "fake" and entry["teacher"]["model"] == "fake" for entry in about)
    assert all(entry["verdicts"]["solved"] == {"passed": True, "tries": 2, "right": 2} for entry in about)
