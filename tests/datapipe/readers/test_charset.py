import codecs
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe.readers.charset import decode

JAPANESE = "日本語の文章です。文字コードを調べるための、少し長い文を書きます。" * 8
RUSSIAN = "Это обычный русский текст, который нужен для проверки кодировки страницы. " * 8
GERMAN = "Übergrößenträger fürchten schöne Höhenflüge; das weiß man längst. " * 8
CHINESE = "这是一个用来测试网页编码的中文段落，需要足够长才能识别。" * 8


@pytest.mark.parametrize(
    ("data", "http", "text", "charset"),
    [
        (b"plain", None, "plain", "utf-8"),
        (b"", "text/html; charset=utf-8", "", "utf-8"),
        (codecs.BOM_UTF8 + "ü".encode(), "text/html; charset=latin-1", "ü", "utf-8"),
        (codecs.BOM_UTF16_LE + "ü".encode("utf-16-le"), None, "ü", "utf-16-le"),
        (codecs.BOM_UTF16_BE + "ü".encode("utf-16-be"), None, "ü", "utf-16-be"),
        (codecs.BOM_UTF32_LE + "ü".encode("utf-32-le"), None, "ü", "utf-32-le"),
        ("ü".encode("latin-1"), "text/html; charset=ISO-8859-1", "ü", "cp1252"),
        ("“ü”".encode("cp1252"), "text/html;charset='iso-8859-1'", "“ü”", "cp1252"),
        (JAPANESE.encode("cp932"), 'text/html; charset="Shift_JIS"', JAPANESE, "cp932"),
        (JAPANESE.encode("cp932"), "text/html; charset=x-sjis", JAPANESE, "cp932"),
        (JAPANESE.encode("euc_jp"), "text/html; charset=EUC-JP", JAPANESE, "euc_jp"),
        (JAPANESE.encode("iso2022_jp"), "text/html; charset=iso-2022-jp", JAPANESE, "iso2022_jp"),
        (CHINESE.encode("gbk"), "text/html; charset=gb2312", CHINESE, "gb18030"),
        (RUSSIAN.encode("koi8-r"), "text/html; charset=koi8-r", RUSSIAN, "koi8-r"),
    ],
)
def test_what_the_server_or_a_mark_says(data: bytes, http: str | None, text: str, charset: str) -> None:
    assert decode(data, http) == (text, charset)


@pytest.mark.parametrize(
    "head",
    [
        "<meta charset=windows-1251>",
        '<META http-equiv="Content-Type" content="text/html; charset=windows-1251">',
        "<meta name=a content=b>\n<meta\ncharset = 'WINDOWS-1251' />",
        "<?xml version='1.0' encoding='windows-1251'?>",
        "<!-- " + "x" * 2000 + " --><meta charset=windows-1251>",
    ],
)
def test_what_the_page_says(head: str) -> None:
    assert decode((head + RUSSIAN).encode("cp1251")) == (head + RUSSIAN, "cp1251")


def test_the_header_goes_before_the_page() -> None:
    page = "<meta charset=windows-1251>" + JAPANESE
    assert decode(page.encode("euc_jp"), "text/html; charset=euc-jp") == (page, "euc_jp")


@pytest.mark.parametrize("claim", ["iso-8859-1", "windows-1252", "us-ascii", "shift_jis", "utf-16", "no-such-charset"])
def test_utf8_behind_a_wrong_claim(claim: str) -> None:
    page = f"<meta charset={claim}>{GERMAN} ☃"
    assert decode(page.encode(), f"text/html; charset={claim}" if claim != "utf-16" else None) == (page, "utf-8")


def test_a_few_stray_bytes_do_not_change_the_charset() -> None:
    data = (JAPANESE * 4).encode() + b"\xff" + JAPANESE.encode()[:-1]
    text, charset = decode(data, "text/html; charset=utf-8")
    assert charset == "utf-8"
    assert text.startswith(JAPANESE * 4 + "\ufffd")
    assert decode(data)[1] == "utf-8"


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc_jp"),
        (CHINESE, "gb18030"),
        (GERMAN, "cp1252"),
    ],
)
def test_detection_without_a_claim(text: str, charset: str) -> None:
    assert decode(text.encode(charset))[0] == text


def test_a_utf8_claim_that_is_plainly_false() -> None:
    assert decode(RUSSIAN.encode("cp1251"), "text/html; charset=utf-8")[0] == RUSSIAN


def test_detection_looks_at_a_prefix_that_ends_between_characters() -> None:
    text = "\n".join([JAPANESE] * 200)
    assert decode(text.encode("cp932"))[0] == text


@pytest.mark.parametrize(
    "label", ["unicode_escape", "idna", "punycode", "utf-7", "rot13", "hex", "undefined", "a\0b", ""]
)
def test_codecs_that_no_page_may_reach(label: str) -> None:
    data = f"<meta charset={label}>".encode() + rb"\u0041 +AEE- " + "ü".encode()
    assert decode(data, f"text/html; charset={label}") == (data.decode().replace("\0", ""), "utf-8")


def test_nuls_go_and_line_ends_stay() -> None:
    assert decode(b"a\0b\r\nc\rd\n")[0] == "ab\r\nc\rd\n"


@given(
    st.binary(max_size=400),
    st.sampled_from([None, "", "charset=", "charset=utf-16", "charset=shift_jis", "charset=cp1252", "charset=hz"]),
)
def test_never_raises_and_gives_valid_unicode(data: bytes, http: str | None) -> None:
    text, charset = decode(data, http)
    assert "\0" not in text
    text.encode("utf-8")
    assert codecs.lookup(charset)


@pytest.mark.parametrize(
    "head", [b"<meta charset=" + b" " * 4080, b"<meta charset" * 300, b"<meta " * 300 + b"charset" + b" " * 2000]
)
def test_no_page_makes_the_search_for_a_claim_slow(head: bytes) -> None:
    started = time.process_time()
    assert decode(head, "text/html; charset=" + " " * 1_000_000)[1] == "utf-8"
    assert time.process_time() - started < 1
