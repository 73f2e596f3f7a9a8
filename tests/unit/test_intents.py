"""A router of intents: what it learns, what it refuses, and what it is on disk."""

from __future__ import annotations

import struct
import threading
from pathlib import Path
from typing import Any

import pytest
from intent_texts import OUTSIDE, examples, split

from sophia.errors import ConfigError, InputError, StoreCorrupt, StoreVersionError
from sophia.organs.intents import Intents, Route


@pytest.fixture(scope="module")
def router() -> Intents:
    return Intents.fit(*split()[0], out_of_scope=OUTSIDE[::2])


def share_right(router: Intents, texts: list[str], labels: list[str]) -> float:
    return sum(router.predict(text).route == label for text, label in zip(texts, labels, strict=True)) / len(texts)


def test_it_routes_what_it_knows_and_nothing_else(router: Intents) -> None:
    assert share_right(router, *split()[1]) > 0.9
    turned_away = [router.predict(text) for text in OUTSIDE[1::2]]
    assert all(one.route is None and one.reason in ("low-confidence", "out-of-scope") for one in turned_away)
    assert router.report["accuracy"] > 0.9
    assert router.report["chosen"]["out_of_scope"] is not None


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_the_number_of_threads_changes_nothing(workers: int) -> None:
    one = Intents.fit(*split()[0], workers=workers)
    other = Intents.fit(*split()[0], workers=3)
    assert one.version == other.version
    assert one.readout.dump() == other.readout.dump()
    assert one.report == other.report


def test_another_seed_is_another_router_of_the_same_kind(router: Intents) -> None:
    other = Intents.fit(*split()[0], seed=9, out_of_scope=OUTSIDE[::2])
    assert other.version != router.version
    assert share_right(other, *split()[1]) > 0.9


def test_every_simd_level_gives_the_same_router(simd: str, router: Intents) -> None:
    assert Intents.fit(*split()[0], out_of_scope=OUTSIDE[::2]).readout.dump() == router.readout.dump()


def test_a_given_validation_set_is_what_is_measured() -> None:
    train, test = split()
    router = Intents.fit(*train, validation=test)
    assert router.report["held_out"] == len(test[0])
    right = sum((p := router.predict(text)).route == label or (p.route is None and p.runner_up == label)
                for text, label in zip(*test, strict=True))  # fmt: skip
    assert router.report["accuracy"] == pytest.approx(right / len(test[0]), abs=1e-4)


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.5])
def test_the_wanted_loss_is_kept_on_the_held_out_examples(loss: float) -> None:
    router = Intents.fit(*split()[0], validation=split()[1], in_scope_loss=loss)
    assert router.report["chosen"]["in_scope_loss"] <= loss + 1e-4
    turned_away = sum(router.predict(text).route is None for text in split()[1][0])
    assert turned_away <= (loss + 0.1) * len(split()[1][0])


def test_confidence_says_what_reason_says(router: Intents) -> None:
    for text in examples()[0] + OUTSIDE:
        route, confidence, runner_up, reason = router.predict(text)
        assert 0.0 <= confidence <= 1.0
        assert (reason == "route") == (route is not None)
        assert route != runner_up
        if route is not None:
            assert confidence >= router.threshold
        if reason == "low-confidence":
            assert router.threshold / 2 <= confidence < router.threshold


def test_a_route_has_its_own_threshold() -> None:
    """The meaning of thresholds: one for all, and a route's own wins over it, in both directions."""
    texts, labels = split()[0]
    router = Intents.fit(texts, labels, thresholds={"light": 1.0, "time": 0.0})
    assert all(router.predict(text).route != "light" for text in texts)
    assert router.predict("switch on the ceiling lamp").runner_up == "light"
    vague = "over there today"
    assert router.predict(vague).route == "time"
    strict = router.with_route("time", threshold=1.0)
    assert strict.predict(vague).route is None
    assert strict.predict(vague).runner_up == "time"
    assert router.predict(vague).route == "time", "the old one stays as it was"


@pytest.mark.parametrize(
    "text", ["", " ", "\t\n", "!?", "\x00", "\ud800", "a\ud83d", "a" + "\u0301" * 100, "\u200d" * 9]
)
def test_what_says_nothing_is_out_of_scope(router: Intents, text: str) -> None:
    assert router.predict(text).route is None
    assert router.predict(text).reason == "out-of-scope"
    assert router.predict(text).confidence >= 0.0
    router.explain(text)


def test_any_length_and_script_is_judged(router: Intents) -> None:
    for text in (
        "play " * 200_000,
        "\u00e9\u4e2d\u6587" * 1000,
        "switch on the light\u00a0now",
        "\uff34\uff29\uff2d\uff25",
    ):
        assert router.predict(text).reason in ("route", "low-confidence", "out-of-scope")
    assert router.predict("SWITCH  ON the Ceiling Lamp!").route == "light"


def test_an_explanation_adds_up_exactly(router: Intents) -> None:
    for text in examples()[0][::5] + OUTSIDE:
        told = router.explain(text)
        assert told is not None
        assert told.bias + sum(part for _, _, part in told.parts) == told.score
        assert router.calibration.confidence(told.score) == pytest.approx(told.prediction.confidence, abs=1e-12)
        assert [abs(part) for _, _, part in told.parts] == sorted((abs(p) for _, _, p in told.parts), reverse=True)
    told = router.explain("please light all lights")
    assert told is not None
    assert any("light" in piece for piece, _, part in told.parts[:5] if part > 0)
    assert "light" in str(told)


def test_a_new_route_works_at_once_and_the_others_stay(router: Intents) -> None:
    more = ["order a pizza", "i want a pizza for dinner", "get us two pizzas", "bring me pizza please", "pizza now"]
    grown = router.add_route("pizza", more, reflex_safe=True)
    assert grown.predict("order two pizzas please").route == "pizza"
    assert share_right(grown, *split()[1]) >= share_right(router, *split()[1]) - 0.03
    assert [route.name for route in grown.routes] == [*(route.name for route in router.routes), "pizza"]
    assert grown.routes[-1] == Route("pizza", None, True, tuple(more))
    assert router.predict("order two pizzas please").route != "pizza"
    assert grown.version != router.version
    back = grown.remove_route("pizza")
    assert back.readout.dump() != grown.readout.dump()
    assert [route.name for route in back.routes] == [route.name for route in router.routes]
    assert all(back.predict(text).route != "pizza" for text in more)
    assert share_right(back, *split()[1]) >= share_right(router, *split()[1]) - 0.03


def test_a_route_in_the_middle_can_go(router: Intents) -> None:
    less = router.remove_route("money")
    for text in examples()[0]:
        now, before = less.predict(text), router.predict(text)
        assert "money" not in (now.route, now.runner_up)
        if before.route not in (None, "money"):
            assert (now.route, now.confidence) == (before.route, before.confidence)


def test_corrections_are_learned(router: Intents) -> None:
    text = "light up the stage with a tune"
    taught = router.partial_fit([text], ["music"])
    told = taught.predict(text)
    assert "music" in (told.route, told.runner_up)
    assert told.route == "music" or router.predict(text).route != "music"
    assert share_right(taught, *split()[1]) >= share_right(router, *split()[1]) - 0.05
    assert any(text in route.utterances for route in taught.routes if route.name == "music")


def test_what_is_kept_is_bounded(router: Intents) -> None:
    grown = router
    for i in range(4):
        grown = grown.partial_fit([f"play song number {i * 20 + k} " + "la" * 2000 for k in range(20)], ["music"] * 20)
    assert all(len(route.utterances) <= 16 for route in grown.routes)
    assert all(len(text) <= 1000 for route in grown.routes for text in route.utterances)


def test_a_saved_router_is_the_same(router: Intents, tmp_path: Path) -> None:
    router = router.with_route("light", threshold=0.25, reflex_safe=True)
    router.save(tmp_path / "model")
    for place in (tmp_path / "model", tmp_path / "model" / "intents.sophia"):
        loaded = Intents.load(place)
        assert loaded.version == router.version
        assert loaded.routes == router.routes
        assert loaded.report == router.report
        assert [loaded.predict(text) for text in OUTSIDE] == [router.predict(text) for text in OUTSIDE]
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["intents.sophia"]


def test_a_router_that_is_written_over_still_works(router: Intents, tmp_path: Path) -> None:
    """The file is replaced, never changed: whoever has it mapped keeps what was there."""
    router.save(tmp_path)
    loaded = Intents.load(tmp_path)
    before = [loaded.predict(text) for text in examples()[0]]
    router.add_route("pizza", ["a pizza", "two pizzas"]).save(tmp_path)
    assert [loaded.predict(text) for text in examples()[0]] == before
    assert Intents.load(tmp_path).routes[-1].name == "pizza"


def test_damage_anywhere_is_found(router: Intents, tmp_path: Path) -> None:
    router.save(tmp_path)
    file = tmp_path / "intents.sophia"
    whole = file.read_bytes()
    places = [*range(64), *range(64, len(whole), len(whole) // 60), len(whole) - 1]
    begin = struct.unpack_from("<8sIIQ", whole)[3]
    described = 48 + struct.unpack_from("<8sII", whole)[2]
    for at in places:
        if described <= at < begin:  # padding says nothing
            continue
        broken = bytearray(whole)
        broken[at] ^= 0x40
        file.write_bytes(broken)
        with pytest.raises(ConfigError if at < 8 else (StoreCorrupt, StoreVersionError), match=r"intents\.sophia"):
            Intents.load(tmp_path)
    for size in (0, 7, 47, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(ConfigError if size < 8 else StoreCorrupt, match=r"intents\.sophia"):
            Intents.load(tmp_path)
    file.write_bytes(whole[:8] + (99).to_bytes(4, "little") + whole[12:])
    with pytest.raises(StoreVersionError, match="format 99"):
        Intents.load(tmp_path)


def test_a_file_that_is_not_there_or_cannot_be(router: Intents, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sophia fit"):
        Intents.load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot be written"):
        router.save(tmp_path / "file" / "model")
    for name in ("file", "data.csv", "folder"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        path = tmp_path / name / "intents.sophia" if name == "folder" else tmp_path / name
        path.write_text("text,label\n")
        if name != "file":  # a name without a suffix means a folder
            with pytest.raises(ConfigError, match="would replace something else"):
                router.save(tmp_path / name)
            with pytest.raises(ConfigError, match="is not a model of sophia"):
                Intents.load(tmp_path / name)
        assert path.read_text() == "text,label\n"
    (tmp_path / "empty.sophia").touch()
    router.save(tmp_path / "empty.sophia")
    router.save(tmp_path / "empty.sophia")
    assert Intents.load(tmp_path / "empty.sophia").version == router.version


TEXTS, LABELS = examples()
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"texts": TEXTS[:3]}, "3 texts and"),
    ({"labels": ["same"] * len(TEXTS)}, "at least two labels"),
    ({"texts": [*TEXTS[:-1], "  "]}, "leave empty texts out"),
    ({"texts": [], "labels": []}, "no examples"),
    ({"texts": "abc"}, "put it into a list"),
    ({"labels": "abc"}, "list of str"),
    ({"texts": [*TEXTS[:-1], None]}, "must be a str"),
    ({"labels": [*LABELS[:-1], 7]}, "must be a str"),
    ({"labels": [*LABELS[:-1], " "]}, "must have a letter"),
    ({"labels": [*LABELS[:-1], "\ud800"]}, "surrogate"),
    ({"texts": [*TEXTS[:-1], "a" + "\u0301" * 99]}, "combining marks"),
    ({"thresholds": {"light": float("nan")}}, "0 to 1"),
    ({"thresholds": {"light": 1.5}}, "0 to 1"),
    ({"thresholds": {"lite": 0.5}}, "'lite'"),
    ({"reflex_safe": ["lite"]}, "'lite'"),
    ({"in_scope_loss": -0.1}, "in_scope_loss"),
    ({"in_scope_loss": float("nan")}, "in_scope_loss"),
    ({"in_scope_loss": True}, "in_scope_loss"),
    ({"seeds": 0}, "seeds is 0"),
    ({"validation": (["a b"], ["unheard"])}, "'unheard'"),
    ({"validation": (["a b"], [])}, "validation has 1 texts and 0 labels"),
    ({"out_of_scope": "abc"}, "out_of_scope"),
    ({"out_of_scope": [""]}, r"out_of_scope\[0\]"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG, ids=lambda value: str(value)[:40])
def test_what_cannot_be_used_is_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        Intents.fit(**{"texts": TEXTS, "labels": LABELS, **wrong})


def test_wrong_words_about_routes_are_named(router: Intents) -> None:
    with pytest.raises(KeyError, match="nothing"):
        router.remove_route("nothing")
    with pytest.raises(ValueError, match="0 to 1"):
        router.add_route("pizza", ["a pizza"], threshold=float("nan"))
    with pytest.raises(ValueError, match="no examples"):
        router.add_route("pizza", [])
    with pytest.raises(TypeError, match="not bytes"):
        router.predict(b"x")  # type: ignore[arg-type]


def test_threads_share_a_router(router: Intents) -> None:
    texts = examples()[0] * 5
    wanted = [router.predict(text) for text in texts]
    found: list[bool] = []
    threads = [
        threading.Thread(target=lambda: found.append([router.predict(text) for text in texts] == wanted))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 6


def test_few_examples_are_enough_to_refuse() -> None:
    """Three routes of four utterances: most of what is unlike all of them is turned away."""
    router = Intents.fit(
        [
            *("turn on the light", "lights please", "lamp on now", "it is too dark here"),
            *("what time is it", "tell me the time", "how late is it", "give me the hour"),
            *("play a song", "some music please", "start the radio", "let me hear jazz"),
        ],
        ["light"] * 4 + ["time"] * 4 + ["music"] * 4,
    )
    assert router.predict("turn on the lamp").route == "light"
    assert router.predict("play some jazz").route == "music"
    assert sum(router.predict(text).route is None for text in OUTSIDE) >= 7
    alone = Intents.fit(["light", "time"], ["light", "time"])  # nothing can be held out
    assert alone.report["accuracy"] is None
    assert alone.predict("light").route == "light"


@pytest.mark.parametrize("seeds", [0, -1, 1_001, 2**70])
def test_trainings_are_bounded(seeds: int) -> None:
    with pytest.raises(ValueError, match=r"from 1 to 1000 trainings"):
        Intents.fit(["one", "two"], ["a", "b"], seeds=seeds)


def test_trainings_that_memory_has_no_room_for() -> None:
    texts = [f"text {i}" for i in range(200)]
    with pytest.raises(ValueError, match=r"GiB.*give fewer seeds"):
        Intents.fit(texts, texts, seeds=1_000)


def test_a_few_texts_that_are_out_of_scope_do_not_switch_doubt_off() -> None:
    texts = ["turn on the light", "lights please", "light it up", "switch the lamp on", "what time is it",
             "tell me the time", "how late is it", "which hour is it"]  # fmt: skip
    labels = ["light"] * 4 + ["time"] * 4
    router = Intents.fit(texts, labels, out_of_scope=["sell my car", "book a flight"])
    assert router.threshold >= 0.5
    assert router.report["chosen"]["threshold"] == router.threshold
    assert router.predict("zebra quagga").route is None
