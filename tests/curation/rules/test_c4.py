"""The C4 rules line by line, each switch, and a plain rendition on drawn texts."""

import json
import re

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curation import words
from curation.rules.c4 import LINE_RULES, POLICY_PHRASES, c4
from curation.steps import COUNTS
from datapipe.schema import DROP, documents

FIVE = "One is here. Two is here. Three is here. Four is here. Five is here."


def docs(*texts: str) -> pa.Table:
    return documents([{"text": text, "origin": f"o{index}"} for index, text in enumerate(texts)])


def judged(text: str, **params: object) -> str | None:
    """The text that is left, or the reason in angle brackets."""
    [row] = c4(docs(text), **params).to_pylist()
    return f"<{row[DROP]}>" if row[DROP] else row["text"]


LINES = [
    ("A line without an end", {"terminal_punctuation": False}),
    ("A line that fades...", {"terminal_punctuation": False}),
    ("Only two.", {"min_words_per_line": 2}),
    (f"A word {'x' * 1001} is long.", {"max_word_chars": 1001}),
    ("You need JavaScript for this.", {"javascript": False}),
    *((f"Read our {phrase.title()} here.", {"policy_phrases": []}) for phrase in POLICY_PHRASES),
]


@pytest.mark.parametrize(("line", "switch"), LINES)
def test_a_line_goes_unless_its_rule_is_off(line: str, switch: dict[str, object]) -> None:
    text = f"{FIVE}\n{line}\n\n  {FIVE}  "
    assert judged(text) == f"{FIVE}\n{FIVE}"
    assert judged(text, **switch) == f"{FIVE}\n{line}\n{FIVE}"


@pytest.mark.parametrize(
    ("line", "reason", "switch"),
    [
        ("Some Lorem Ipsum dolor.", "lorem_ipsum", "lorem_ipsum"),
        ("if (x) { return y.", "curly_bracket", "curly_bracket"),
    ],
)
def test_a_page_goes_unless_its_rule_is_off(line: str, reason: str, switch: str) -> None:
    assert judged(f"{FIVE}\n{line}") == f"<c4.{reason}>"
    assert judged(f"{FIVE}\n{line}", **{switch: False}) == f"{FIVE}\n{line}"
    assert judged(f"{FIVE}\n{line} no end") == FIVE  # a line that went before does not drop the page


def test_sentences_are_counted_in_the_lines_that_stay() -> None:
    four = "One is here! Two is here? Three is here. Four."
    assert judged(four) == "<c4.few_sentences>"
    assert judged(f"{four}\nFive words and no end") == "<c4.few_sentences>"
    assert judged(f"{four}\nHere is the fifth.") == f"{four}\nHere is the fifth."
    assert judged("One e.g. two.", min_sentences=2) == "One e.g. two."
    assert judged("", min_sentences=0) == ""
    assert judged("\0\0 ... ---", min_sentences=0) == ""


def test_citations_are_cut_out_and_nothing_else_in_brackets() -> None:
    cited = "Rome is old.[1] It is [citation needed] large.[edit] It [sic] grew.[23][] It has hills. There are seven."
    plain = "Rome is old. It is  large. It [sic] grew. It has hills. There are seven."
    assert judged(cited) == plain
    assert judged(cited, remove_citations=False, min_sentences=2) == cited
    assert judged(f"{FIVE}\nA line that is cited.[4]") == f"{FIVE}\nA line that is cited."


def test_a_page_that_loses_too_much_goes() -> None:
    text = f"{FIVE}\n{'menu ' * 5}"  # 15 words stay, 5 go
    assert judged(text, max_removed_words=0.25) == FIVE
    assert judged(text, max_removed_words=0.24) == "<c4.removed_words>"


def test_chinese_lines_have_words_and_sentences() -> None:
    text = "北京是中国的首都。它有很长的历史。它很大！人很多？是的。"
    assert judged(text) == "<c4.few_sentences>"
    assert judged(text, terminal_marks="。！？") == text
    assert judged(text + "它们。", terminal_marks="。！？", min_sentences=7) == "<c4.few_sentences>"


def test_the_text_of_a_dropped_page_and_the_rest_of_the_row_stay() -> None:
    table = docs("short", FIVE)
    result = c4(table)
    assert result["text"].to_pylist() == ["short", FIVE]
    assert result.drop_columns([DROP, "text"]).equals(table.drop_columns(["text"]))
    assert result["text"].type == pa.large_string()
    assert c4(table[:0]).num_rows == 0


def test_lines_behind_two_million_characters_stay() -> None:
    lines = ["A page has some lines."] * (words.MAX_CHARS // 23)
    rest = "this one is behind it"
    text = "\n".join([*lines, "cut", *["no end"] * 10, rest])
    kept = judged(text)
    assert kept is not None
    assert len(text) > words.MAX_CHARS
    assert kept.endswith(rest)
    assert kept.startswith(lines[0])
    single = "ab. " * (words.MAX_CHARS // 4 + 50)
    assert judged(single) == single[: words.MAX_CHARS].rstrip() + "\n" + single[words.MAX_CHARS :]


def counted(*texts: str, **params: object) -> dict[str, int]:
    counts: dict[str, int] = json.loads(c4(docs(*texts), **params).schema.metadata[COUNTS])
    return counts


def test_what_goes_is_counted_by_the_first_rule_that_takes_it() -> None:
    lines = [
        "Two words.",
        "JavaScript and no end",
        "No javascript here.",
        "It uses cookies.",
        f"{'x' * 1001} has an end.",
    ]
    assert [rule for line, _ in LINES[:6] for rule, count in counted(f"{FIVE}\n{line}").items() if count][::3] == [
        "lines_without_end", "lines_without_end", "lines_few_words", "lines_long_word", "lines_javascript", "lines_policy",
    ]  # fmt: skip
    text = "\n".join([FIVE, *lines, "", " " + FIVE])
    expected = dict.fromkeys(LINE_RULES, 1) | {"documents_changed": 1, "chars_removed": len(text) - 2 * len(FIVE) - 1}
    assert counted(text) == expected
    assert counted(FIVE, text, "short and dropped", "{" + text) == expected
    assert counted(text, text) == {name: 2 * count for name, count in expected.items()}
    assert counted(f"{FIVE}[12]") == dict.fromkeys(LINE_RULES, 0) | {"documents_changed": 1, "chars_removed": 4}
    assert set(counted(FIVE).values()) == set(counted().values()) == {0}


def test_loss_spans_are_refused() -> None:
    table = documents([{"text": FIVE, "origin": "o", "loss_spans": [{"start": 0, "length": 3}]}])
    with pytest.raises(ValueError, match="loss spans: leave the step out"):
        c4(table)


def plain(text: str) -> str | None:
    """The rules as they read, on one text, with white space as the only end of a word. Of two reasons lorem ipsum goes first, wherever."""
    kept, sentences, curly = [], 0, False
    for line in text.split("\n"):
        line = line.strip()
        if not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...") or len(line.split()) < 3:
            continue
        if "lorem ipsum" in line.lower():
            return "<c4.lorem_ipsum>"
        if "javascript" in line.lower():
            continue
        curly = curly or "{" in line
        sentences += len(re.split(r"(?:(?<!\.)\.|[!?])[\"')]{0,2}\s+(?=\S)", line))
        kept.append(line)
    if curly:
        return "<c4.curly_bracket>"
    return "\n".join(kept) if sentences >= 5 else "<c4.few_sentences>"


PARTS = st.sampled_from(
    [
        "one two",
        "It is. ",
        'He "said it." ',
        "(so!) ",
        "a?",
        ".",
        "...",
        " ",
        "\n",
        "\n\n",
        "{",
        "JAVAscript",
        "İ",
        "Lorem ipsum ",
    ]
)


@example(['{He "said it." \nLorem ipsum It is. '])
@given(st.lists(st.lists(PARTS, max_size=40).map("".join), min_size=1, max_size=4))
def test_equals_the_plain_rendition(texts: list[str]) -> None:
    result = c4(docs(*texts)).to_pylist()
    expected = [plain(text) for text in texts]
    assert [f"<{row[DROP]}>" if row[DROP] else row["text"] for row in result] == expected


def test_phrases_of_ones_own_match_in_whatever_case_and_an_empty_one_nothing() -> None:
    text = f"{FIVE}\nSubscribe to our newsletter today."
    assert judged(text, policy_phrases=["Our Newsletter"]) == FIVE
    assert judged(text, policy_phrases=["", " "]) == text
