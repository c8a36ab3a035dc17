from synth.search.leaks import leaked, names_of, title_words
from synth.search.task import Page

PAGE = Page("1", "https://h.example/project/lazy-proxy.html", "Lazy_Object Proxy", "", None)
HOME = Page("2", "https://h.example/wiki/", "R2", "", None)


def test_names_are_titles_and_last_steps_of_addresses() -> None:
    assert names_of([PAGE, HOME]) == ["Lazy_Object Proxy", "R2", "lazy-proxy"]


def test_names_are_found_word_by_word() -> None:
    names = names_of([PAGE, HOME])
    assert leaked("Is lazy object-PROXY it?", names) == ["Lazy_Object Proxy"]
    assert leaked("(r2)", names) == ["R2"]
    assert leaked("r2d2, a lazy object and a proxy", names) == []
    assert leaked("anything", ["—"]) == []


def test_words_of_titles() -> None:
    assert title_words([PAGE]) == {"lazy", "object", "proxy"}
