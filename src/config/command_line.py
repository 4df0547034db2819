"""A parser of command lines whose errors are one line with a suggestion."""

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from ..errors import EXIT_USAGE, did_you_mean
from ..variables import check_variables

_WORD = re.compile(r"[+~]*[\w@/.$-]+=|~")  # key=value, group=file, +key=value, ~key


class SuggestingParser(argparse.ArgumentParser):
    """An ArgumentParser for people: no abbreviations, one line for an error, and the option that was probably meant.

    An option that takes one value and is given twice is an error: which of the two was meant?

    Args:
        examples: command lines that end the help text.
    """

    options_as_words: tuple[str, ...] = ()

    def __init__(self, *, examples: Sequence[str] = (), **options: Any) -> None:
        epilog = "\n".join(["examples:", *(f"  {example}" for example in examples)]) if examples else None
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(**{"epilog": epilog, "formatter_class": formatter, "allow_abbrev": False} | options)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self._unknown(unknown[0], parsed)
        return parsed

    def parse_words(self, args: Sequence[str] | None = None) -> tuple[Any, list[str]]:
        """Returns (options, key=value words); words stand anywhere, also after --set or --overrides.

        `out=runs` is `--out runs`, and so for all `options_as_words`.
        """
        args = list(sys.argv[1:] if args is None else args)
        parsed, rest = self.parse_known_args(args)
        for word in rest:
            if not _WORD.match(word):
                self._unknown(word, parsed, "; a word is key=value")
        words = [*getattr(parsed, "set", []), *rest]
        options = [word for word in words if word.partition("=")[0] in self.options_as_words]
        if options:
            left = [arg for arg in args if arg not in options]
            return self.parse_words([*left, *(f"--{word}" for word in options)])
        return parsed, words

    def _unknown(self, word: str, parsed: argparse.Namespace, hint: str = "") -> NoReturn:
        word = word.partition("=")[0]
        hint = did_you_mean(word, self._long_options(parsed)) if word.startswith("-") else hint
        self.error(f"unknown argument '{word}'{hint}")

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        args = list(sys.argv[1:] if args is None else args)
        self._refuse_repeated(args)
        self._refuse_misspelt_required(args)
        parsed = super().parse_known_args(args, namespace)
        check_variables()
        return parsed

    def _refuse_repeated(self, args: list[str]) -> None:
        seen = set()
        for word in args[: args.index("--") if "--" in args else None]:
            action = self._option_string_actions.get(word.partition("=")[0]) if word.startswith("-") else None
            if isinstance(action, argparse._StoreAction):  # others collect what they are given, or are the same twice
                if action.dest in seen:
                    self.error(f"{word.partition('=')[0]} is given twice")
                seen.add(action.dest)

    def _refuse_misspelt_required(self, args: list[str]) -> None:
        """`--ot x` for `--out x`: says so, where argparse would say that --out is missing."""
        missing = {name for action in self._actions if action.required for name in action.option_strings} - set(args)
        for word in args:
            name = word.partition("=")[0]
            unknown = name.startswith("--") and name not in self._option_string_actions
            if unknown and difflib.get_close_matches(name, missing, n=1):
                self.error(f"unknown argument '{name}'{did_you_mean(name, missing)}")

    def _long_options(self, parsed: argparse.Namespace) -> list[str]:
        """The options of this parser, and of the command that was chosen."""
        options = [*self._option_string_actions]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                chosen = action.choices.get(getattr(parsed, action.dest, None))
                options += chosen._option_string_actions if chosen is not None else []
        return [option for option in options if option.startswith("--")]

    def error(self, message: str) -> NoReturn:
        print(f"error: {message} (see --help)", file=sys.stderr)
        sys.exit(EXIT_USAGE)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"'{value}' is not a choice{did_you_mean(value, action.choices)}")
