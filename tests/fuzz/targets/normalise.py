"""The normal form: as the oracle has it, and its own normal form."""

from __future__ import annotations

from oracle import normaliser as oracle

from sophia._core.normaliser import normalise


def seeds() -> list[bytes]:
    texts = (
        "What is 5 mW?",
        "  PLEASE stop\r\n\r\n NOW!! ",
        "grep -A 3 'x' ./file.",
        "I\u2019m in the US (really).",
        "\u0130stanbul \u01c5 caf\u00e9 e\u0301 \u3000 \u2028x",
        "\U0001f600 iPhone 12! ok?",
        "\u2160 \u00b2 \uff21\uff22",
    )
    return [text.encode() for text in texts]


def check(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    form = normalise(text)
    assert form == oracle.normalise(text)
    assert normalise(form) == form
