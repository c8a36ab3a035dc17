from synth.rephrase.code import blocks, broken, without_code

PYTHON = "Look:\n\n```python\nx = [1, 2]\nprint(x)\n```\n\nThat is all."


def test_code_that_parses_or_is_unchanged_passes() -> None:
    assert broken(PYTHON, PYTHON.replace("x", "numbers")) == ([], 1)
    rust = "```rust\nfn main() {}\n```"
    assert broken(rust, f"It begins here:\n\n{rust}") == ([], 1)
    assert broken("", "no code") == ([], 0)


def test_code_that_was_broken_is_found() -> None:
    assert broken(PYTHON, PYTHON.replace("print(x)", "print(x")) == (["x = [1, 2]"], 1)
    assert broken("```rust\nfn main() {}\n```", "```rust\nfn other() {}\n```") == (["fn other() {}"], 1)


def test_only_python_may_be_changed() -> None:
    assert broken("```toml\nx = 1\n```", "```toml\nx = 2\n```") == (["x = 2"], 1)
    assert broken("```py\nx = 1\n```", "```py\nx = 2\n```") == ([], 1)


def test_sessions_are_code() -> None:
    session = ">>> for n in range(2):\n...     print(n)\n0\n1\n>>> n\n1"
    assert [block.language for block in blocks(session)] == ["pycon", "pycon"]
    assert broken("", session) == ([], 2)
    assert broken("", session.replace("in range", "within range"))[0]
    assert "print" not in without_code(session)
