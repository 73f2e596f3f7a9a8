"""The masks: what of a line is a value, and what is not."""

from __future__ import annotations

import pytest
from oracle import pattern as oracle

from sophia._core.pattern import mask

CASES = [
    # numbers, with sign, point, comma; hexadecimal
    ("took 17 of -3 or 4.5 or 1,234,567", "took <*> of <*> or <*> or <*>"),
    ("at 0x1f flags 0xDEADBEEF", "at <*> flags <*>"),
    ("commit 9fceb02d0ae598e95dc970b74767f19372d61af8", "commit <*>"),
    ("mask=ffffffff deadbeef cafe", "mask=<*> <*> cafe"),
    # addresses
    ("from 10.0.0.1 to 10.0.0.1:22", "from <*> to <*>"),
    ("server db.example.com:5432 up", "server <*> up"),
    ("open a.example.com:443 through", "open <*> through"),
    ("host one.two.three.four gone", "host <*> gone"),
    ("peer fe80::1ff:fe23:4567:890a%eth2 lost", "peer <*> lost"),
    ("at 00:1B:44:11:3A:B7 now", "at <*> now"),
    ("mail from ann@example.org sent", "mail from <*> sent"),
    ("id 123e4567-e89b-12d3-a456-426614174000 ok", "id <*> ok"),
    # dates and times: ISO, BSD, Apache, with names of days and months
    ("2026-11-25T10:29:27.123Z start", "<*> start"),
    ("2026-11-25 10:29:27,123 start", "<*> start"),
    ("Nov 25 10:29:27 host start", "<*> host start"),
    ("[Sun Dec 04 04:47:44 2005] [notice] up", "[<*>] [notice] up"),
    ("at Fri Jul 22 19:29:09 2005 end", "at <*> end"),
    ("since Fri Dec 10 19:02:14 EST 2004, 10:29 PM", "since <*>, <*>"),
    ("[25/Nov/2026:10:29:27 +0000] end", "[<*>] end"),
    ("you may go in march", "you may go in march"),
    # paths and URLs
    ("open /etc/passwd failed", "open <*> failed"),
    (r"at .../x\y", "at .<*>"),
    ("run ./a.out and ~/b and ../c/d", "run <*> and <*> and <*>"),
    (r"load C:\Windows\system.dll ok", "load C:<*> ok"),
    ("get https://example.org/a?b=c#d, done", "get <*>, done"),
    ("read/write and and/or", "read/write and and/or"),
    # sizes with units
    ("sent 10 KB in 3 ms (1.16 KB) now", "sent <*> in <*> (<*>) now"),
    ("12 bytes", "<*> bytes"),
    ("65071ms 40% 5GB", "<*>"),
    # quoted values; a request keeps its method; the name of a JSON member stays
    ('user "Ann Lee" left', 'user "<*>" left'),
    ('"GET /index.html HTTP/1.1" 200', '"GET <*>" <*>'),
    ('a "POST /x" b ""', 'a "POST <*>" b ""'),
    ('{"user": "ann", "ms": 12}', '{"user": "<*>", "ms": <*>}'),
    ('he said "' + "x" * 65 + '" twice "y"', 'he said "' + "x" * 65 + '" twice "<*>"'),
    ('he said "' + "x" * 64 + '" once "y', 'he said "<*>" once "y'),
    # prose in quotes is text: a message is not hidden by them
    (
        'ham "Ok then, I will call you at 5 when the bus is there"',
        'ham "Ok then, I will call you at <*> when the bus is there"',
    ),
    ('ham\t"Good night."', 'ham "Good night."'),
    (
        'level=info msg="all backups were lost and the primary database is gone"',
        'level=info msg="all backups were lost and the primary database is gone"',
    ),
    ('msg="disk failed" user="Ann Lee" n="5"', 'msg="disk failed" user="<*>" n="<*>"'),
    (
        'last_error="EOF" reason = "not found" Error: "no route"',
        'last_error="EOF" reason = "not found" Error: "no route"',
    ),
    (
        '{"msg": "disk gone", "Text":"all lost", "context":"a b"}',
        '{"msg": "disk gone", "Text":"all lost", "context":"<*>"}',
    ),
    (r'msg="user \"bob\" gone" id="7"', r'msg="user \"bob\" gone" id="<*>"'),
    ('备注 "所有的备份都已经丢失数据库不可用" 用户 "张三"', '备注 "所有的备份都已经丢失数据库不可用" 用户 "<*>"'),
    # what in quotes is a value: two words at most, lists of names and numbers, paths with blanks
    (r'open "C:\Program Files\x" now', 'open "<*>" now'),
    (r'open "C:\Program Files (x86)\My App\x.exe" now', 'open "<*>" now'),
    ('open "/srv/Ann Lee/My Files/x.txt" now', 'open "<*>" now'),
    ('note "/etc/passwd was replaced by a/b" now', 'note "<*> was replaced by a/b" now'),
    ('note "/etc/passwd moved to /tmp/x" now', 'note "<*> moved to <*>" now'),
    ('ids "eth0, node_a, db.local" of "10.0.0.1 10.0.0.2 10.0.0.3"', 'ids "<*>" of "<*>"'),
    ('roles "root and admin" of "a b"', 'roles "root and admin" of "<*>"'),
    ('at "https://example.org/a?b=c" from "12 34"', 'at "<*>" from "<*>"'),
    # a request line is one, and no sentence that starts as one
    ('10.0.0.1 - "GET /a/b?c=d HTTP/1.1" 200 "-" "curl/8.1"', '<*> - "GET <*>" <*> "<*>" "<*>"'),
    ('proxy "CONNECT db.example.org:443 HTTP/1.1" ok', 'proxy "CONNECT <*>" ok'),
    ('ham "GET well soon and call me"', 'ham "GET well soon and call me"'),
    ('"DELETE all the backups now" sent', '"DELETE all the backups now" sent'),
    ('"a whole line in quotes, with a 5"', '"a whole line in quotes, with a <*>"'),
    ("don't 'do' it", "don't 'do' it"),
    # names and values; nothing; names that end in a digit stay
    ("uid=0 name=root ws=null,", "uid=<*> name=root ws=<*>,"),
    ("eth0 and SOCKS5 but ee0 and node12", "eth0 and SOCKS5 but <*> and <*>"),
    ("sshd[24680]: rc=(1)", "sshd[<*>]: rc=(<*>)"),
    # slots that meet are one
    ("1 2 3 and 4:5|6", "<*> and <*>"),
    ("iar 003a92a0 dear 00efd358", "iar <*> dear <*>"),
    ("enabled.....0", "enabled.....<*>"),
    # words stay as they are
    ("stopwatch Helpful CITY a-b c_d e.f", "stopwatch Helpful CITY a-b c_d e.f"),
    ("  tabs\tand\r\nends  ", "tabs and ends"),
    ("*** ! --", "*** ! --"),
    ("", ""),
    # other scripts
    ("用户 张三 登录 失败 3 次", "用户 张三 登录 失败 <*> 次"),
    ("ผู้ใช้ เข้าสู่ระบบ 😀 12", "ผู้ใช้ เข้าสู่ระบบ 😀 <*>"),
    ("dauerte 5 µs.", "dauerte <*>."),
]


@pytest.mark.parametrize(("line", "masked"), CASES)
def test_masks(line: str, masked: str):
    assert mask(line) == masked
    assert b" ".join(oracle.mask(line.encode())).decode() == masked


@pytest.mark.parametrize("line", [masked for _, masked in CASES if '"' not in masked and "%" not in masked])
def test_what_stays_is_masked_to_itself(line: str):
    assert mask(line) == line


def test_bytes_nul_and_invalid_utf8():
    assert mask(b"a\x00b 5") == "a b <*>"
    assert mask(b"caf\xe9 17") == "caf\N{REPLACEMENT CHARACTER} <*>"
    assert mask("lone \udc80 7") == mask(b"lone \xed\xb2\x80 7")


def test_bounds():
    assert mask("x" * 10_000) == "x" * oracle.MAX_BYTES
    assert mask("a " * 1000).count("a") == oracle.MAX_TOKENS
    assert mask("5;" * 5000) == ";".join(["<*>"] * (oracle.MAX_BYTES // 2)) + ";"


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="must be str or bytes, not int"):
        mask(5)
