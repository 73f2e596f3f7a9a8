"""Excerpts for the report: secrets, length, invisible characters."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia.stream.mask import excerpt, visible, window

SECRETS = [
    ("password=hunter2,x and more", "hunter2"),
    ('{"password": "a b c", "user": "x"}', "a b c"),
    ("{'passwd': 'tr0ub4dor'}", "tr0ub4dor"),
    ('"api_key":"sk-abc123"', "sk-abc123"),
    ("dbPassword = x=y z", "x=y"),
    ("login --token abc9 --verbose", "abc9"),
    ("my password is hunter2!", "hunter2"),
    ("Authorization: Bearer abcdefgh12345", "abcdefgh12345"),
    ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("curl -H 'bearer eW91IGZvdW5kIG1l1'", "eW91IGZvdW5kIG1l1"),
    ("fetch https://ana:s3cret@example.org/x", "s3cret"),
    ("GET /x?token=abc&y=1", "abc"),
    ("mail to ana.b+x@mail.example.org bounced", "ana.b+x"),
    ("card 4111 1111 1111 1111 declined", "4111 1111 1111"),
    ("card 4111111111111111 declined", "411111111111"),
    ("card 5500-0000-0000-0004 declined", "5500-0000-0000"),
    ("card 4111 1111 1111 1111 123 given", "4111 1111 1111"),
    ("paid 2005 4111 1111 1111 1111 12/27", "4111 1111 1111"),
    ("on 2005-06-03 4111-1111-1111-1111", "4111-1111-1111"),
    ("amex 3782 822463 10005 ok", "3782 822463 1"),
    ("diners 3056-930902-5904, maestro 6759649826438453 ok", "3056-930902-"),
    ("visa=4222222222222 old", "422222222"),
    ("key 0123456789abcdef0123456789abcdef0123 used", "0123456789abcdef"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "MIIabc"),
    ("-----BEGIN PRIVATE KEY-----\nMIIabc", "MIIabc"),
    ("jwt eyJhbGciOiJIUzI1.eyJzdWIi.abc_-x", "eyJhbGciOiJIUzI1"),
    ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("push with ghp_abcdefghijklmnop1234", "ghp_abcdefghijklmnop1234"),
    ("slack xoxb-12345678-abc", "xoxb-12345678-abc"),
    ("Set-Cookie: sid=31d4d96e407aad42", "31d4d96e407aad42"),
    ('secret="never closed', "never closed"),
    ("PASSWORD: Sommer2024", "Sommer2024"),
    ("session_id=9f8e7d", "9f8e7d"),
    ("mysql -u root -pS3cretPw! -e 'select 1'", "S3cretPw!"),
    ("sh -c \"mysqldump -h db -p's3 cret' shop\"", "s3 cret"),
    ("/usr/bin/mariadb-dump -pabc9 shop", "abc9"),
    ("sshpass -p hunter2 ssh ana@host", "hunter2"),
    ("sshpass -phunter2 ssh host", "hunter2"),
    ("SSHPASS=ab9 sshpass -e ssh host", "ab9"),
    ("PGPASSWORD=abc12 psql -h db", "abc12"),
    ("export MYSQL_PWD='x y'; mysql shop", "x y"),
    ("REDISCLI_AUTH=foo9 redis-cli ping", "foo9"),
    ("redis-cli -a foobar9 ping", "foobar9"),
    ("curl -u admin:passw0rd http://example.org/", "passw0rd"),
    ("curl -uadmin:12345 http://example.org/", "12345"),
    ("curl -s --proxy-user=ana:pw7 http://example.org/", "pw7"),
    ("http --auth ana:pw7 example.org", "pw7"),
    ("smbclient -U ana%pw7 //host/share", "pw7"),
    ("mysql --password hunter2 shop", "hunter2"),
    ('deploy --password "a b c" --now', "a b c"),
    ("wget --http-password abc9 --http-user ana x", "abc9"),
    ("plink -pw abc9 host", "abc9"),
    ("java -password abc9 Main", "abc9"),
    ("docker login -u ana -p s3cr3t registry", "s3cr3t"),
    ("ldapsearch -D cn=admin -w pass1 -b dc=x", "pass1"),
    ("zip -P pw1 all.zip file", "pw1"),
    ("openssl rsa -passin pass:abc1 -in key", "abc1"),
    ("Proxy-Authorization: Basic YTpi", "YTpi"),
    ("Authorization: Token abcd1", "abcd1"),
    ("authorization: ApiKey abcd1", "abcd1"),
    ("Cookie: theme=dark; sid=31d4", "31d4"),
    ("CREATE USER ana IDENTIFIED BY 'pw x'", "pw x"),
    ("ls -p password=hunter2", "hunter2"),
    ("chown -u 12:13 token=abc9", "abc9"),
]
PLAIN = [
    "Failed password for root from 192.0.2.1 port 22 ssh2",
    "check pass; user unknown",
    "blk_-1608999687919862906 terminating",
    "compass: north",
    "used 770 tokens in 1897 ms",
    "order 62299 paid, total 610.90",
    "the token is missing",
    "Dec 10 06:55:46 LabSZ sshd[24200]: Connection closed",
    "at com.jcraft.jsch.JSchException.connect(Session.java:519)",
    "job 68adaf09-bd0e-43e5-a197-faf5766192db failed",
    "2026-03-12T05:25:28.123456789Z ok",
    "- 1117838978 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.823719 R02 RAS KERNEL INFO",
    "- 1117838976 2005.06.03, 4222222222222.06 and 2005.06.03 1117838976",
    "at 1117838978003 ms, 1117838978000000005 ns",
    "tel 4111 1111 1111 1112, 411111 1111 1111 11, 4111-1111 1111-1111",
    "id 4111111111111112 of v4111111111111111 and 4111111111111111b",
    "token=<*> password=<*>",
    "kube-controller-manager-of-the-second-cluster",
    "docker run -p 8080:80 -u 1000:1000 image",
    "docker login && docker run -p 8080:80 image",
    "ssh -p 2222 ana host; ps -p 1234 -u root",
    "mkdir -p /var/lib/x",
    "mysql -u root -p shop -P 3306",
    "git push -u origin main",
    "perl -pe s/a/b/ -w file",
    "uptime -p",
]


def shown(text: str, span: tuple[int, int] | None = None, width: int = 220) -> str:
    return "".join(part.text for part in excerpt(text, span, width=width))


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_is_masked_and_the_rest_is_not(text: str, secret: str) -> None:
    told = shown(text)
    assert secret not in told
    assert "\u2022\u2022\u2022" in told
    if len(text) > 2 * len(secret) + 10 and "BEGIN" not in text:
        assert any(word in told for word in re.findall(r"[A-Za-z]{3,}", text))


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_mark_does_not_show_a_secret(text: str, secret: str) -> None:
    for start in range(0, len(text), 3):
        for end in range(start + 1, len(text) + 1, 5):
            assert secret not in shown(text, (start, end))


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_at_the_edge_of_what_is_shown(text: str, secret: str) -> None:
    for before in (0, 150, 395, 400, 590, 700):
        whole = "word " * (before // 5) + text + " word" * 200
        for at in (0, before, before + len(text) + 5):
            cut, span = window(whole, (at, at + 4))
            assert secret not in shown(cut, span)


def test_the_span_is_marked_and_always_there() -> None:
    text = "a " * 200 + "sudo rm -rf / now " + "b " * 300
    at = text.index("rm")
    cut, span = window(text, (at, at + 8))
    assert len(cut) == 600
    parts = excerpt(cut, span)
    assert [part.text for part in parts if part.marked] == ["rm -rf /"]
    assert len("".join(part.text for part in parts)) <= 222
    (only,) = excerpt("x" * 500, (0, 500))
    assert only.marked
    assert len(only.text) <= 222


@pytest.mark.parametrize(
    ("text", "hit", "marked"),
    [
        (
            "Invalid user eoor from 187.141.143.180",
            "Invalid user eoor from 1",
            "Invalid user eoor from 187.141.143.180",
        ),
        ("invalid user 0 from 5.188.10.180 port 2", "invalid user 0 from 5", "invalid user 0 from 5.188.10.180"),
        ("from 2001:db8::1 port", "from 2001", "from 2001:db8::1"),
        ("now rm -rf /etc/passwd please", "rm -rf /", "rm -rf /etc/passwd"),
        ("an unauthorised login failed.", "authorised login fail", "unauthorised login failed"),
        ("authentication failure; logname=", "authentication failure", "authentication failure"),
        ("rhost=192.0.2.1 failed", "rhost=", "rhost="),
        ("it failed.", "failed", "failed"),
        ("na\u00efve user", "na", "na\u00efve"),
    ],
)
def test_a_mark_ends_where_a_word_does(text: str, hit: str, marked: str) -> None:
    at = text.index(hit)
    assert "".join(part.text for part in excerpt(text, (at, at + len(hit))) if part.marked) == marked


@given(st.text("ab1.:/@- ;=", max_size=90), st.integers(0, 90), st.integers(1, 90))
def test_a_mark_covers_its_span_and_never_cuts_a_word(text: str, start: int, size: int) -> None:
    end = min(start + size, len(text))
    if start >= end or shown(text, (start, end)) != text:
        return
    parts = excerpt(text, (start, end))
    marked = "".join(part.text for part in parts if part.marked)
    assert text[start:end] in marked
    before = "".join(part.text for part in parts[: [part.marked for part in parts].index(True)])
    low, high = len(before), len(before) + len(marked)
    assert low <= start
    assert high >= end
    if text[start].isalnum():
        assert low == 0 or not text[low - 1].isalnum()
    if text[end - 1].isalnum():
        assert high == len(text) or not text[high].isalnum()


def test_a_span_outside_of_the_text_marks_nothing_more() -> None:
    assert shown("short", (3, 900)) == "short"
    assert shown("short", (10, 20)) == "short"
    assert shown("", (0, 4)) == ""


@given(st.text(max_size=700), st.integers(0, 700), st.integers(0, 700))
def test_any_text_is_shown_in_bounds(text: str, start: int, size: int) -> None:
    cut, span = window(text, (start, start + size))
    told = shown(cut, span)
    assert len(told) <= 220 * 3  # a secret is one piece of three characters
    told.encode()
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", told)


def test_nothing_is_invisible() -> None:
    assert visible("a\tb") == "a b"
    assert visible("a\nb") == "a\u21b5b"
    assert visible("\x1b[31m") == "\u2039U+001B\u203a[31m"
    assert visible("\u202egnp") == "\u2039U+202E\u203agnp"
    assert visible("\ud800") == "\ufffd"
    assert visible("e" + "\u0301" * 40) == "e\u0301\u0301\u0301"
    assert visible("\U0001f469\u200d\U0001f4bb na\u00efve \u05e9\u05dc") == (
        "\U0001f469\u2039U+200D\u203a\U0001f4bb na\u00efve \u05e9\u05dc"
    )


@pytest.mark.parametrize(
    "piece",
    ["a1", "password=", "eyJ", "-----BEGIN ", "4 ", "a@", "://a:", "'", "sk-", "1-", "-p ", "mysql -p", "-u a:", "-a"],
)
def test_hostile_texts_are_read_in_linear_time(piece: str) -> None:
    """Each is over in a moment; a quadratic one would take minutes and end by the time limit."""
    assert excerpt(piece * (200_000 // len(piece)))
