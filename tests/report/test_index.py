"""runs/index.html: what it holds, when it is written, and (marked `browser`) that a real Chromium shows it."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src.report.index import IndexPage
from src.report.index.gather import Gatherer, experiments, pictures
from src.report.index.progress import share_done
from src.tracking.files import to_json
from tests.report.runs import REAL, STEPS, write_run


def write_all(out):
    write_run(out, 0.5, lr=1e-3)
    write_run(out, 0.25, seed=1)
    write_run(out, 0.1, complex_option=True)
    write_run(out, 0.5, seed=2, state="failed")
    cut = write_run(out, 0.5, seed=3, state="running")  # no process holds its lock: it was killed
    (cut / "metrics.jsonl").write_text("".join(to_json({"step": s, "loss": 1.0}) + "\n" for s in STEPS[:2]))
    status = json.loads((cut / "status.json").read_text())
    (cut / "status.json").write_text(to_json(status | {"step": 250}))
    environment = {"command": ["/somewhere/train_theory.py", "--experiment", "real", "--set", "N=[16, 32]"]}
    (cut / "environment.json").write_text(to_json(environment))
    return cut


def data_of(path):
    html = path.read_text()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])


def test_the_page_is_self_contained_and_holds_every_run(tmp_path):
    write_all(tmp_path)
    page = IndexPage(tmp_path)
    assert page.write()
    html = page.path.read_text()
    outside = re.findall(r'(?:src|href)="(?!data:)([^"]*)"', html)
    assert all(not link.startswith(("http", "//", "/")) for link in outside)
    assert "https://" not in re.sub(r"/\*.*?\*/", "", html)
    data = data_of(page.path)
    assert len(data["runs"]) == 5
    assert sorted(run["state"] for run in data["runs"]) == ["done", "done", "done", "failed", "interrupted"]
    (failed,) = [run for run in data["runs"] if run["state"] == "failed"]
    assert "loss is NaN" in failed["message"]


def test_a_killed_run_is_interrupted_with_its_progress_and_the_command_that_continues_it(tmp_path):
    write_all(tmp_path)
    gatherer = Gatherer(tmp_path)
    runs = gatherer.runs(gatherer.stamps())
    (cut,) = [run for run in runs if run["state"] == "interrupted"]
    assert cut["share"] == 0.5
    assert cut["left"] is None  # nobody works on it
    assert cut["command"] == "python train_theory.py --experiment real --set 'N=[16, 32]'"
    real = next(entry for entry in experiments(runs, {}) if entry["name"] == "theory-real")
    assert real["states"] == {"done": 2, "interrupted": 1, "failed": 1}
    assert real["commands"] == [cut["command"]]


def test_configs_are_told_apart_and_what_is_shared_stands_once(tmp_path):
    write_all(tmp_path)
    IndexPage(tmp_path).write()
    data = data_of(tmp_path / "index.html")
    assert data["shared"]["theory-real"]["opt"] == "adam"
    own = [run["config"] for run in data["runs"] if run["experiment"] == "theory-real"]
    assert all("opt" not in config for config in own)
    assert {config["lr"] for config in own} == {1e-3, 1e-4}


def test_unchanged_runs_give_no_new_page_and_a_change_does(tmp_path):
    cut = write_all(tmp_path)
    page = IndexPage(tmp_path)
    page.write()
    before = page.path.stat().st_mtime_ns
    IndexPage(tmp_path).write()
    assert page.path.stat().st_mtime_ns == before
    (cut / "metrics.jsonl").write_text(to_json({"step": 750, "loss": 1.0}) + "\n")
    page.write()
    assert page.path.stat().st_mtime_ns > before
    assert any(run["share"] == 0.75 for run in data_of(page.path)["runs"])


def test_it_is_refreshed_at_most_every_ten_seconds(tmp_path, monkeypatch):
    write_all(tmp_path)
    page, written = IndexPage(tmp_path), []
    monkeypatch.setattr(page, "write", lambda live: written.append(live))
    clock = iter([0.0, 0.1, 5.0, 9.0, 10.5, 10.6])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    for _ in range(4):  # at 0 (ends at 0.1), 5, 9 and 10.5
        page.refresh()
    assert written == [True, True]


def test_a_page_that_cannot_be_written_stops_nothing(tmp_path, capsys):
    write_all(tmp_path)
    (tmp_path / "index.html").mkdir()
    page = IndexPage(tmp_path)
    assert not page.write()
    assert not page.write()
    assert capsys.readouterr().err.count("the runs go on") == 1


def test_damaged_runs_are_left_out(tmp_path):
    cut = write_all(tmp_path)
    (cut / "config.yaml").write_text("a: [")
    assert IndexPage(tmp_path).write()
    assert len(data_of(tmp_path / "index.html")["runs"]) == 4


def test_words_of_a_config_cannot_break_out_of_the_page(tmp_path):
    write_run(tmp_path, 0.5, opt="</script><script>alert(1)</script>")
    IndexPage(tmp_path).write()
    assert "<script>alert" not in (tmp_path / "index.html").read_text()


def test_pictures_stand_inside_until_they_are_too_many(tmp_path, monkeypatch):
    write_run(tmp_path, 0.5)
    report = tmp_path / "theory-real" / "report"
    report.mkdir()
    for name in ("a", "b"):
        (report / f"{name}.png").write_bytes(b"x" * 1000)
    monkeypatch.setattr("src.report.index.gather._PICTURES", 1500)
    first, second = pictures(tmp_path)["theory-real"]
    assert first["uri"].startswith("data:image/png;base64,")
    assert second == {"name": "b", "uri": None, "path": "theory-real/report/b.png"}


@pytest.mark.parametrize(
    ("experiment", "config", "step", "rows", "share"),
    [
        ("theory-real", REAL, 250, [], 0.25),
        ("train-x", {"trainer": {"max_epochs": 4, "max_steps": None}}, 150, [{"step": 100, "epoch": 1}], 0.375),
        ("train-x", {"trainer": {"max_epochs": 4, "max_steps": 200}}, 150, [], 0.75),
        ("sinusoid", {"steps": 100}, 50, [], 0.5),
        ("robustness", {"epochs": 10}, 80, [{"step": 40, "epoch": 1}, {"step": 80, "epoch": 2}], 0.2),
        ("unheard-of", {}, 80, [], None),
    ],
)
def test_how_far_a_run_is(experiment, config, step, rows, share):
    assert share_done(experiment, config, step, rows) == share


# --- in a real browser ---

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
browser = pytest.mark.browser


@pytest.fixture
def chromium():
    if not (CHROMIUM and DRIVER):
        pytest.skip("no chromium and chromedriver here")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,900"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def show(driver, out):
    IndexPage(out).write()
    driver.get((out / "index.html").as_uri())
    assert driver.find_element("tag name", "body").get_attribute("data-ready") == "yes"
    assert driver.get_log("browser") == []


def column(driver, name):
    return [cell.text for cell in driver.find_elements("css selector", f'#table td[data-name="{name}"]')]


@browser
def test_chromium_loads_sorts_filters_and_compares(tmp_path, chromium):
    write_all(tmp_path)
    show(chromium, tmp_path)
    assert len(column(chromium, "run")) == 5
    button = lambda: chromium.find_element("css selector", 'button[data-sort="m:min_loss"]')
    button().click()
    falling = [float(x) for x in column(chromium, "min_loss") if x]
    assert falling == sorted(falling, reverse=True)
    button().click()
    rising = [float(x) for x in column(chromium, "min_loss") if x]
    assert rising == falling[::-1]
    assert chromium.find_element("css selector", 'th[aria-sort="ascending"]').text.startswith("min_loss")
    chromium.find_element("id", "find").send_keys("theory-complex")
    assert column(chromium, "experiment") == ["theory-complex"]
    chromium.find_element("id", "find").clear()
    chromium.find_element("id", "find").send_keys(" ")
    for box in chromium.find_elements("css selector", "#table input[type=checkbox]")[:2]:
        box.click()
    assert chromium.find_elements("css selector", "#chart canvas")
    assert "first - second" in chromium.find_element("id", "difference").text
    assert chromium.get_log("browser") == []


@browser
def test_chromium_shows_an_interrupted_sweep_as_such_also_on_a_phone(tmp_path, chromium):
    write_all(tmp_path)
    chromium.set_window_size(500, 900)
    show(chromium, tmp_path)
    card = next(c for c in chromium.find_elements("css selector", ".card") if "theory-real" in c.text)
    assert "1 interrupted" in card.text
    assert "python train_theory.py --experiment real" in card.text
    assert "interrupted" in column(chromium, "state")
    width = chromium.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]  # nothing sticks out sideways


@browser
def test_chromium_shows_a_sweep_that_was_really_stopped(tmp_path, chromium):
    words = ["--experiment", "real", "--seeds", "1", "--num_cpus", "1", "--wandb", "disabled", "--out", str(tmp_path)]
    words += ["--set", "N=64", "L=32", "opt=adam", "r_min=0", "lr=1e-4", "task_name=delay", "num_epochs=50000000"]
    script = Path(__file__).parents[2] / "train_theory.py"
    process = subprocess.Popen([sys.executable, str(script), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    index = tmp_path / "index.html"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and not (index.exists() and '"state": "running"' in index.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.5)
    show_live = index.read_text()
    process.terminate()
    assert process.wait(60) == 75
    assert '"live": true' in show_live
    chromium.get(index.as_uri())
    assert column(chromium, "state") == ["interrupted"]
