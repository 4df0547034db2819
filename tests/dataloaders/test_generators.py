"""The generators: statistics of their rules, independence of the number of workers, resumption, layouts that the loaders read."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import label as components

from src.dataloaders import load
from src.dataloaders.generate import contours, pathfinder
from src.dataloaders.generate import listops as generator
from src.dataloaders.generate.dashes import draw_dashes, draw_marker
from src.dataloaders.generate.pathfinder_settings import CONTOUR_LENGTHS, SETTINGS, settings_of
from src.dataloaders.generate.sheet import write_sheet
from src.dataloaders.listops import Options, check, evaluate, read
from src.dataloaders.obtain.prepare import generate
from src.errors import UserError


def words(source):
    return source.replace("(", "").replace(")", "").split()


@pytest.fixture(scope="module")
def expressions():
    return [generator.example(3, index) for index in range(300)]


def test_listops_values_by_another_evaluator(expressions):
    assert all(evaluate(source) == value for source, value in expressions)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("7", 7),
        ("( ( ( [MED 3 ) 4 ) ] )", 3),  # int(3.5)
        ("( ( ( ( [MED 9 ) 1 ) 4 ) ] )", 4),
        ("( ( ( [SM 8 ) 5 ) ] )", 3),
        ("( ( ( [MIN ( ( ( [MAX 2 ) 9 ) ] ) ) 5 ) ] )", 5),
    ],
)
def test_evaluator(source, value):
    assert evaluate(source) == value


def test_listops_parentheses_are_the_binary_tree(expressions):
    """Each pair of parentheses holds two things, and an operator of n arguments takes n + 1 pairs."""
    for source, _ in expressions[:20]:
        depth, stack = 0, [0]
        for word in source.split():
            if word == "(":
                stack.append(0)
            elif word == ")":
                assert stack.pop() == 2
                stack[-1] += 1
            else:
                stack[-1] += 1
            depth = max(depth, len(stack))
        assert stack == [1]


def nodes(source):
    """(depth, operator or None, number of arguments) of each node."""
    found, open_nodes = [], []
    for word in words(source):
        if word == "]":
            depth, operator, n = open_nodes.pop()
            found.append((depth, operator, n))
            continue
        if open_nodes:
            open_nodes[-1][2] += 1
        if word.startswith("["):
            open_nodes.append([len(open_nodes) + 1, word, 0])
        else:
            found.append((len(open_nodes) + 1, None, 0))
    return found


def test_listops_rule(expressions):
    lengths = [sum(2 if word.startswith("[") else word != "]" for word in words(source)) for source, _ in expressions]
    assert all(500 < length < 2000 for length in lengths)
    every = [node for source, _ in expressions for node in nodes(source)]
    operators = [node for node in every if node[1]]
    assert max(depth for depth, _, _ in every) == 10
    assert all(depth < 10 for depth, _, _ in operators)
    assert {n for _, _, n in operators} == set(range(2, 11))
    counts = Counter(operator for _, operator, _ in operators)
    assert set(counts) == {"[MIN", "[MAX", "[MED", "[SM"}
    # the operator is drawn last and does not bear on what is kept: uniform, within five standard deviations
    for n in counts.values():
        assert abs(n - len(operators) / 4) < 5 * (len(operators) * 3 / 16) ** 0.5
    digits = Counter(word for source, _ in expressions for word in words(source) if word.isdigit())
    total = sum(digits.values())
    assert all(abs(digits[str(d)] - total / 10) < 5 * (total * 0.09) ** 0.5 for d in range(10))


def test_listops_length_agrees_with_plain_rejection():
    """The early stop at 2,000 does not change the distribution: drawn again by whole trees, the mean length agrees."""
    rng = np.random.default_rng(0)

    def size(depth):
        if depth == 10 or rng.random() > 0.25:
            return 1
        return 2 + sum(size(depth + 1) for _ in range(rng.integers(2, 11)))

    plain = [length for length in (size(1) for _ in range(6000)) if 500 < length < 2000]
    ours = [
        sum(2 if word.startswith("[") else word != "]" for word in words(generator.example(1, i)[0]))
        for i in range(300)
    ]
    error = (np.var(plain) / len(plain) + np.var(ours) / len(ours)) ** 0.5
    assert abs(np.mean(plain) - np.mean(ours)) < 4 * error


def test_listops_files_resume_and_do_not_depend_on_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(generator, "SHARD", 7)
    request = generator.Request(seed=5, train=20, val=4, test=4)
    one, two = tmp_path / "one", tmp_path / "two"
    generator.generate(one, request, workers=1)
    done, calls = generator._write_shard, []

    def stop_after_two(parts, request, shard):
        calls.append(shard)
        if len(calls) == 3:
            raise KeyboardInterrupt
        done(parts, request, shard)

    monkeypatch.setattr(generator, "_write_shard", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        generator.generate(two, request, workers=1)
    monkeypatch.setattr(generator, "_write_shard", lambda *a: calls.append(a[2]) or done(*a))
    generator.generate(two, request, workers=1)
    assert calls == [0, 1, 2, 2, 3]  # nothing is made twice
    for file in ("basic_train.tsv", "basic_val.tsv", "basic_test.tsv"):
        assert (one / file).read_bytes() == (two / file).read_bytes()
    assert "20 / 4 / 4" in check(Options(data_dir=str(one)))
    with pytest.raises(UserError, match="other settings"):
        generator.generate(one, generator.Request(seed=6, train=20, val=4, test=4), workers=1)


@pytest.mark.slow
def test_two_worker_processes_write_what_one_writes(tmp_path):
    for workers in (1, 2):
        generator.generate(tmp_path / f"l{workers}", generator.Request(train=1200, val=10, test=10), workers)
        pathfinder.generate(tmp_path / f"p{workers}", pathfinder.Request(num=2100), workers)
    for kind, pattern in (("l", "*.tsv"), ("p", "imgs/*/*.png"), ("p", "metadata/*.npy")):
        ones = sorted((tmp_path / f"{kind}1").glob(pattern))
        assert ones
        assert all(
            (tmp_path / f"{kind}2" / p.relative_to(tmp_path / f"{kind}1")).read_bytes() == p.read_bytes() for p in ones
        )


def test_a_repetition_is_drawn_again():
    line = "{}\t{}\n".format(*generator.example(0, 0))
    seen = set()
    assert generator._distinct(line, 0, 0, seen) == line
    other = generator._distinct(line, 0, 0, seen)
    assert other == "{}\t{}\n".format(*generator.example(0, 0, attempt=1))
    assert other != line


def test_check_finds_a_wrong_value(tmp_path):
    generator.generate(tmp_path, generator.Request(train=3, val=2, test=2), workers=1)
    path = tmp_path / "basic_val.tsv"
    (text,), value = next(read(path))
    path.write_text(path.read_text().replace(f"{text}\t{value}", f"{text}\t{(value + 1) % 10}"))
    with pytest.raises(UserError, match=r"basic_val\.tsv:2: the value is"):
        check(Options(data_dir=str(tmp_path)))


def test_published_files_are_never_overwritten(tmp_path):
    (tmp_path / "basic_train.tsv").write_text("Source\tTarget\n")
    with pytest.raises(UserError, match="not generated here"):
        generator.generate(tmp_path, generator.Request(train=1, val=1, test=1), workers=1)


# Pathfinder


@pytest.fixture(scope="module")
def drawn():
    """300 images with the ends of their contours."""
    rules, dashes, marker = pathfinder._drawing(32)
    return [contours.draw_image(np.random.default_rng([9, i]), dashes[0], marker, rules) for i in range(300)]


def test_pathfinder_markers_are_at_the_ends(drawn):
    for image, _, ends in drawn:
        lit = [[image[tuple(ends[contour, end])] > 200 for end in (0, 1)] for contour in (0, 1)]
        assert sum(map(sum, lit)) >= 2
        assert any(tail for tail, _ in lit)
        assert any(head for _, head in lit)


def test_pathfinder_label_says_whether_the_markers_share_a_contour(drawn):
    """Drawn without a distractor and with contours apart, the label can be read off the ends that are lit."""
    checked = 0
    for image, label, ends in drawn:
        lit = np.array(
            [[image[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean() for y, x in contour] for contour in ends]
        )
        if np.sort(lit.reshape(-1))[1] > 0.8 * np.sort(lit.reshape(-1))[2]:
            continue  # a marker also covers another end
        assert (lit[:, 0].argmax() == lit[:, 1].argmax()) == label
        checked += 1
    assert checked > 200


def test_pathfinder_geometry(drawn):
    settings = SETTINGS[32]
    labels = [label for _, label, _ in drawn]
    assert abs(np.mean(labels) - 0.5) < 5 * 0.5 / len(labels) ** 0.5
    for image, _, ends in drawn:
        assert image.shape == (32, 32)
        assert image.max() == 255
        assert abs(np.hypot(*(ends[0, 0] - ends[1, 0])) - settings.seed_distance) < 1  # rounded to a pixel
        assert (ends >= settings.padding).all()
        assert (ends < 32 - settings.padding).all()
    inked = np.mean([(image > 60).mean() for image, _, _ in drawn])
    assert 0.1 < inked < 0.4


def test_pathfinder_classes_do_not_differ_in_ink(drawn):
    """A classifier must not be able to read the label off the brightness."""
    ink = np.array([image.mean() for image, _, _ in drawn])
    labels = np.array([label for _, label, _ in drawn], dtype=bool)
    error = (ink[labels].var() / labels.sum() + ink[~labels].var() / (~labels).sum()) ** 0.5
    assert abs(ink[labels].mean() - ink[~labels].mean()) < 5 * error


def test_pathfinder_levels_differ_in_their_contours():
    """The published names of the folders say 9 and 14 dashes; the rest follows by LRA's formulas."""
    assert {level: settings_of(32, level).contour_length for level in CONTOUR_LENGTHS} == {
        "easy": 6,
        "intermediate": 9,
        "hard": 14,
    }
    assert [settings_of(32, level).distractor_length for level in CONTOUR_LENGTHS] == [2, 3, 4]
    assert [settings_of(32, level).n_distractors for level in CONTOUR_LENGTHS] == [10, 6, 5]
    assert settings_of(128).n_distractors == 8
    ink = []
    for level in CONTOUR_LENGTHS:
        rules, (dashes,), marker = pathfinder._drawing(32, level)
        assert (rules.contour_length, rules.n_distractors) == (
            settings_of(32, level).contour_length,
            settings_of(32, level).n_distractors,
        )
        images = [contours.draw_image(np.random.default_rng([5, i]), dashes, marker, rules)[0] for i in range(100)]
        ink.append(np.mean([(image > 60).mean() for image in images]))
    assert ink[0] < ink[1] < ink[2]  # 32, 36 and 48 dashes


@pytest.mark.parametrize(("resolution", "margin"), [(32, 1), (128, 2), (128, 3)])
def test_dashes(resolution, margin):
    settings = SETTINGS[resolution]
    dashes = draw_dashes(settings, margin)
    radius = np.hypot(*dashes.reach[360:].T)
    assert (np.abs(radius - (settings.paddle_length + margin)) < 1.5).all()
    assert len(np.unique(dashes.reach[360:], axis=0)) == len(dashes.reach) - 360
    assert (dashes.mask >= 0).all()
    assert (dashes.mask.sum((1, 2)) > 2 * dashes.dash.sum((1, 2))).all()  # the mask is the dash made wider
    # a dash points where its direction says: its centre of mass lies ahead (first dashes) or behind (further ones)
    place = np.arange(dashes.dash.shape[1]) - dashes.dash.shape[1] // 2
    weight = dashes.dash.sum((1, 2))
    centre = np.stack([(dashes.dash.sum(2) * place).sum(1), (dashes.dash.sum(1) * place).sum(1)], 1) / weight[:, None]
    along = centre[:, 0] * np.sin(dashes.angle) + centre[:, 1] * np.cos(dashes.angle)
    assert (along[:360] > 0.3 * settings.paddle_length - 0.5).all()
    assert (along[360:] < 0.5 - 0.3 * settings.paddle_length).all()


@pytest.mark.parametrize("resolution", [32, 128])
def test_marker_is_a_disc(resolution):
    settings = SETTINGS[resolution]
    marker = draw_marker(settings)
    assert abs(marker.sum() - np.pi * settings.marker_radius**2) < 0.15 * np.pi * settings.marker_radius**2
    assert marker[len(marker) // 2, len(marker) // 2] > 0.99


def test_path_x_contours_are_chains_of_separate_dashes():
    rules, dashes, marker = pathfinder._drawing(128)
    image, _, ends = contours.draw_image(np.random.default_rng(1), dashes[0], marker, rules)
    settings = SETTINGS[128]
    n = components(image > 60, np.ones((3, 3)))[1]  # pixels that touch at a corner belong together
    dashes_drawn = 2 * settings.contour_length + settings.n_distractors * settings.distractor_length
    assert 0.7 * dashes_drawn < n <= dashes_drawn  # a marker covers a dash, and a few touch
    assert abs(np.hypot(*(ends[0, 0] - ends[1, 0])) - settings.seed_distance) < 1


def test_pathfinder_level_has_its_own_folder(tmp_path, monkeypatch):
    """An image that is empty in the published easy set is not missing in a generated one."""
    monkeypatch.setenv("DATA_PATH", str(tmp_path))
    found = generate("pathfinder", {"num": 200, "level": "easy"}, workers=1)
    assert found.startswith("200 images (as generated)")
    assert (tmp_path / "pathfinder" / "pathfinder32" / "curv_baseline" / "samples.png").is_file()
    assert len(load("pathfinder", level="easy").train) == 160
    with pytest.raises(UserError, match="--generate --level intermediate"):
        load("pathfinder", level="intermediate")
    with pytest.raises(UserError, match="did you mean 'hard'"):
        pathfinder.Request(level="hart")


def test_pathfinder_files_load_and_resume(tmp_path, monkeypatch):
    monkeypatch.setattr(pathfinder, "SHARD", 20)
    folder = tmp_path / "pathfinder" / "pathfinder32" / "curv_contour_length_14"
    request = pathfinder.Request(seed=2, num=50)
    pathfinder.generate(folder, request, workers=1)
    lines = (folder / "metadata" / "1.npy").read_text().splitlines()
    assert lines[3].split()[:3] == ["imgs/1", "sample_3.png", "3"]
    image, label, _ = pathfinder.example(request, 23)
    assert lines[3].split()[3] == str(label)
    assert np.array_equal(np.asarray(Image.open(folder / "imgs/1/sample_3.png")), image)
    (folder / "metadata" / "1.npy").unlink()
    before = (folder / "imgs/1/sample_3.png").read_bytes()
    pathfinder.generate(folder, request, workers=1)
    assert (folder / "imgs/1/sample_3.png").read_bytes() == before
    splits = load("pathfinder", data_dir=str(tmp_path))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (40, 5, 5)
    x, y = splits.test[2]
    number = int(splits.test.indices[2])
    image, label, _ = pathfinder.example(request, number)
    np.testing.assert_allclose(x[:, 0].numpy(), image.reshape(-1) / 255, atol=1e-6)
    assert y == label
    assert "generated here" in splits.note
    write_sheet(splits, tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").size == (8 * 134 + 6, 2 * 134 + 6)


def test_every_image_has_its_own_number():
    one, other = (pathfinder.example(pathfinder.Request(seed=seed), 4)[0] for seed in (0, 1))
    assert not np.array_equal(one, other)
    assert np.array_equal(
        one, pathfinder.example(pathfinder.Request(num=5), 4)[0]
    )  # the size of the set does not matter


def test_bad_plans():
    with pytest.raises(UserError, match="32 or 128"):
        pathfinder.Request(resolution=64)
    with pytest.raises(UserError, match="at least 1"):
        pathfinder.Request(num=0)
    with pytest.raises(UserError, match="at least 1"):
        generator.Request(val=0)
    with pytest.raises(UserError, match="no square images"):
        write_sheet(_text_splits(), None)


def _text_splits():
    from src.dataloaders.base import Batch, MapDataset, Splits

    class Text(MapDataset):
        def __len__(self):
            return 4

        def batch(self, indices, generator=None):
            return Batch(torch.zeros(len(indices), 7, dtype=torch.int64), torch.zeros(len(indices), dtype=torch.int64))

    return Splits(Text(), Text(), Text(), n_classes=2, l_max=7, vocabulary=("a",))


def test_record_names_the_settings(tmp_path):
    pathfinder.generate(tmp_path / "a", pathfinder.Request(num=1), workers=1)
    record = json.loads((tmp_path / "a" / "generator.json").read_text())
    assert record["settings"]["seed_distance"] == 7
    assert record["num"] == 1
