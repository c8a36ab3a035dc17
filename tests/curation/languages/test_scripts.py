"""Scripts of letters and of languages."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.languages.scripts import CODES, script_counts, scripts_of, shares_in_script


def counts_of(text: str) -> dict[str, int]:
    (counts,) = script_counts([text])
    return {code: int(count) for code, count in zip(CODES, counts, strict=True) if count}


def test_letters_count_to_their_script_and_nothing_else_does() -> None:
    assert counts_of("abc é ＡＢ 12 _-. ") == {"Latn": 6}
    assert counts_of("Привет, мир!") == {"Cyrl": 9}
    assert counts_of("日本語のテキスト") == {"Hani": 3, "Hira": 1, "Kana": 4}
    assert counts_of("ελ עב عر हि বা ไทย 한국 አማ ქა") == {
        "Grek": 2, "Hebr": 2, "Arab": 2, "Deva": 1, "Beng": 1, "Thai": 3, "Hang": 2, "Ethi": 2, "Geor": 2,
    }  # fmt: skip
    assert counts_of("𝐚𝒷 𐎠") == {"Zyyy": 3}
    assert counts_of("42 ... \n") == {}


@settings(max_examples=20)
@given(st.lists(st.text(max_size=10), max_size=4))
def test_counting_many_texts_is_counting_each(texts: list[str]) -> None:
    together = script_counts(texts)
    assert together.shape == (len(texts), len(CODES))
    assert [row.sum() for row in together] == [sum(map(str.isalpha, text)) for text in texts]
    assert all(np.array_equal(row, script_counts([text])[0]) for row, text in zip(together, texts, strict=True))


def test_labels_stand_for_scripts() -> None:
    assert scripts_of("en") == ("Latn",)
    assert scripts_of("ja") == ("Hani", "Hira", "Kana")
    assert scripts_of("sr") == ("Cyrl", "Latn")
    assert scripts_of("srp_Cyrl") == ("Cyrl",)
    assert scripts_of("zho_Hant") == scripts_of("cmn_Hani") == ("Hani", "Bopo")
    assert scripts_of("got_Xxxx") == ()  # not known here: not judged


def test_shares_are_of_the_letters_of_the_text() -> None:
    texts = ["Windows Server 配置", "привет", "привет", "42", "x", "x", ""]
    shares = shares_in_script(texts, ["zh", "ru", "en", "en", None, "got_Xxxx", "en"])
    assert shares.tolist() == [2 / 15, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    assert shares_in_script([], []).shape == (0,)
