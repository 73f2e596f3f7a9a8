from __future__ import annotations

import math
import re

import pytest
from oracle import readout as oracle

from sophia._core.lexical import KINDS, LexicalEncoder
from sophia.errors import ShapeError

PLAN = oracle.Plan(10_000, 0, (2, 4), (351, 325, 128, 169), 1)  # the encoder's defaults
TEXTS = [
    "turn the light on",
    "Turn it OFF",
    "中国语 かな ราคา",
    "naïve Ünïcode, e\u0301",
    "👍 ok 👍\u200d👍",
    b"caf\xe9 \xff\xc3",
    "\ud800 lone \udfff",
    "a\0b\0c",
    "x",
]


def encoder_of(plan: oracle.Plan, texts: list[str | bytes]) -> LexicalEncoder:
    made = LexicalEncoder(
        plan.dim,
        seed=plan.seed,
        grams=plan.grams,
        kinds=[weight / 256 for weight in plan.kinds],
        idf_power=plan.quarters / 4,
    )
    made.observe(texts)
    return made


def sparse(encoder: LexicalEncoder, text: str | bytes) -> list[tuple[int, int]]:
    return [(position, round(value * oracle.UNIT)) for _, _, position, value in encoder.terms(text)]


def normal(text: str | bytes) -> str | bytes:
    """What the encoder reads of a text in another script: its normal form, where it has one."""
    from sophia._core.normaliser import normalise

    if isinstance(text, bytes) or text.isascii():
        return text
    try:
        return normalise(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("text", TEXTS)
def test_terms_are_those_of_the_oracle(text):
    texts = [*TEXTS[:5], "turn the radio on"]
    table = oracle.observed([normal(each) for each in texts], PLAN)
    assert sparse(encoder_of(PLAN, texts), text) == oracle.terms(normal(text), PLAN, table)


def test_what_a_text_shows():
    encoder = LexicalEncoder(grams=(3, 3))
    encoder.observe(["turn it on"])
    shown = [(kind, text) for text, kind, _, _ in encoder.terms("turn it on")]
    assert shown == [
        ("gram", "<tu"),
        ("gram", "tur"),
        ("gram", "urn"),
        ("gram", "rn>"),
        ("word", "turn"),
        ("pair", "<turn"),
        ("gram", "<it"),
        ("gram", "it>"),
        ("word", "it"),
        ("pair", "turn it"),
        ("gram", "<on"),
        ("gram", "on>"),
        ("word", "on"),
        ("pair", "it on"),
        ("skip", "turn it on"),
        ("pair", "on>"),
    ]


def test_scripts_without_blanks_give_pairs_of_their_signs():
    encoder = LexicalEncoder(grams=(2, 3))
    encoder.observe(["天気予報", "ราคา", "👍👎"])
    assert [(kind, text) for text, kind, _, _ in encoder.terms("天気予")] == [
        ("word", "天"),
        ("pair", "<天"),
        ("gram", "天気"),
        ("word", "気"),
        ("pair", "天気"),
        ("gram", "気予"),
        ("gram", "天気予"),
        ("word", "予"),
        ("pair", "気予"),
        ("skip", "天気予"),
    ]
    assert "ราคา"[:2] in [text for text, *_ in encoder.terms("ราคา")]
    assert encoder.terms("👎👍")


def test_norm_counts_what_is_unknown():
    encoder = LexicalEncoder()
    encoder.observe(["turn the light on", "play a song"])
    known = math.fsum(value**2 for *_, value in encoder.terms("turn the light on"))
    half = math.fsum(value**2 for *_, value in encoder.terms("turn the light on xylophone"))
    assert known == pytest.approx(1, abs=0.001)
    assert 0.3 < half < 0.9
    assert encoder.terms("zzz qqq") == []


def test_case_of_ascii_and_form_of_the_rest_do_not_matter():
    encoder = LexicalEncoder()
    encoder.observe(["turn the light on", "café"])
    assert sparse(encoder, "TURN the Light ON") == sparse(encoder, "turn the light on")
    assert sparse(encoder, "cafe\u0301") == sparse(encoder, "caf\u00e9")
    assert sparse(encoder, b"turn the light on") == sparse(encoder, "turn the light on")


def test_frequent_features_weigh_less():
    encoder = LexicalEncoder(idf_power=1)
    encoder.observe([f"the {word}" for word in ("cat", "dog", "hen", "cow")])
    weights = {text: abs(value) for text, kind, _, value in encoder.terms("the cat") if kind == "word"}
    assert weights["the"] < weights["cat"]
    flat = LexicalEncoder(idf_power=0)
    flat.observe(["the cat", "the dog"])
    assert len({abs(value) for text, kind, _, value in flat.terms("the cat") if kind == "word"}) == 1


@pytest.mark.parametrize("quarters", range(5))
@pytest.mark.parametrize("documents", [1, 2, 100, 15_000])
def test_each_power_of_the_frequency(quarters, documents):
    plan = PLAN._replace(quarters=quarters)
    texts = ["on", *["off"] * (documents - 1)]
    table = oracle.observed(texts, plan)
    encoder = encoder_of(plan, texts)
    for text in ("on off", "off on on", "new off"):
        assert sparse(encoder, text) == oracle.terms(text, plan, table)


def test_texts_of_any_size():
    encoder = LexicalEncoder()
    encoder.observe(["one two three", "w1 w2"])
    assert encoder.terms("") == encoder.terms(" ?!\n") == []
    long = " ".join(f"w{i} one two" for i in range(100_000))
    assert len(long) > 1_000_000
    table = oracle.observed(["one two three", "w1 w2"], PLAN)
    assert sparse(encoder, long) == oracle.terms(long[:20_000], PLAN, table)
    for unbroken in ("x" * 1_000_000, "中" * 1_000_000, b"\xff" * 1_000_000, "e" + "\u0301" * 1_000_000):
        assert isinstance(encoder.terms(unbroken), list)
    with pytest.raises(TypeError, match="str or bytes"):
        encoder.terms(3)


@pytest.mark.parametrize("grams", [(2, 4), (3, 3), (1, 6), (5, 6)])
def test_words_of_any_length_and_what_stands_behind_them(grams):
    plan = PLAN._replace(grams=grams)
    words = ["".join(chr(ord("a") + (i * i) % 26) for i in range(n)) for n in (1, 2, 3, 5, 6, 28, 29, 30, 31, 32, 60)]
    around = [(before, behind) for before in ("", "X9 ", "é") for behind in ("", " b", "é", "の", "-")]
    texts = [before + word + behind for word in words for before, behind in around]
    table = oracle.observed([normal(each) for each in texts], plan)
    encoder = encoder_of(plan, texts)
    for text in texts:
        assert sparse(encoder, text) == oracle.terms(normal(text), plan, table)
        marked = [f"<{word}>" for word in re.split("[ の-]", normal(text).lower())]
        for piece, kind, _, _ in encoder.terms(text):
            if kind == "gram":
                assert grams[0] <= len(piece) <= grams[1]
                assert piece == "の" or any(piece.lower() in word for word in marked), piece


def test_all_features_of_a_text_are_read_up_to_the_bound():
    encoder = LexicalEncoder(grams=(6, 6))
    text = " ".join(f"w{i}" for i in range(3000))
    encoder.observe([text])
    assert len(encoder.terms(text)) == oracle.FEATURES_MAX == len(oracle.features(text, 0, (6, 6)))


def test_a_grown_encoder_knows_more_and_changes_nothing_else():
    encoder = LexicalEncoder()
    encoder.observe(["turn the light on", "turn it off"])
    before = encoder.terms("turn it on")
    grown = encoder.grown(["sing karaoke tonight"])
    assert [text for text, *_ in encoder.terms("sing karaoke")] == ["e>"]  # as in "the"
    assert {text for text, *_ in grown.terms("sing karaoke")} >= {"sing", "karaoke", "sing karaoke"}
    assert grown.terms("turn it on") == encoder.terms("turn it on") == before
    assert (grown.documents, grown.dim, grown.seed) == (2, 10_000, 0)
    for later in (grown, grown.grown(["more"])):
        with pytest.raises(ValueError, match="grown"):
            later.observe(["more"])


def test_observing_in_parts_is_observing_at_once():
    one, two = LexicalEncoder(), LexicalEncoder()
    one.observe(TEXTS)
    for text in TEXTS:
        two.observe([text])
    for text in TEXTS:
        assert one.terms(text) == two.terms(text)
    assert one.documents == two.documents == len(TEXTS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dim": 63}, "64"),
        ({"dim": 1 << 24}, "dim"),
        ({"seed": -1}, "seed"),
        ({"seed": 1 << 64}, "seed"),
        ({"grams": (0, 3)}, "grams"),
        ({"grams": (3, 2)}, "grams"),
        ({"grams": (2, 7)}, "grams"),
        ({"kinds": (1, 1, 1)}, "kinds"),
        ({"kinds": (1, 1, 1, 17)}, "kinds"),
        ({"kinds": (1, 1, 1, -1)}, "kinds"),
        ({"kinds": (1, 1, 1, math.nan)}, "kinds"),
        ({"idf_power": 0.3}, "idf_power"),
        ({"idf_power": 1.25}, "idf_power"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises((ValueError, ShapeError), match=message):
        LexicalEncoder(**wrong)


def test_one_text_is_not_many():
    for method in (LexicalEncoder().observe, LexicalEncoder().grown):
        with pytest.raises(TypeError, match="list"):
            method("one text")
    assert KINDS == ("word", "pair", "skip", "gram")
