"""Why an input was routed as it was, in plain words."""

from __future__ import annotations

from math import floor
from typing import NamedTuple

from sophia.config import Settings
from sophia.names import ending
from sophia.organs.danger import SEVERITIES
from sophia.stream.collect import Example
from sophia.stream.hindsight import Difference, Hindsight

__all__ = ["FAULTS", "REASONS", "ROUTE_WORDS", "Reason", "explain", "rule", "share"]


class Reason(NamedTuple):
    """One value of `why`: its name on the page, and what it means."""

    title: str
    meaning: str


ROUTE_WORDS = {
    "reflex": Reason("Reflex", "handled at once: answered from memory, or a log line of a well-known pattern"),
    "cortical": Reason("Cortical", "a known kind of input: normal, cheap handling"),
    "deep_thought": Reason("Deep thought", "worth the expensive step: a paid model, or a person"),
}

REASONS = {
    "repeat": Reason(
        "Exact repeat",
        "The same text was answered before, for the same owner (scope) and in the same conversation (context). The "
        "stored answer is given again. Similar is never enough: one other word, and it is no repeat.",
    ),
    "known-pattern": Reason(
        "Known pattern",
        "Inputs of the same pattern (the same words, with numbers, addresses and other changing parts left out) came "
        "before, and enough of them were accepted. A word that is new in its place takes confidence away, however "
        "often the pattern came.",
    ),
    "route": Reason(
        "Known intent",
        "The router of intents is sure what the text is about. New texts of a known intent get normal handling; only "
        "what is familiar, of an intent that is marked reflex-safe, is handled at once.",
    ),
    "novel": Reason(
        "New",
        "Nothing of this pattern was accepted before from the same owner, the patterns of its session had never come "
        "in this order, or the numbers of its sensor hardly ever so: there is no experience to rely on. Two "
        "texts that differ in one word count as two patterns until more of them show that this word changes; then the "
        "patterns are merged, and this page shows them as one. So the first few inputs of a kind can each be new.",
    ),
    "danger": Reason(
        "Danger rule",
        "A danger rule found something in the text. That is decided first, so how well the input's pattern is known is "
        "not looked at: its record has novelty 1 and confidence 0, whatever came before. Such an input is never "
        "answered from memory and never makes its kind more trusted.",
    ),
    "low-confidence": Reason(
        "Not sure enough",
        "The pattern was seen before, but too seldom, or this text differs too much from it; or the router of intents "
        "is not sure enough of the nearest one.",
    ),
    "out-of-scope": Reason(
        "Out of scope",
        "The router of intents knows almost nothing of this text, or is far from sure of any intent.",
    ),
    "complex": Reason(
        "Known but complex",
        "The pattern or the intent is known, but the text is long or has many lines: it gets one level more thought.",
    ),
    "too-long": Reason(
        "Too long",
        "The text is longer than the bound, so it was not compared with anything.",
    ),
    "empty": Reason("Empty", "There is no text to decide on."),
    "invalid": Reason("Unreadable", "The line could not be read as an input. It is counted and never guessed at."),
    "gestating": Reason(
        "Before birth",
        "It is known well enough to be handled at once, but the brain was not born yet: until then it observes what is "
        "usual in this stream, and what is familiar gets normal handling.",
    ),
    "error": Reason(
        "A fault",
        "It would have been handled at once, but the store did not answer: what cannot be kept is not answered from "
        "memory, and gets normal handling.",
    ),
}
"""Every `why` that a decision can have."""

FAULTS = {
    "too-long-line": Reason("line too long", "longer than 16 MB: the rest was dropped; split it before"),
    "not-json": Reason("not JSON", "one JSON object a line is expected; --format lines reads it as plain text"),
    "not-a-number": Reason("not a number", "a column of a sensor's numbers has something else, so the row is a gap"),
    "not-csv": Reason("not CSV", "the row does not fit its header, or a quote is not closed"),
    "not-an-object": Reason("not an object", "JSON, but no object with a text in it"),
    "no-text": Reason("no text", "an object without one of the keys that hold the text"),
    "not-a-string": Reason("not a string", "the text, or another field that is read, is not a string"),
    "not-utf8": Reason("not UTF-8", "broken bytes, shown as \ufffd; convert the input to UTF-8"),
    "nul": Reason("NUL", "a character U+0000 in a field: binary data, or a damaged file"),
    "empty": Reason("empty", "there is no text but blanks"),
    "invalid": Reason("unusable", "signs stacked on one letter without end, or text that is no text"),
    "too-long": Reason("too long", "more characters than --max-chars allows: not compared with anything"),
}
"""Every reason for which a line is unreadable, and what to do about it."""


def explain(
    example: Example, settings: Settings, descriptions: dict[str, str], hindsight: Hindsight | None = None
) -> str:
    """One to three sentences with the evidence of this decision. `descriptions` has those of the danger rules."""
    hindsight = hindsight or Hindsight()
    owner = _owner(example)
    reflex, cortical = settings.reflex_confidence, settings.cortical_confidence
    # With a router, confidence is that of the intent; how well the pattern is known is what is not new.
    sure = example.confidence if example.model is None else 1.0 - example.novelty
    nearest = example.intent or example.runner_up
    intent = f"intent \u201c{nearest[:60]}\u201d (confidence {share(example.confidence)})" if nearest else ""
    if example.why == "repeat":
        return (
            f"The same text was answered before in {owner} (decision {example.match}); that answer was given again. "
            "So it is handled at once: reflex."
        )
    if example.why == "danger" and example.rule is None:
        return (
            f"No danger rule hit it, but it sounds like an attack: danger score {share(example.danger_score)}, and "
            f"from {share(settings.danger_score)} on a message is thought about. It is allowed. So: deep thought."
        )
    if example.why == "danger":
        what = descriptions.get(example.rule or "", "")
        seen = f"Behind a detour ({example.via}) stands" if example.via else "The marked part is"
        hit = f"{seen} what rule {example.rule} looks for{f' ({_lower(what)})' if what else ''}. "
        came = (
            f" Its pattern had come {_times(example.earlier)} before; that is not looked at where a rule hits."
            if example.earlier
            else ""
        )
        if example.verdict == "veto":
            return (
                hit + f"Its verdict is veto: the program that called must refuse it. Its route is deep thought.{came}"
            )
        kind = "a log line tells of it" if example.plain else "the rule is one that reports and does not refuse"
        if example.severity < SEVERITIES["medium"]:
            order = (
                f"{kind}. Its severity is low: it is counted, so that somebody sees how many there are, and needs no "
                "look by itself. Whatever hits a rule goes to deep thought"
            )
        else:
            order = f"{kind}, so somebody should look at it. So: deep thought"
        return hit + f"Its verdict is flag: {order}.{came}"
    if example.why == "novel" and example.session_novel is not None:
        order = ", ".join(map(str, example.session_novel))
        return (
            f"In session \u201c{(example.session or '')[:60]}\u201d of {owner} its pattern completed an order that had "
            f"never been seen (patterns {order}). With nothing to go by, it goes to deep thought."
        )
    if example.why == "novel" and example.anomaly is not None and example.novelty == example.anomaly > 0.0:
        return (
            f"The latest numbers of \u201c{(example.channel or '')[:60]}\u201d of the sensor "
            f"\u201c{ending(example.sensor or '', 60)}\u201d of {owner} have hardly ever followed each other (score "
            f"{example.anomaly:.2f}). With nothing to go by, it goes to deep thought."
        )
    if example.why == "novel":
        return _new(example, hindsight)
    if example.why == "route":
        if example.route == "reflex":
            return (
                f"It is about {intent}, which may be handled at once, and its pattern is familiar in {owner}: reflex."
            )
        return f"It is about {intent}. So it gets normal handling: {ROUTE_WORDS[example.route].title.lower()}."
    if example.why == "out-of-scope" or (example.why == "low-confidence" and example.model is not None):
        near = f"Nearest is {intent}, and that is not sure enough" if intent else "It has no word or sign to go by"
        return f"{near}. The router of intents does not guess: deep thought."
    known = _known(example, hindsight, sure)
    if example.why == "low-confidence":
        return f"{known}. {share(cortical)} is needed to call it known. In doubt: deep thought."
    if example.why == "error":
        return f"{known}. That would be enough for reflex, but the store did not answer. So: cortical."
    if example.why == "gestating":
        return f"{known}. That would be enough for reflex, but the brain was not born yet. So: cortical."
    if example.why == "known-pattern":
        if example.withheld:
            return (
                f"{known}. There is a stored answer for this very text, but answers are switched off, since too many "
                f"audited ones were wrong. So: {ROUTE_WORDS[example.route].title.lower()}."
            )
        if example.route == "reflex":
            return f"{known}; a log line needs {share(reflex)} to be handled at once. So: reflex."
        if example.plain and sure < reflex:
            return (
                f"{known}. That makes it known (from {share(cortical)}), but not yet to be handled at once "
                f"(from {share(reflex)}). So: cortical."
            )
        return f"{known}. But this very text has no stored answer to give, so it gets normal handling: cortical."
    if example.why == "complex":
        return (
            f"{known if example.intent is None else f'It is about {intent}'}. But its complexity is "
            f"{share(example.complexity)}, over the bound of {share(settings.complex_limit)}: one level more, "
            f"{ROUTE_WORDS[example.route].title.lower()}."
        )
    if example.why == "too-long":
        return f"It has more than {settings.max_chars:,} characters. Not compared with anything: deep thought."
    if example.why == "empty":
        return "There is nothing to decide on; only deep thought may say what an empty input means."
    if example.why == "invalid":
        fault = FAULTS.get(example.invalid or "")
        reason = fault.title if fault else example.invalid
        return f"It could not be read ({reason}), and what cannot be read is never trusted: deep thought."
    return f"{example.why}: {ROUTE_WORDS[example.route].meaning}."


def rule(why: str, route: str, settings: Settings) -> str:
    """What holds for every input with this `why` and route, in one sentence with the numbers in force."""
    reflex, cortical = share(settings.reflex_confidence), share(settings.cortical_confidence)
    words = {
        ("danger", "deep_thought"): "a danger rule hit; nothing else was looked at (novelty 1, confidence 0)",
        ("too-long", "deep_thought"): f"over {settings.max_chars:,} characters; nothing else was looked at",
        ("empty", "deep_thought"): "no text",
        ("invalid", "deep_thought"): "could not be read; nothing else was looked at",
        ("repeat", "reflex"): "the same text was answered before: the stored answer is given again",
        ("novel", "deep_thought"): "no earlier input of its pattern was accepted from its owner: confidence 0",
        ("low-confidence", "deep_thought"): f"its pattern was accepted before, but confidence is below {cortical}; or "
        "the router of intents is not sure of the nearest one",
        ("known-pattern", "reflex"): f"a log line with a confidence of {reflex} or more",
        (
            "known-pattern",
            "cortical",
        ): f"confidence {cortical} or more, but below {reflex}, or a message without a stored answer",
        ("route", "reflex"): f"the router is sure of an intent that may be handled at once ({reflex} or more), and the "
        "pattern is familiar",
        ("route", "cortical"): "the router is sure of an intent",
        ("out-of-scope", "deep_thought"): "the router knows too little of the text",
        ("gestating", "cortical"): "would be reflex, but the brain was not born yet",
        ("error", "cortical"): "would be reflex, but the store did not answer",
        ("complex", "cortical"): f"would be reflex, but complexity is {share(settings.complex_limit)} or more",
        ("complex", "deep_thought"): f"would be cortical, but complexity is {share(settings.complex_limit)} or more",
    }
    return words.get((why, route), REASONS[why].title.lower() if why in REASONS else why)


def _owner(example: Example) -> str:
    return f"scope \u201c{example.scope[:40]}\u201d" if example.scope else "the default scope"


def _new(example: Example, hindsight: Hindsight) -> str:
    """Why nothing was known of an input's pattern, and what came of the pattern."""
    owner = _owner(example)
    if hindsight.survivor is not None:
        return (
            f"At that time its words made a pattern of their own (id {example.pattern}), which no accepted input of "
            f"{owner} had. Later ones showed that it is the same as pattern {hindsight.survivor}: the two were told "
            "apart then, were merged since, and are one in the tables here. With nothing to go by, "
            "it went to deep thought."
        )
    if example.earlier:
        return (
            f"Its pattern had come {_times(example.earlier)} before, but was never accepted in {owner}: those hit a "
            "danger rule, belong to another owner, stood under another id then, or were taken back. So there is "
            "nothing to go by: deep thought."
        )
    later = (
        f" The next ones of its kind that had another word were told apart at first ({hindsight.absorbed:,} more "
        f"{'pattern' if hindsight.absorbed == 1 else 'patterns'}) and merged with it later."
        if hindsight.absorbed
        else ""
    )
    return (
        f"No earlier input of {owner} had this pattern. With nothing to go by, it goes to deep thought; what has the "
        f"same words is known from now on.{later}"
    )


def _known(example: Example, hindsight: Hindsight, sure: float) -> str:
    """How often an input's pattern came before, what took confidence away, and what is left of it."""
    owner = _owner(example)
    known = f"Its pattern was seen {_times(example.earlier)} before"
    if example.accepted < min(example.earlier, _BELIEVED):
        known += (
            f", of which only {example.accepted} {'counts' if example.accepted == 1 else 'count'} in {owner} (the "
            "others hit a danger rule, belong to another owner, or stood under another id then)"
        )
    else:
        known += f" and accepted in {owner}"
    if example.closeness >= 1.0:
        same = example.earlier_same if example.accepted_same >= _BELIEVED else example.accepted_same
        if same < example.earlier and abs(sure - same / (same + 1)) < 1e-6:
            known += f", {_times(same)} with these very words"
        return f"{known}: confidence {share(sure)}"
    named = [f"\u201c{word}\u201d" for word in hindsight.words]
    listed = f" ({', '.join(named)})" if named else ""
    if example.earlier_same == 0:
        if len(named) == 1:
            new = f"{named[0]} is new in its place"
        elif named:
            new = f"{', '.join(named[:-1])} and {named[-1]} never stood in these places together"
        else:
            new = _other(hindsight.difference)
    elif example.accepted_same:
        new = f"with these very words{listed} only {_times(example.accepted_same)}"
    else:
        new = f"these very words{listed} were never accepted in {owner}"
    return (
        f"{known}, but {new}. So it is not quite like them (closeness {share(example.closeness)}), which leaves a "
        f"confidence of {share(sure)}"
    )


def _other(difference: Difference | None) -> str:
    """That an input does not have the constant part of those before it, and what differs if that is known."""
    new = "never with this very constant part"
    if difference is None:
        return f"{new}: other words or signs, or more or fewer of them"
    beside = f"{new}: beside the first one here ({difference.place})"
    if difference.writing:
        return f"{beside} its capitals, blanks or signs differ"
    told = [
        f"{', '.join([_quoted(word) for word in words])} {rest}"
        for words, rest in ((difference.more, "stands only here"), (difference.fewer, "only there"))
        if words
    ]
    masked = "it has other, more or fewer numbers, addresses or the like, or signs beside them"
    return f"{beside} {' and '.join(told) or masked}"


def _quoted(word: str) -> str:
    return f"\u201c{word[:60]}\u201d"


# Earlier inputs accepted in a scope from which on all earlier inputs of a pattern count.
_BELIEVED = 3


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count:,} times"


def share(value: float) -> str:
    """A share with two digits; one below 1 is never shown as 1.

    >>> share(0.75), share(0.9957), share(0.99999), share(1.0)
    ('0.75', '0.995', '0.999', '1.00')
    """
    return f"{floor(1000 * value) / 1000:.3f}" if 0.995 <= value < 1 else f"{value:.2f}"


def _lower(sentence: str) -> str:
    """A description inside a sentence; an abbreviation keeps its capitals."""
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]
