"""What becomes a placeholder, what stays, and that no text takes long."""

import gzip
import itertools
import json
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.pii.replace import KINDS, check, replace
from curation.steps import COUNTS
from datapipe.schema import LOSS_SPANS, documents

AWS_KEY = "AKIA" + "Z7QX2M4WLP9RTB3K"
AWS_SECRET = "wJ7rXUtnF3MI/K9MDZNG+bPxRfiC2Yq8LmTz0vHs"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


def docs_of(*texts: str | None) -> pa.Table:
    return documents([{"origin": str(index), "text": text} for index, text in enumerate(texts)])


def replaced(text: str, **params: Any) -> str:
    result: str = replace(docs_of(text), **params)["text"][0].as_py()
    return result


GONE = {
    "email": [
        "write to jane.doe+news@mail.university.ac.uk.",
        "邮箱abc@qq.com联系",
        "<mailto:o'neil_7@firm.co>, thanks",
        "12345+jane@users.noreply.github.com",
    ],
    "ip": [
        "from 82.50.72.202:1024 at noon",
        "on 2001:67c:2564:a119::77 today",
        "http://93.184.216.34/index",
        "(5.44.97.12)",
    ],
    "phone": [
        "+49 (0)711 1234567",
        "call +1 212 555 0123 45 people did",
        "+491711234567",
        "Tel.: 030/123456-78",
        "TEL 030 12345678",
        "Phone number: (02) 9876 5432.",
        "电话：010-12345678",
        "(212) 555-0123",
        "1-800-476-0446 toll free",
        "732.390.4480",
        "06 12 34 56 78",
        "+7 (495) 123-45-67",
        "Inquiry\n02-751-1500",
    ],
    "card": ["4111 1111 1111 1111 12/27", "card 5500-0055-5555-5559.", "378282246310005", "3782 822463 10005"],
    "iban": [
        "DE89 3704 0044 0532 0130 00 BIC",
        "GB29NWBK60161331926819",
        "AT61 1904 3002 3457 3201 IBAN",
        "NO9386011117947",
    ],
    "key": [
        AWS_KEY,
        "ghp_" + "a1B2" * 9,
        "token: " + JWT,
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIE+/=\n-----END RSA PRIVATE KEY-----\n",
        "postgres://app:hunter22x@db.internal/app",
        'DB_PASSWORD="kR7vQ2xLw9ZpTn4"',
        "api_key = 9f86d081884c7d659a2feaa0c55ad015",
        '{"clientSecret": "x8Kp-2mQz_77LwRtYb"}',
        "Root Password   :  FS7CUxsY3xkusv7EkbT9yae",
        "github_pat_" + "11ABCDE7Y0" * 8,
        "xoxb-" + "2147483648-abcdefXYZ",
        "https://hooks.slack.com/services/" + "T0A1B2C3D/B0A1B2C3D/" + "x7Yq8LmTz0vHs2Kp9RtW4nEd",
        "rk_live_" + "a1B2c3D4" * 3,
        "AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        "sk-proj-" + "Ab1_" * 10,
        "-----BEGIN OPENSSH PRIVATE KEY-----\\nb3BlbnNzaC1rZXk\\n-----END OPENSSH PRIVATE KEY-----",
        f"AWS Secret Access Key\n  {AWS_SECRET}\n",
    ],
}
STAYS = [
    "user@example.com, a@mail.example.org, root@localhost, x@site.test",
    "git@github.com:owner/repo.git",
    "logo@2x.png and jquery@3.5.1.min.js and @decorator.name and @types/node",
    "127.0.0.1 10.1.2.3 192.168.0.1 172.16.5.4 169.254.1.1 203.0.113.9 2001:db8::1 fe80::1 ::1 8.8.8.8 1.1.1.1",
    "version 52.41.103.22, v71.22.30.41, Chrome/71.0.3578.98, section 1.9.22.6, id-1.21.44.7, 1.2.3.4.5, 300.1.2.3",
    "2023:12:31 12:30:45 std::vector<int> 2021:ab 10:20:30:40:50:60",
    "2023-10-12, 12.05.2023 14:00, 12/05/2023, 1999-2004, 2020-01-01T10:00:00, pages 212-555",
    "ISBN 978-3-16-148410-0, ISBN 0-306-40615-2, ISSN 2049-3630, doi:10.1000/182",
    "01 02 03 04 05 06 07 and 00 01 02 03 04 05 and 10 20 30 40 50",
    "1234567890 and 1700000000000 and 3.14159265358979 and 3+1234567890 and x=+4912345",
    "Table 212 555 0123, order 4111-1111, part 030-1234, 415.926.5358.9",
    "4111 1111 1111 1112 and 1234 5678 9012 3456 and 0000 0000 0000 0000",
    "DE89 3704 0044 0532 0130 01 and XX89 3704 0044 0532 0130 00 and US12 ABCD EFGH IJKL",
    "password = get_password_from_env(user1, user22)",
    'password: "your-password-1234", token=<TOKEN_12345678>, secret=${SECRET_12_34_56}, api_key="xxxxxxxxxxxx12"',
    "token = os.environ.get, secret: this_is_a_long_name_2, password_file=/etc/app/passwords.txt",
    "NO93 8601 1117 9470 is one digit too long",
    "the fax of 2023-10-12, phone 12.05.2023, tel 2023/1/31",
    "01 02 03 04 05 or 05 04 03 02 01 or 07 22 81 64 90 a3",
    "+1 123 555 0123, +1 212 555 01, +83 12345678",
    "2000123456789011 5000123456789014 3000-1234-5678-9019",
    "token = a*b+c*d-e/f=g2x, password = 1111111111aa, token = next_token2_of3(stream)",
    "postgres://user:password@localhost/db, postgres://user:pass@localhost/db",
    f"{AWS_SECRET} {'and far from it ' * 13} an aws key",
    f"{'.' * 210}{AWS_SECRET}{'.' * 210} aws secret",
    f"aws secret {AWS_SECRET}x, aws key {AWS_SECRET[:39]}, {AWS_SECRET}.html, {AWS_SECRET}=",
    "aws key 0123456789abcdef0123456789abcdef01234567 wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "aws key ConsoleManagement/Users/Guide2015/topic1 " + "QbXdEf72Gh" * 4,
    "AKIAIOSFODNN7 sk-learn-something eyJ. SG.x ghp_short",
    "the tel aviv meeting of 1948, hotel 2000000, faxed 3 pages, telephone since 1876",
]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in GONE.items() for text in texts])
def test_what_goes(kind: str, text: str) -> None:
    result = replace(docs_of(text))
    assert json.loads(result["meta"][0].as_py()) == {"pii": {kind: 1}}
    assert result["text"][0].as_py().count(KINDS[kind].placeholder) == 1


@pytest.mark.parametrize("text", STAYS)
def test_what_stays(text: str) -> None:
    assert replaced(text) == text


def test_only_the_value_goes() -> None:
    assert replaced("write to jane@firm.org.") == "write to <EMAIL>."
    assert replaced('DB_PASSWORD="kR7vQ2xLw9ZpTn4"') == 'DB_PASSWORD="<KEY>"'
    assert replaced("postgres://app:hunter22x@db.internal/app") == "postgres://app:<KEY>@db.internal/app"
    assert replaced("http://82.50.72.202/a") == "http://<IP>/a"
    assert replaced("'jane@firm.org' ..joe@firm.org") == "'<EMAIL>' ..<EMAIL>"
    assert replaced("call +1 212 555 0123 45 people did") == "call <PHONE> 45 people did"
    assert replaced("Phone number: (02) 9876 5432.") == "Phone number: <PHONE>."
    assert replaced("Boston +1 (617) 573-5591/3747; FAX") == "Boston <PHONE>/3747; FAX"
    assert replaced("1-800-476-0446 toll free") == "<PHONE> toll free"
    assert replaced("DE89 3704 0044 0532 0130 00 BIC") == "<IBAN> BIC"
    assert replaced("4111 1111 1111 1111 12/27") == "<CARD> 12/27"


def test_kinds_counts_and_placeholders() -> None:
    text = "a@b.org c@d.org 82.50.72.202"
    assert replaced(text, kinds=["ip"]) == "a@b.org c@d.org <IP>"
    result = replace(docs_of("nothing", text, None, text), placeholders={"email": "email@example.com"})
    new = "email@example.com email@example.com <IP>"
    assert result["text"].to_pylist() == ["nothing", new, None, new]
    assert json.loads(result["meta"][1].as_py()) == {"pii": {"email": 2, "ip": 1}}
    assert result["meta"][0].as_py() == "{}"
    assert replace(result, placeholders={"email": "email@example.com"}).equals(result)
    public = replace(docs_of(text), placeholders={"ip": "22.214.171.124"})
    assert public["text"][0].as_py() == "<EMAIL> <EMAIL> 22.214.171.124"
    assert replace(public, placeholders={"ip": "22.214.171.124"}).equals(public)
    assert replace(docs_of("x")).equals(docs_of("x"))
    more = replace(documents([{"origin": "o", "text": "a@b.org", "meta": '{"title": "t", "pii": {"email": 2}}'}]))
    assert json.loads(more["meta"][0].as_py()) == {"title": "t", "pii": {"email": 3}}
    assert replace(docs_of("a@b.org")[:0]).num_rows == 0


def test_loss_spans_move_through_every_round() -> None:
    text = "key " + AWS_KEY + " of jane@firm.org at 82.50.72.202: the answer"
    spans = [{"start": len(text) - 10, "length": 10}]
    rows = [{"origin": "a", "text": text, LOSS_SPANS: spans}, {"origin": "b", "text": "a@b.org", LOSS_SPANS: None}]
    result = replace(documents(rows))
    (span,), new = result[LOSS_SPANS][0].as_py(), result["text"][0].as_py()
    assert new == "key <KEY> of <EMAIL> at <IP>: the answer"
    assert new[span["start"] : span["start"] + span["length"]] == "the answer"
    assert result[LOSS_SPANS][1].as_py() is None


def test_an_aws_secret_goes_with_its_id() -> None:
    assert replaced(f"{AWS_KEY},{AWS_SECRET},eu") == "<KEY>,<KEY>,eu"
    assert replaced(f"{AWS_SECRET}\t{AWS_KEY}") == "<KEY>\t<KEY>"
    assert replaced(f"{AWS_KEY}{' ' * 199}{AWS_SECRET}") == f"<KEY>{' ' * 199}<KEY>"
    assert replaced(f"{AWS_KEY}{' ' * 202}{AWS_SECRET}") == f"<KEY>{' ' * 202}{AWS_SECRET}"
    longer = AWS_SECRET * 2  # is cut at the end of what is near, and no secret
    assert replaced(AWS_KEY + " " * 201 + longer) == "<KEY>" + " " * 201 + longer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(212) 555-0123+49 30 1234567", "<PHONE><PHONE>"),
        ("06 12 34 56 78-part 030-1234, 5 of 7", "<PHONE>-part 030-1234, 5 of 7"),
        ("Phone: (02) 9876 5432: NO93 8601 1117 9470 5", "Phone: <PHONE>: NO93 8601 1117 9470 5"),
        ("<PHONE> 1117 9470, <IP>: 12345678", "<PHONE> 1117 9470, <IP>: 12345678"),
        ("+49 30 1234567" * 40, "<PHONE>" * 40),
        ("postgres://u:hunter22x@h/DB_PASSWORD=kR7vQ2xLw9ZpTn4", "postgres://u:<KEY>@h/DB_PASSWORD=<KEY>"),
    ],
)
def test_what_touches_goes_in_one_run_and_placeholders_are_no_context(text: str, expected: str) -> None:
    once = replace(docs_of(text))
    assert once["text"][0].as_py() == expected
    assert replace(once).equals(once)


def test_a_placeholder_is_one_when_it_stands_alone() -> None:
    """`22.214.171.124` in `122.214.171.124` is none."""
    placeholders = {"ip": "22.214.171.124", "phone": "tel"}
    once = replace(docs_of("122.214.171.124 at 22.214.171.124, +49 30 1234567 4455667788"), placeholders=placeholders)
    assert once["text"][0].as_py() == "22.214.171.124 at 22.214.171.124, tel 4455667788"
    assert replace(once, placeholders=placeholders).equals(once)


WHOLE = st.sampled_from([text for texts in GONE.values() for text in texts] + STAYS)
PIECES = st.builds(
    lambda text, start, count: text[start : start + count], WHOLE, st.integers(0, 40), st.integers(1, 40)
)
BETWEEN = st.sampled_from([*" .,-/+()\n=<>_@1a", "", ": ", "tel ", "+49", " 0", "::", "<KEY>", "<PHONE>", "aws key "])
DIGITS = st.text(st.sampled_from("0123456789012345 +().-/:@a.AE\n<>"), max_size=60)


@settings(max_examples=120)
@given(st.lists(st.tuples(WHOLE | PIECES | DIGITS, BETWEEN).map("".join), max_size=5))
def test_a_second_run_and_other_partitions_change_nothing(texts: list[str]) -> None:
    docs = docs_of(*texts, "\n".join(texts), "".join(texts))
    once = replace(docs)
    assert replace(once).equals(once)
    parts = [replace(docs.slice(row, 1)) for row in range(docs.num_rows)]
    assert pa.concat_tables(parts).to_pylist() == once.to_pylist()


@pytest.mark.data
def test_a_second_run_over_real_pages_changes_nothing(shared_data: Path) -> None:
    with gzip.open(shared_data / "quality" / "dclm_human_labels.jsonl.gz", "rt") as file:
        texts = [json.loads(line)["text"] for line in file]
    pages = [gzip.decompress(page.read_bytes()) for page in sorted((shared_data / "extraction" / "html").iterdir())[:8]]
    docs = docs_of(*texts, "".join(texts).replace(" ", ""), *(page.decode("utf-8", "replace") for page in pages))
    once = replace(docs)
    assert sum(json.loads(once.schema.metadata[COUNTS]).values()) > 100
    assert replace(once).equals(once)


@given(st.text(alphabet=st.sampled_from("a1@.+:-( )/=_AKIA\"'DE\n"), max_size=80))
def test_every_find_has_a_trace_and_lies_in_the_text(text: str) -> None:
    for kind in KINDS.values():
        ranges = kind.find(text)
        assert all(0 <= start < end <= len(text) for start, end in ranges)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(ranges))
        if ranges:
            assert pa.compute.match_substring_regex(pa.array([text]), kind.trace)[0].as_py()


@pytest.mark.parametrize("kind", KINDS)
def test_every_example_has_the_trace_of_its_kind(kind: str) -> None:
    assert pa.compute.all(pa.compute.match_substring_regex(pa.array(GONE[kind]), KINDS[kind].trace)).as_py()


BAITS = [
    "a", "1", "1 ", "+1 ", "1.", "1:", "a@", "a.", "@a.", "2001:", "(1", "tel 1", "tel ", "=", "password=", "password=a1b2", "eyJ",
    "eyJaaaaaaaaaaa.", "-----BEGIN PRIVATE KEY-----", "://a:", "AB12 ABCD ", "4111 1111 ", "sk-", "0", "06 12 ", "-", "token", "\u00a0",
    "a@b.c", "+49 (1) ", "aws key ", "aws key. A1", "0871 527 8806 ", "020-", "(0", "8(", "2", "中",
]  # fmt: skip


@pytest.mark.parametrize("bait", BAITS)
def test_no_text_takes_long(bait: str) -> None:
    text = bait * (200_000 // len(bait))
    start = time.process_time()
    for kind in KINDS.values():
        kind.find(text)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize("touching", ["+49 30 1234567", "(212) 555-0123", "DE89370400440532013000-", AWS_KEY + "-"])
def test_no_text_of_touching_numbers_takes_long(touching: str) -> None:
    docs = docs_of(touching * (100_000 // len(touching)))
    start = time.process_time()
    replace(docs)
    assert time.process_time() - start < 2.0


def test_errors_name_the_value_and_what_to_type() -> None:
    for params, message in [
        ({"kinds": "email"}, r"type \[email\]"),
        ({"kinds": ["mail"]}, "'mail' is no kind .* key, card, iban, email, ip, phone"),
        ({"placeholders": {"name": "<NAME>"}}, "'name' is no kind"),
        ({"placeholders": {"ip": 4}}, "placeholder of ip is 4: type a text such as <IP>"),
    ]:
        with pytest.raises(ValueError, match=message):
            check(**params)
        with pytest.raises(ValueError, match=message):
            replace(docs_of("x"), **params)


@pytest.mark.data
def test_ten_thousand_ordinary_documents_a_second(shared_data: Path) -> None:
    """Of 2,000 characters; half of that is asked for, because other work may share the caches."""
    with gzip.open(shared_data / "neardup" / "mccormick.train.gz", "rt") as file:
        text = file.read(1_000_000)
    docs = docs_of(*(text[start : start + 2_000] for start in range(0, len(text), 2_000)))
    replace(docs[:10])
    start = time.process_time()
    result = replace(docs)
    assert docs.num_rows / (time.process_time() - start) > 5_000
    assert 0 < result.num_rows - result["meta"].to_pylist().count("{}") < 50
