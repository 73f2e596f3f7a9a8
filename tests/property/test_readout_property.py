from __future__ import annotations

from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import readout as oracle

from sophia._core.lexical import KINDS, LexicalEncoder
from sophia._core.normaliser import normalise, stream_safe
from sophia._core.readout import Readout
from sophia._core.training import Examples, Weights

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SCRIPTS = "abcXYZ09 _-.,'é ßЖع中国のカไทย👍\u200d\u3000·ªµ\0\ud800"
texts = st.one_of(st.text(st.sampled_from(SCRIPTS), max_size=60), st.text(max_size=40), st.binary(max_size=40))
corpora = st.lists(texts, max_size=8)
plans = st.builds(
    oracle.Plan,
    dim=st.one_of(st.sampled_from([64, 511, 10_000]), st.integers(64, 5000)),
    seed=st.integers(0, 2**64 - 1),
    grams=st.integers(1, 6).flatmap(lambda least: st.tuples(st.just(least), st.integers(least, 6))),
    kinds=st.tuples(*[st.integers(0, 4096)] * 4),
    quarters=st.integers(0, 4),
)


def read(text: str | bytes) -> str | bytes:
    """What an encoder reads of a text: another script in its normal form, where it has one."""
    if isinstance(text, bytes) or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return normalise(text) if stream_safe(text) else text


def encoder_of(plan: oracle.Plan, observed: list[str | bytes]) -> LexicalEncoder:
    encoder = LexicalEncoder(
        plan.dim,
        seed=plan.seed,
        grams=plan.grams,
        kinds=[weight / 256 for weight in plan.kinds],
        idf_power=plan.quarters / 4,
    )
    encoder.observe(observed)
    return encoder


@given(corpus=corpora, text=texts, plan=plans)
@settings(SETTINGS, max_examples=200)
def test_terms(corpus, text, plan):
    encoder = encoder_of(plan, corpus)
    for each in [text, *corpus[:2]]:
        found = encoder.terms(each)
        table = oracle.observed([read(one) for one in corpus], plan)
        expected = oracle.terms(read(each), plan, table)
        assert [(position, value * oracle.UNIT) for _, _, position, value in found] == expected
        assert all(kind in KINDS and isinstance(shown, str) for shown, kind, _, _ in found)
        assert sum(value * value for *_, value in found) < 1.1


@given(corpus=corpora, text=texts, classes=st.integers(1, 40), data=st.data())
@SETTINGS
def test_a_score_is_the_sum_of_its_explanation(simd, corpus, text, classes, data):
    encoder = encoder_of(oracle.Plan(256, 1, (1, 3), (256, 300, 200, 100), 2), corpus)
    labels = data.draw(st.lists(st.integers(0, classes - 1), min_size=len(corpus), max_size=len(corpus)))
    weights = Weights(encoder, classes)
    weights.train(Examples(encoder, corpus, labels), epochs=3)
    readout = Readout([weights])
    scores = readout.scores([text])[0]
    for number in (0, classes - 1):
        parts, bias = readout.explain(text, number)
        assert sum((Fraction(part) for *_, part in parts), Fraction(bias)) == Fraction(scores[number])
    best, score, second, runner_up, known, seen = readout.best_of(text)
    if seen:
        assert score == max(scores) == scores[best]
        assert runner_up == scores[second]
        assert [best] == [c for c in range(classes) if scores[c] == score][:1]
    assert known <= seen
    assert readout.best_of_many([text]) == [(best, score, second, runner_up, known, seen)]


@given(
    corpus=st.lists(texts, min_size=1, max_size=6),
    classes=st.integers(1, 40),
    plan=plans.map(lambda plan: plan._replace(dim=min(plan.dim, 600))),
    epochs=st.integers(0, 3),
    seed=st.integers(-(2**63), 2**64),
    dropout=st.floats(0, 0.99),
    smoothing=st.floats(0, 0.99),
    rate=st.floats(0.001, 100),
    some=st.booleans(),
)
@SETTINGS
def test_training(simd, corpus, classes, plan, epochs, seed, dropout, smoothing, rate, some):
    encoder = encoder_of(plan, corpus)
    table = oracle.observed([read(text) for text in corpus], plan)
    labels = [len(text) % classes for text in corpus]
    chosen = {"epochs": epochs, "seed": seed, "dropout": dropout, "smoothing": smoothing, "rate": rate}
    only = set(labels[:1]) if some else None
    weights, expected = Weights(encoder, classes), oracle.Trainer(plan.dim, classes)
    weights.train(Examples(encoder, corpus, labels), only=only, **chosen)
    expected.train([oracle.terms(read(text), plan, table) for text in corpus], labels, only=only, **chosen)
    cells, scales = oracle.quantised(expected.means)
    readout = Readout([weights])
    for text in corpus:
        scores = [Fraction(score) for score in readout.scores([text])[0]]
        assert scores == oracle.score(oracle.terms(read(text), plan, table), cells, scales)


@given(corpus=st.lists(texts, max_size=5), more=st.integers(0, 40), new=corpora)
@SETTINGS
def test_dump_load_and_going_on(corpus, more, new):
    encoder = encoder_of(oracle.Plan(300, 7, (2, 4), (358, 415, 320, 202), 1), corpus)
    weights = Weights(encoder, 3)
    weights.train(Examples(encoder, corpus, [i % 3 for i in range(len(corpus))]), epochs=2)
    readout = Readout([weights])
    again = Readout.load(readout.dump())
    assert again.dump() == readout.dump()
    assert Readout([again.weights()]).dump() == readout.dump()
    grown = again.encoder.grown(new)
    wider = Readout([again.weights(grown, classes=3 + more)])
    assert [row[:3] for row in wider.scores(corpus)] == readout.scores(corpus) == again.scores(corpus)
    for text in corpus:
        assert grown.terms(text) == encoder.terms(text)
