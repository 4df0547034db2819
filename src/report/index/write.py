"""Writes the page: at the end of a script, and now and then while it runs. A page that cannot be written never stops a run."""

import hashlib
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

from ...tracking.files import atomic_write
from .gather import Gatherer, experiments, pictures, shared_config

NAME = "index.html"
EVERY = 10.0  # seconds between two pages, at least
RELOAD = 15  # seconds after which an open page of running work looks again
_HERE = Path(__file__).parent
_SHARE = 20  # writing takes at most one part in so many of the time


class IndexPage:
    """The page `<out>/index.html`."""

    def __init__(self, out: str | Path) -> None:
        self.path = Path(out) / NAME
        self._gatherer = Gatherer(Path(out))
        self._next = 0.0
        self._complained = False

    def refresh(self) -> None:
        """Writes the page if the last one is some time ago. Cheap otherwise: call it whenever there may be news."""
        now = time.monotonic()
        if now >= self._next:
            self.write(live=True)
            spent = time.monotonic() - now
            self._next = now + max(EVERY, _SHARE * spent)

    def write(self, live: bool = False) -> bool:
        """Writes the page now unless the one that is there shows the same; tells whether there is a page."""
        try:
            self._write(live)
        except Exception as error:  # whatever it is: the runs matter more than their page
            if not self._complained:
                print(f"{self.path}: not written ({type(error).__name__}: {error}); the runs go on", file=sys.stderr)
            self._complained = True
            return False
        return True

    def _write(self, live: bool) -> None:
        stamps = self._gatherer.stamps()
        state = self._state(stamps, live)
        if not stamps or self._shown() == state:
            return
        runs = self._gatherer.runs(stamps)
        found = pictures(self.path.parent)
        shared = shared_config(runs)
        lean = [run | {"config": _own(run["config"], shared[run["experiment"]])} for run in runs]
        html = _template().render(
            state=state,
            title=f"Runs in {self.path.parent.resolve().name}",
            experiments=experiments(runs, found),
            pictures=found.get("", []),
            data={"runs": lean, "shared": shared, "live": live, "reload": RELOAD},
            live=live,
            written=time.strftime("%Y-%m-%d %H:%M:%S"),
            **_assets(),
        )
        atomic_write(self.path, html.encode())

    def _state(self, stamps: dict[Path, tuple], live: bool) -> str:
        drawn = [(str(p), p.stat().st_mtime) for p in sorted(self.path.parent.glob("*/report/*.*")) if p.name[0] != "."]
        drawn += [(str(p), p.stat().st_mtime) for p in sorted(self.path.parent.glob("report/*.*")) if p.name[0] != "."]
        seen = (sorted((str(path), stamp) for path, stamp in stamps.items()), drawn, live, _code())
        return hashlib.sha256(repr(seen).encode()).hexdigest()

    def _shown(self) -> str | None:
        """The state that the page which is there shows; it stands at its head."""
        try:
            with self.path.open("rb") as file:
                head = file.read(300).decode(errors="replace")
        except OSError:
            return None
        _, _, rest = head.partition('name="state" content="')
        return rest.partition('"')[0] or None


def _own(config: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in shared}


@cache
def _template():
    import jinja2  # torch brings it; only who writes a page waits for it

    loader = jinja2.FileSystemLoader(_HERE)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html")


@cache
def _assets() -> dict[str, str]:
    """Style and code that stand in the page."""
    from markupsafe import Markup  # what stands in these files is ours or the library's: not to be escaped

    files = {
        "css": "page.css",
        "js": "page.js",
        "chart_css": "vendor/uPlot.min.css",
        "chart_js": "vendor/uPlot.iife.min.js",
    }
    return {name: Markup((_HERE / file).read_text(encoding="utf-8")) for name, file in files.items()}


@cache
def _code() -> str:
    return hashlib.sha256(b"".join(p.read_bytes() for p in sorted(_HERE.rglob("*")) if p.is_file())).hexdigest()
