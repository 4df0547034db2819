"""What a user did wrong, said in one line.

Everything a user can get wrong (an option, a config key, a file) raises `UserError`; the entry scripts print its single line to stderr
and exit with code 2. Any other exception is a defect of the suite and keeps its traceback.
"""

import difflib
import os
import sys
from collections.abc import Callable, Iterable

from .say import protect_streams

EXIT_FAILED = 1  # the work itself failed (a run of a sweep, say)
EXIT_USAGE = 2  # the request was wrong; nothing was started
EXIT_INTERRUPTED = 75  # EX_TEMPFAIL: stopped by a signal with its state saved; schedulers requeue on it


class UserError(Exception):
    """One clear line: what is wrong, what was expected, how to fix it."""


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Returns the end of an error line: `; did you mean 'x'?`, or else the options themselves."""
    options = [str(option) for option in options]
    close = difflib.get_close_matches(str(word), options, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else f"; expected one of: {', '.join(sorted(options))}"


def shown(value: object, width: int = 80) -> str:
    """Returns `repr(value)` in one line of at most `width` characters, whatever the value is."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than some thousand digits
        return "a number of thousands of digits"
    except RecursionError:
        return "a value that is nested too deeply"
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 4]} ..."


def run_door(main: Callable[[], int]) -> None:
    """Runs an entry script's `main` and turns its outcome into an exit code: never a traceback for a user's mistake."""
    protect_streams()
    os.environ["MPLBACKEND"] = "Agg"  # figures go to files; a notebook's backend is not to be had in its shell commands
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
