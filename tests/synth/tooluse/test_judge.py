"""Every verdict passes for what the environments make, and fails for a case that is made wrong in the one way it is about."""

import dataclasses

import pytest

from synth.render import Call, Turn
from synth.tooluse.environment import Holds, Rule
from synth.tooluse.environments import ENVIRONMENTS
from synth.tooluse.judge import Task, conversation_verdicts, task_verdicts
from tests.synth.tooluse.worlds import conversed, find, posed


def failed(verdicts: dict) -> list[str]:
    return [name for name, verdict in verdicts.items() if not verdict["passed"]]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_nearly_all_that_an_environment_makes_is_sound(name: str) -> None:
    wrong = []
    for number in range(40):
        task, draw = posed(name, number)
        session, faults = conversed(task, draw)
        wrong += failed(task_verdicts(task) | conversation_verdicts(task, session.turns, faults))
    assert len(wrong) <= 6
    assert set(wrong) <= {"each_action_needed", "answered"}  # a coincidence of two wishes, never an error


def with_plan(task: Task, plan: list[Call]) -> Task:
    return task._replace(plans=(tuple(plan), *task.plans[1:]))


def with_wish(task: Task, **fields: object) -> Task:
    return task._replace(wishes=(task.wishes[0]._replace(**fields), *task.wishes[1:]))


def test_schema() -> None:
    task, _ = find("retail", "cancel_order")
    *reads, cancel = task.gold
    wrong = Call(cancel.name, {**cancel.arguments, "reason": "bored"})
    assert failed(task_verdicts(with_plan(task, [*reads, wrong]))) == ["schema"]
    assert "must be one of" in task_verdicts(with_plan(task, [*reads, wrong]))["schema"]["problems"][0]


def test_a_gold_call_that_fails_is_no_task() -> None:
    task, _ = find("retail", "cancel_order")
    assert failed(task_verdicts(with_plan(task, [*task.gold, task.gold[-1]]))) == ["runs"]


def test_a_goal_that_is_missed_or_was_there_before() -> None:
    task, _ = find("bank", "block_card")
    card = task.wishes[0].gold[0].arguments["card_id"]
    missed = Holds("SELECT state FROM cards WHERE card_id = ?", (card,), (("melted",),))
    already = Holds("SELECT COUNT(*) FROM cards WHERE card_id = ?", (card,), ((1,),))
    assert "goal" in failed(task_verdicts(with_wish(task, goal=(missed,))))
    assert "goal" in failed(task_verdicts(with_wish(task, goal=(already,))))
    assert "goal" in failed(task_verdicts(with_wish(task, goal=())))


def test_a_question_that_changes_something_is_none() -> None:
    task, _ = find("files", "locate")
    copied = Call("write_file", {"path": "more.txt", "text": ""})
    assert "goal" in failed(task_verdicts(with_plan(task, [*task.gold, copied])))


@pytest.mark.parametrize(
    ("name", "wish", "more"),
    [
        ("retail", "cancel_order", Call("search_products", {"product": ""})),
        ("bank", "balance", Call("list_payees", {"customer_id": ""})),
        ("files", "rename", Call("list_files", {"folder": ""})),
    ],
)
def test_an_action_too_many(name: str, wish: str, more: Call) -> None:
    task, _ = find(name, wish)
    if name == "bank":
        more = Call(more.name, {"customer_id": task.wishes[0].facts["customer_id"]})
    at = len(task.plans[0]) - len(task.wishes[0].gold)
    longer = with_plan(task, [*task.plans[0][:at], more, *task.plans[0][at:]])
    assert failed(task_verdicts(longer)) == ["each_action_needed"]


def test_each_reason_for_an_action_is_found() -> None:
    reasons = {"goal": 0, "argument": 0, "policy": 0, "answer": 0}
    for name in ENVIRONMENTS:
        for number in range(20):
            verdict = task_verdicts(posed(name, number)[0])["each_action_needed"]
            reasons = {reason: count + verdict[reason] for reason, count in reasons.items()}
    assert min(reasons.values()) > 5


def test_a_refusal_without_grounds() -> None:
    task, _ = find("retail", "late_return")
    assert failed(task_verdicts(with_wish(task, rule="refund_elsewhere"))) == ["refusal_grounded"]
    harmless = Call("search_products", {"product": "Lamp"})
    assert failed(task_verdicts(with_wish(task, rule="", refused=harmless))) == ["refusal_grounded"]
    assert failed(task_verdicts(with_wish(task, refused=None))) == ["refusal_grounded"]


def changed(turns: list[Turn], at: int, **fields: object) -> list[Turn]:
    return [*turns[:at], dataclasses.replace(turns[at], **fields), *turns[at + 1 :]]


def calls_at(turns: list[Turn], name: str) -> int:
    return next(index for index, turn in enumerate(turns) if any(call.name == name for call in turn.calls))


def test_replay_finds_a_response_that_no_tool_gave() -> None:
    task, draw = find("bank", "balance")
    session, faults = conversed(task, draw)
    at = calls_at(session.turns, "list_accounts") + 1
    turns = changed(
        session.turns, at, responses=tuple(text.replace("[{", "[ {") for text in session.turns[at].responses)
    )
    assert failed(conversation_verdicts(task, turns, faults)) == ["replay"]


def test_replay_finds_another_end() -> None:
    task, draw = find("bank", "set_card_limit")
    session, faults = conversed(task, draw)
    at = calls_at(session.turns, "set_card_limit")
    without = [*session.turns[:at], *session.turns[at + 2 :]]
    assert failed(conversation_verdicts(task, without, faults)) == ["replay"]


def test_a_call_that_fails_must_not_be_learned() -> None:
    for number in range(300):
        task, draw = posed("retail", number)
        session, faults = conversed(task, draw)
        at = next((index for index, turn in enumerate(session.turns) if not turn.learn), None)
        if at is not None:
            break
    assert at is not None
    assert not failed(conversation_verdicts(task, session.turns, faults))
    assert "error" in session.turns[at + 1].responses[0]
    assert session.turns[at + 2].calls[0].name == session.turns[at].calls[0].name, "it is made good at once"
    learned = changed(session.turns, at, learn=True)
    assert failed(conversation_verdicts(task, learned, faults)) == ["valid_calls"]


def test_policy_wants_a_yes_to_all_details() -> None:
    task, draw = find("retail", "change_address")
    session, faults = conversed(task, draw)
    at = calls_at(session.turns, "change_address")
    assert failed(conversation_verdicts(task, changed(session.turns, at - 1, text="No, wait."), faults)) == ["policy"]
    vague = changed(session.turns, at - 2, text="I will change the address. Shall I go ahead?")
    assert failed(conversation_verdicts(task, vague, faults)) == ["policy"]


def test_every_rule_can_be_broken_and_is_kept() -> None:
    """Each rule of each environment refuses something among the calls that tasks are made of, or denies what wishes ask for."""
    for environment in ENVIRONMENTS.values():
        broken = set()
        for number in range(60):
            task, _ = posed(environment.name, number)
            broken |= rules_that_bite(task)
        names = {rule.name for rule in environment.rules}
        assert broken >= names - {"own_data"}, environment.name


def rules_that_bite(task: Task) -> set[str]:
    """The rules that refuse a gold or refused call when nothing was said or looked up before."""
    from synth.tooluse.environment import Act

    found = set()
    refused = [wish.refused for wish in task.wishes if wish.refused]
    for call in [*task.gold, *refused]:
        act = Act(task.start, call, task.environment.by_name[call.name], [])
        found |= {rule.name for rule in task.environment.rules if rule.broken(act)}
    return found


def test_nobody_touches_what_is_another_customers() -> None:
    from synth.tooluse.environment import Act, Done
    from synth.tooluse.tools import Result

    for name, sql, tool in (
        ("retail", "SELECT order_id FROM orders WHERE customer_id <> ? LIMIT 1", "get_order"),
        ("bank", "SELECT account_id FROM accounts WHERE customer_id <> ? LIMIT 1", "list_cards"),
    ):
        task, _ = find(name, "question")
        environment = task.environment
        finder = next(call for call in task.gold if call.name.startswith(("find", "verify")))
        customers = [row[0] for row in task.start.rows("SELECT customer_id FROM customers ORDER BY 1")]
        past = [Done(finder, Result(True, {"customer_id": customers[0]}))]
        other = task.start.value(sql, customers[0])
        key = environment.by_name[tool].required[0]
        rule: Rule = next(rule for rule in environment.rules if rule.name == "own_data")
        assert rule.broken(Act(task.start, Call(tool, {key: other}), environment.by_name[tool], past))
        mine = task.start.value(sql.replace("<>", "="), customers[0])
        assert not rule.broken(Act(task.start, Call(tool, {key: mine}), environment.by_name[tool], past))


def test_an_argument_out_of_thin_air() -> None:
    task, draw = find("files", "create")
    session, faults = conversed(task, draw)
    at = calls_at(session.turns, "write_file")
    path = task.wishes[0].facts["path"]
    unsaid = [dataclasses.replace(turn, text=turn.text.replace(path, "somewhere")) for turn in session.turns]
    assert failed(conversation_verdicts(task, unsaid, faults)) == ["grounded"]
    assert at


def test_an_answer_that_is_missing_or_given_away() -> None:
    task, draw = find("bank", "balance")
    session, faults = conversed(task, draw)
    answer = task.wishes[0].answer
    last = len(session.turns) - 1
    assert failed(conversation_verdicts(task, changed(session.turns, last, text="Let me see."), faults)) == ["answered"]
    told = changed(session.turns, 2, text=f"{session.turns[2].text} Is it {answer}?")
    assert "answered" in failed(conversation_verdicts(task, told, faults))


def test_a_person_who_says_what_it_cannot_know() -> None:
    task, draw = find("retail", "cancel_order")
    session, faults = conversed(task, draw)
    for said in ("My number is 99-1234.", "Write to me@other.example."):
        turns = changed(session.turns, 2, text=f"{session.turns[2].text} {said}")
        assert failed(conversation_verdicts(task, turns, faults)) == ["user_consistent"]
