"""The actions of `sophia store` and `sophia config`, as arguments; what they do is in modules of these names."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sophia.cli.flags import file, positive, share, size, span, text

if TYPE_CHECKING:
    from typing import Any

__all__ = ["add_config", "add_store"]

_EXITS = (
    "Exit codes: 0 sound and done, 1 something is damaged, 2 usage (a target that may not be overwritten), 3 there is "
    "no such store or backup, 4 the store is open for writing elsewhere or of a newer version, 5 the disk is full or "
    "refuses."
)


def add_store(commands: Any) -> None:
    """Adds `store` and its actions to the parser of `sophia`."""
    same: dict[str, Any] = {"epilog": _EXITS, "allow_abbrev": False}
    store = commands.add_parser(
        "store", help="look at a store, repair, compact, consolidate, back up, restore or export it", **same
    )
    store.set_defaults(store_parser=store)
    actions = store.add_subparsers(dest="action", metavar="ACTION")

    def action(name: str, help: str, description: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = actions.add_parser(name, help=help, description=description, **same)
        parser.add_argument("--store", type=file, default=".sophia", metavar="DIR", help="the store (default .sophia)")
        return parser

    def for_programs(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")

    for_programs(action("info", "what it holds", "Shows what the store holds. Works while a run is writing to it."))
    for_programs(
        action(
            "check",
            "read all of it and say what is damaged",
            "Reads every row and compares every checksum; changes nothing. Works while a run is writing to it.",
        )
    )
    repair = action(
        "repair",
        "save what is sound of a damaged one",
        "Writes every sound row of a damaged store into a new file and sets the damaged one aside inside the store, in "
        "damaged-DATE. Nothing is guessed: what fails its checksum is dropped and counted.",
    )
    repair.add_argument("--dry-run", action="store_true", help="only say what would be saved and lost (exit code 1)")
    for_programs(repair)
    for_programs(
        action(
            "compact",
            "make it as small as it can be",
            "Drops expired answers and rewrites the store without free pages; needs as much free room as it is large.",
        )
    )
    consolidate = action(
        "consolidate",
        "bring its memories to where they are read fastest, and let go of some",
        "Brings memories into mapped segments and into the long-term index (needs the extra brain). Lets memories go, "
        "and makes one of many, only as far as the options say.",
    )
    add = consolidate.add_argument
    add("--older-than", type=span, metavar="90d", help="memories of what happened longer ago go")
    add("--weaker-than", type=share, metavar="S", help="memories go whose strength has faded below S (0 to 1)")
    add("--most", type=positive, metavar="N", help="above N memories the weakest go")
    add("--disk", type=size, metavar="2G", help="where the store takes more, the weakest go")
    add("--order", choices=("weakest", "oldest", "stored"), default="weakest", help="which of too many go first: the "
        "weakest (default), of what happened first, or that were stored first")  # fmt: skip
    add("--merge", type=share, metavar="S", help="memories of one scope, context, actor and kind become one if their "
        "vectors differ in no more than the share S of their bits")  # fmt: skip
    add("--dry-run", action="store_true", help="say how many would go or be merged, and change nothing")
    for_programs(consolidate)
    backup = action(
        "backup",
        "copy it to a folder, even while it is in use",
        "Copies the store as of now into the folder DEST, with a manifest that proves the copy.",
    )
    backup.add_argument("dest", metavar="DEST")
    backup.add_argument("--force", action="store_true", help="replace the backup that DEST holds")
    for_programs(backup)
    restore = action(
        "restore",
        "put a backup back",
        "Proves the backup SRC and puts it into the folder of --store, in one step.",
    )
    restore.add_argument("source", metavar="SRC")
    restore.add_argument("--force", action="store_true", help="set the store that is there aside, in replaced-DATE")
    for_programs(restore)
    export = action(
        "export",
        "print answers and patterns as JSON lines",
        "Prints one JSON object a line: answers (text, scope, context, answer, id, kind, policy_version, expires) in "
        "the order in which they were stored, patterns (id, template, count, first_n, last_n, merged_into) by id. "
        "`sophia run` takes exported answers in again; one that was given to a log line comes back as a message's.",
    )
    export.add_argument("--what", choices=("answers", "patterns", "memories", "all"), default="all", help="default all")
    export.add_argument(
        "--scope",
        type=text,
        metavar="NAME",
        help="only answers or memories of this scope; '' is the default scope",
    )
    export.add_argument("--out", metavar="FILE", help="write to FILE instead of standard output")


def add_config(commands: Any) -> None:
    """Adds `config` and its actions to the parser of `sophia`."""
    same: dict[str, Any] = {"allow_abbrev": False}
    config = commands.add_parser("config", help="check a settings file, show what holds, or write one", **same)
    config.set_defaults(config_parser=config)
    actions = config.add_subparsers(dest="action", metavar="ACTION")
    default = "default: SOPHIA_CONFIG, if it is set, or sophia.toml"
    for name, what, about in (
        ("check", "whether it can be used", "Says everything that is wrong in a settings file and in variables."),
        ("show", "what holds, and where it is from", "Shows every setting that holds, and where it is set."),
        ("init", "write one with all settings", "Writes a file with every setting, its default as a comment."),
    ):
        action = actions.add_parser(name, help=what, description=about, **same)
        told = "- is standard output; default: sophia.toml" if name == "init" else default
        action.add_argument("file", nargs="?", type=file, metavar="FILE", help=told)
        if name == "init":
            action.add_argument("--force", action="store_true", help="write it anew where there is one")
            continue
        action.add_argument("--json", action="store_true", help="print JSON")
        if name == "show":
            action.add_argument("--changed", action="store_true", help="only what is set")
