"""The shape of semantic-router 0.x."""

from __future__ import annotations

import asyncio
import threading

import pytest
from intent_texts import OUTSIDE, split

from sophia.compat.semantic_router import Route, RouteLayer, SemanticRouter
from sophia.organs.intents import Intents


def routes() -> list[Route]:
    members: dict[str, list[str]] = {}
    for text, label in zip(*split()[0], strict=True):
        members.setdefault(label, []).append(text)
    return [Route(name=name, utterances=utterances) for name, utterances in members.items()]


def test_a_call_gives_a_name_or_none() -> None:
    router = RouteLayer(routes=routes())
    assert router("please switch on the lamp").name == "light"
    choice = router("gravel or sand under pavers")
    assert choice.name is None
    assert choice.reason in ("low-confidence", "out-of-scope")
    assert 0.0 <= choice.similarity_score < 1.0
    assert router.evaluate(*split()[1]) > 0.85
    assert router.evaluate(OUTSIDE, [None] * len(OUTSIDE)) > 0.6
    assert asyncio.run(router.acall("please switch on the lamp")).name == "light"


def test_what_is_added_works_at_once_and_what_is_deleted_no_more() -> None:
    router = SemanticRouter(routes=routes())
    assert router("order a pizza").name is None
    router.add(Route(name="pizza", utterances=["order a pizza", "two pizzas please", "bring me a pizza"]))
    assert router("order two pizzas").name == "pizza"
    assert router.list_route_names()[-1] == "pizza"
    router.delete("pizza")
    assert router("order two pizzas").name != "pizza"
    with pytest.raises(KeyError):
        router.delete("pizza")


def test_thresholds_are_the_routes_own() -> None:
    given = routes()
    given[0].score_threshold = 1.0
    router = SemanticRouter(routes=given)
    assert router.get_thresholds()[given[0].name] == 1.0
    assert all(router(text).name is None for text in given[0].utterances)


def test_more_can_be_learned_of_a_route() -> None:
    router = SemanticRouter(routes=routes())
    router.fit(X=["brighten this place"], y=["light"])
    assert "light" in (router("brighten this place").name, router("brighten this place").runner_up)
    with pytest.raises(ValueError, match="add it first"):
        router.fit(["x"], ["unheard"])


def test_one_route_is_no_router() -> None:
    router = SemanticRouter(routes=routes()[:1])
    with pytest.raises(ValueError, match="add two or more"):
        router("anything")
    router.add(routes()[1])
    assert router("what time is it in Oslo").name == "time"
    with pytest.raises(ValueError, match="at least one"):
        Route(name="empty", utterances=[])
    with pytest.raises(ValueError, match="at least one"):
        Route(name="one", utterances="a str")


def test_an_encoder_is_not_used_and_that_is_said() -> None:
    with pytest.warns(UserWarning, match="encoder, top_k: not used"):
        SemanticRouter(encoder=object(), routes=routes(), top_k=5)


def test_many_first_calls_train_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    fit = Intents.fit
    monkeypatch.setattr(Intents, "fit", lambda *a, **k: trained.append(1) or fit(*a, **k))
    router = SemanticRouter(routes=routes())
    start = threading.Barrier(8)
    names: list[str | None] = []

    def call() -> None:
        start.wait()
        names.append(router("please switch on the lamp").name)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["light"] * 8
    assert len(trained) == 1
