"""Fill-in-the-middle: every sample is the text again, cuts and forms are drawn as they should be, and no text can forge a marker."""

import collections
import json
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datapipe.fim import MIN_CHARS, Fim, Parts, arranged, cut, read, restored
from datapipe.tokenize import END_OF_TEXT, FILL_IN_TOKENS, SPECIAL_TOKENS, Tokenizer, train_bpe

MARKERS = (1, 2, 3)
ALL = Fim(rate=1.0)
IDS = [f"{number:032x}" for number in range(20_000)]
REAL_CHARS = 1 << 20


@pytest.fixture(scope="module")
def sources() -> list[str]:
    """Python files of the standard library, as they stand on the disk."""
    texts, left = [], REAL_CHARS
    for file in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if "site-packages" in file.parts or left < 0:
            continue
        texts.append(file.read_bytes().decode(errors="replace"))
        left -= len(texts[-1])
    return texts


@pytest.fixture(scope="module")
def tokenizer(sources: list[str]) -> Tokenizer:
    return Tokenizer(train_bpe(sources[:20], vocab_size=600), markers=FILL_IN_TOKENS)


any_text = st.text(st.characters(exclude_categories=()), max_size=60)  # surrogates too
encodable = st.text(max_size=60) | st.lists(
    st.sampled_from([*FILL_IN_TOKENS, END_OF_TEXT, "e\u0301", "\r\n", "\u200d", "👩‍👩‍👧", "नमस्ते", " ", "\x00", "你"]),
    max_size=12,
).map("".join)


@given(any_text, st.integers(0, 2**64 - 1), st.floats(0, 1))
@example("\ud800\udc00\udfff", 1, 0.5)
@example("a\r\nb", 7, 0.0)
def test_every_sample_is_the_text_again(text: str, seed: int, spm: float) -> None:
    parts = cut(text, "id", seed, Fim(1.0, spm))
    assert (parts is None) == (len(text) < MIN_CHARS)
    if parts is None:
        return
    assert parts.prefix + parts.middle + parts.suffix == text
    assert restored(arranged(parts, MARKERS), MARKERS) == text


@settings(deadline=None)
@given(encodable, st.integers(0, 2**64 - 1))
def test_every_sample_is_the_text_again_in_tokens(tokenizer: Tokenizer, text: str, seed: int) -> None:
    parts = cut(text, "id", seed, ALL)
    if parts is None:
        return
    [tokens] = tokenizer.encode_sequences([arranged(parts, tokenizer.markers)])
    apart = tokenizer.encode(parts[:3], ["code"] * 3)
    assert tokens.size == sum(each.size - 1 for each in apart) + 3 + 1  # markers, end of text
    assert tokens[-1] == tokenizer.eos_id
    assert [int(np.count_nonzero(tokens == marker)) for marker in tokenizer.markers] == [1, 1, 1]
    sequence = read(tokens, tokenizer.markers, tokenizer.decode)
    assert sequence is not None
    assert restored(sequence, tokenizer.markers) == text


def test_every_part_may_be_empty(tokenizer: Tokenizer) -> None:
    for number in range(2**4):
        texts = ["text" if number >> bit & 1 else "" for bit in range(3)]
        parts = Parts(*texts, is_spm=number >= 8)
        sequence = arranged(parts, tokenizer.markers)
        [tokens] = tokenizer.encode_sequences([sequence])
        found = read(tokens, tokenizer.markers, tokenizer.decode)
        assert found is not None
        assert restored(found, tokenizer.markers) == restored(sequence, tokenizer.markers) == "".join(texts)


def test_every_sample_of_real_files_is_the_file_again(sources: list[str], tokenizer: Tokenizer) -> None:
    drawn = [cut(text, str(number), 3, ALL) for number, text in enumerate(sources)]
    parts = [each for each in drawn if each]
    texts = [text for text in sources if len(text) >= MIN_CHARS]
    assert len(parts) == len(texts) > 40
    assert {each.is_spm for each in parts} == {True, False}
    encoded = tokenizer.encode_sequences([arranged(each, tokenizer.markers) for each in parts])
    for text, each, tokens in zip(texts, parts, encoded, strict=True):
        found = read(tokens, tokenizer.markers, tokenizer.decode)
        assert found is not None
        assert restored(found, tokenizer.markers) == text
        wanted = (
            ["", each.suffix, each.prefix + each.middle] if each.is_spm else [each.prefix, each.suffix, each.middle]
        )
        assert found[1::2] == wanted


def test_the_forms_are_those_of_the_paper() -> None:
    spelt = {is_spm: "".join(arranged(Parts("p", "m", "s", is_spm), ("<P>", "<S>", "<M>"))) for is_spm in (False, True)}
    assert spelt == {False: "<P>p<S>s<M>m", True: "<P><S>s<M>pm"}


def test_a_document_has_one_form_for_ever() -> None:
    """Written down once: other cuts for the same seed and id would change every corpus that has them."""
    text = "0123456789" * 4
    found = [cut(text, identity, 45, ALL) for identity in IDS[:4]]
    assert [each and (len(each.prefix), len(each.middle), each.is_spm) for each in found] == [
        (6, 22, False),
        (26, 5, True),
        (4, 32, True),
        (25, 1, True),
    ]
    assert [number for number in range(12) if cut(text, IDS[number], 45, Fim())] == [3, 7, 11]
    assert cut(text, IDS[0], 45, ALL) != cut(text, IDS[0], 46, ALL) != cut(text, IDS[1], 46, ALL)


def test_shares_are_as_asked_for() -> None:
    for rate, spm in ((0.5, 0.5), (0.1, 0.9)):
        parts = [cut("text", identity, 1, Fim(rate, spm)) for identity in IDS]
        forms = [each.is_spm for each in parts if each]
        for share, wanted, count in ((len(forms) / len(IDS), rate, len(IDS)), (np.mean(forms), spm, len(forms))):
            assert abs(share - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / count)
    assert not any(cut("text", identity, 1, Fim(rate=0.0)) for identity in IDS[:1000])
    assert all(each and each.is_spm for each in (cut("text", identity, 1, Fim(1.0, 1.0)) for identity in IDS[:1000]))
    assert not any(
        each and each.is_spm for each in (cut("text", identity, 1, Fim(1.0, 0.0)) for identity in IDS[:1000])
    )


def test_cuts_are_uniform_whatever_else_was_drawn() -> None:
    """Two places among the five beside four characters: 25 pairs, of which the sorted ones come twice."""
    for fim in (ALL, Fim(rate=0.3), Fim(1.0, spm=0.2)):
        parts = [each for each in (cut("text", identity, 1, fim) for identity in IDS) if each]
        if fim.spm < 0.5:
            parts = [each for each in parts if each.is_spm]
        counts = collections.Counter((len(each.prefix), 4 - len(each.suffix)) for each in parts)
        wanted = {(a, b): (1 if a == b else 2) * len(parts) / 25 for a in range(5) for b in range(a, 5)}
        assert counts.keys() == wanted.keys()
        chi_square = sum((counts[pair] - expected) ** 2 / expected for pair, expected in wanted.items())
        assert chi_square < 36.1  # 14 degrees of freedom: passed in 999 of 1,000 draws


def test_a_higher_rate_keeps_the_samples_of_a_lower_one() -> None:
    few, many = ([cut("some text", identity, 1, Fim(rate)) for identity in IDS[:2000]] for rate in (0.2, 0.6))
    assert all(b == a for a, b in zip(few, many, strict=True) if a)
    assert sum(map(bool, few)) < sum(map(bool, many))


def test_what_is_no_sample(tokenizer: Tokenizer) -> None:
    [plain] = tokenizer.encode(["".join(FILL_IN_TOKENS)], ["code"])
    assert read(plain, tokenizer.markers, tokenizer.decode) is None
    assert read(np.zeros(0, np.uint32), tokenizer.markers, tokenizer.decode) is None
    with pytest.raises(ValueError, match="stand at 2, 0 and 4"):
        restored([2, "p", 1, "s", 3, "m"], MARKERS)
    with pytest.raises(ValueError, match="stand at 1, 2 and 3"):
        restored(["text", *MARKERS], MARKERS)
    with pytest.raises(ValueError, match="is not in list"):
        restored(["text"], MARKERS)


def foreign(special: bool) -> bytes:
    """A tokenizer with StarCoder's names, called special or not."""
    names = ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"]
    spec = json.loads(train_bpe([], vocab_size=260, special_tokens=[END_OF_TEXT, *names]))
    for token in spec["added_tokens"]:
        token["special"] = special or token["content"] == END_OF_TEXT
    return json.dumps(spec).encode()


@pytest.mark.parametrize("special", [True, False])
def test_no_text_makes_a_marker_whatever_the_file_calls_it(special: bool) -> None:
    names = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
    tokenizer = Tokenizer(foreign(special), markers=names)
    assert tokenizer.markers == [1, 2, 3]
    text = "a<fim_prefix>b<fim_middle>c<fim_suffix>"
    parts = Parts(text, text, text, is_spm=False)
    [tokens] = tokenizer.encode_sequences([arranged(parts, tokenizer.markers)])
    found = read(tokens, tokenizer.markers, tokenizer.decode)
    assert found == [1, text, 2, text, 3, text]
    assert tokens.size == 3 * len(text) + 4


def test_a_missing_marker_names_the_ones_that_are_there() -> None:
    with pytest.raises(
        ValueError, match=r"has no token '<\|code_prefix\|>', .*: <fim_middle>, <fim_prefix>, <fim_suffix>$"
    ):
        Tokenizer(foreign(True), markers=FILL_IN_TOKENS)
    bare = train_bpe([], vocab_size=258, special_tokens=[END_OF_TEXT, "<premium>"])
    with pytest.raises(ValueError, match="with names like these: none"):
        Tokenizer(bare, markers=FILL_IN_TOKENS)
    assert len(SPECIAL_TOKENS) == len(Tokenizer(train_bpe([], vocab_size=300)).marker_ids(SPECIAL_TOKENS))
