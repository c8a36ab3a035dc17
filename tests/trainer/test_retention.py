from trainer.retention import Policy, Saved, kept

NEVER = Policy(last=1)


def saved(*tokens: int, ends: tuple[int, ...] = ()) -> list[Saved]:
    """Checkpoints after 1, 2, 3.. steps; `ends` are steps."""
    return [Saved(step, number, step in ends) for step, number in enumerate(tokens, start=1)]


def test_the_newest_stay() -> None:
    assert kept([], NEVER) == set()
    assert kept(saved(10, 20, 30), NEVER) == {3}
    assert kept(reversed(saved(10, 20, 30)), NEVER._replace(last=2)) == {2, 3}
    assert kept(saved(10, 20), NEVER._replace(last=5)) == {1, 2}


def test_the_ends_of_stages_stay() -> None:
    assert kept(saved(10, 20, 30, 40, ends=(1, 3)), NEVER._replace(stage_ends=True)) == {1, 3, 4}
    assert kept(saved(10, 20, 30, 40, ends=(1, 3)), NEVER) == {4}


def test_the_first_at_or_after_each_multiple_stays() -> None:
    every_100 = NEVER._replace(every_tokens=100)
    assert kept(saved(60, 99, 100, 140, 210, 260, 290), every_100) == {3, 5, 7}
    assert kept(saved(60, 350, 360, 410, 420), every_100) == {2, 4, 5}  # one checkpoint may pass several multiples
    assert kept(saved(60, 99), every_100) == {2}


def test_what_stays_is_the_same_whether_others_were_removed_before_or_not() -> None:
    everything = [Saved(step, 37 * step, step % 7 == 0) for step in range(1, 60)]
    policy = Policy(last=3, every_tokens=150, stage_ends=True)
    there: list[Saved] = []
    for one in everything:
        there.append(one)
        there = [other for other in there if other.done in kept(there, policy)]
    assert {one.done for one in there} == kept(everything, policy)
    assert len(there) < len(everything) / 2
