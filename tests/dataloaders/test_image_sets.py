"""Image sets: files of the exact formats, made here, against what is known of their contents."""

import gzip

import numpy as np
import pytest
import torch
from PIL import Image

from src.dataloaders import load
from src.dataloaders.base import Subset, random_split
from src.dataloaders.cifar import to_grey
from src.dataloaders.scaled import ScaledSequences, Scaling, bit_reversal
from src.errors import UserError
from tests.dataloaders.small_sets import write_cifar


@pytest.fixture
def cifar_dir(tmp_path, monkeypatch):
    """Six files of 20 records each, in the binary release's layout."""
    monkeypatch.setattr("src.dataloaders.cifar.PER_FILE", 20)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    write_cifar(folder)
    return folder


def record(folder, file, i):
    data = np.frombuffer((folder / file).read_bytes(), np.uint8).reshape(-1, 3073)[i]
    return int(data[0]), data[1:].reshape(3, 32, 32)


@pytest.mark.parametrize(
    ("options", "std"),
    [({}, (0.247, 0.243, 0.261)), ({"colour_std": [0.2023, 0.1994, 0.2010]}, (0.2023, 0.1994, 0.2010))],
)
def test_cifar_colour_values_and_pixel_order(cifar_dir, options, std):
    splits = load("cifar", data_dir=str(cifar_dir), **options)
    x, y = splits.test[7]
    label, planes = record(cifar_dir, "test_batch.bin", 7)
    assert y == label
    assert x.shape == (1024, 3)
    assert x.dtype == torch.float32
    expected = (planes[:, 5, 9] / 255 - [0.4914, 0.4822, 0.4465]) / std
    np.testing.assert_allclose(x[5 * 32 + 9].numpy(), expected, rtol=1e-5, atol=1e-6)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (90, 10, 20)
    assert (splits.n_classes, splits.l_max, splits.d_input, splits.vocabulary) == (10, 1024, 3, None)


def test_cifar_grey_is_pillows_grey(cifar_dir):
    _, planes = record(cifar_dir, "test_batch.bin", 3)
    grey = np.asarray(Image.fromarray(planes.transpose(1, 2, 0)).convert("L"))
    x, _ = load("cifar", data_dir=str(cifar_dir), grayscale=True).test[3]
    np.testing.assert_allclose(x[:, 0].numpy(), (grey.reshape(-1) - 122.6) / 61.0, rtol=1e-5, atol=1e-5)
    tokens, _ = load("cifar", data_dir=str(cifar_dir), grayscale=True, tokenize=True).test[3]
    assert tokens.dtype == torch.int64
    assert np.array_equal(tokens.numpy(), grey.reshape(-1))


def test_grey_of_every_level():
    levels = torch.arange(256, dtype=torch.uint8)[None, :, None].expand(1, 256, 3)
    assert torch.equal(to_grey(levels)[0, :, 0], levels[0, :, 0])


def test_split_is_torchs_random_split():
    ours = random_split(50, [45, 5], 42)
    theirs = torch.utils.data.random_split(range(50), [45, 5], torch.Generator().manual_seed(42))
    assert [part.tolist() for part in ours] == [list(part.indices) for part in theirs]


def test_splits_are_disjoint_and_complete(cifar_dir):
    splits = load("cifar", data_dir=str(cifar_dir))
    both = torch.cat([splits.train.indices, splits.val.indices])
    assert both.sort().values.tolist() == list(range(100))


def test_augmentation_is_a_crop_of_the_mirrored_image():
    pixels = torch.arange(16 * 16, dtype=torch.uint8).reshape(1, 256, 1).expand(40, -1, -1)
    images = ScaledSequences(pixels, torch.zeros(40, dtype=torch.int64), None, augment=True)
    padded = np.pad(np.arange(256).reshape(16, 16), 4, mode="symmetric")
    crops = {padded[i : i + 16, j : j + 16].tobytes() for i in range(9) for j in range(9)}
    crops |= {padded[i : i + 16, j : j + 16][:, ::-1].tobytes() for i in range(9) for j in range(9)}
    x = images.batch(torch.arange(40), torch.Generator().manual_seed(1)).x.reshape(40, 16, 16).numpy()
    drawn = {image.tobytes() for image in x}
    assert drawn <= crops
    assert len(drawn) > 20


def test_augmentation_repeats_with_its_generator_and_never_runs_without(cifar_dir):
    splits = load("cifar", data_dir=str(cifar_dir), augment=True)
    indices = torch.arange(8)
    one, two = (splits.train.batch(indices, torch.Generator().manual_seed(5)).x for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, splits.train.dataset.batch(splits.train.indices[indices], torch.Generator()).x)
    with pytest.raises(ValueError, match="generator"):
        splits.train.batch(indices)
    splits.val.batch(indices)  # validation images are never augmented


def write_idx(folder, part, images, labels, gz):
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
        data = header + array.tobytes()
        name = f"{part}-{kind}-ubyte"
        (folder / (f"{name}.gz" if gz else name)).write_bytes(gzip.compress(data) if gz else data)


@pytest.mark.parametrize(("name", "gz"), [("mnist", False), ("fashion_mnist", True)])
def test_idx_sets(tmp_path, name, gz):
    rng = np.random.default_rng(1)
    images = {part: rng.integers(0, 256, (n, 28, 28), dtype=np.uint8) for part, n in (("train", 30), ("t10k", 10))}
    for part, array in images.items():
        write_idx(tmp_path, part, array, np.arange(len(array), dtype=np.uint8) % 10, gz)
    splits = load(name, data_dir=str(tmp_path))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (27, 3, 10)
    x, y, lengths = splits.test.batch(torch.tensor([3, 1]))
    np.testing.assert_allclose(x[0, :, 0].numpy(), images["t10k"][3].reshape(-1) / 255, rtol=1e-6)
    assert y.tolist() == [3, 1]
    assert lengths is None


def test_permuted_mnist_reads_the_same_pixels(tmp_path):
    images = np.arange(784, dtype=np.uint8).reshape(1, 28, 28).repeat(10, 0)
    for part in ("train", "t10k"):
        write_idx(tmp_path, part, images, np.arange(10, dtype=np.uint8), False)
    plain, _ = load("mnist", data_dir=str(tmp_path)).test[0]
    permuted, _ = load("mnist", data_dir=str(tmp_path), permute=True).test[0]
    assert torch.equal(plain[bit_reversal(784)], permuted)
    assert bit_reversal(8).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
    assert bit_reversal(784).sort().values.tolist() == list(range(784))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "61,459 bytes, expected 20 records of 3,073"),
        (lambda data: data[3073:], "58,387 bytes, expected 20 records"),
        (lambda data: b"\xff" + data[1:], "label above 9"),
        (lambda data: b"", "0 bytes, expected 20 records"),
    ],
)
def test_broken_cifar_is_refused(cifar_dir, damage, message):
    path = cifar_dir / "data_batch_3.bin"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=message):
        load("cifar", data_dir=str(cifar_dir))


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"PK" + data[2:], lambda data: b""]
)
@pytest.mark.parametrize("gz", [False, True])
def test_broken_idx_is_refused(tmp_path, damage, gz):
    for part in ("train", "t10k"):
        write_idx(tmp_path, part, np.zeros((5, 28, 28), np.uint8), np.zeros(5, np.uint8), gz)
    path = next(tmp_path.glob("t10k-images*"))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"remove the set's folder and run `python -m src.dataloaders prepare mnist`"):
        load("mnist", data_dir=str(tmp_path))


def test_digits_are_there_and_balanced():
    splits = load("digits")
    assert (len(splits.train), len(splits.val), len(splits.test)) == (1259, 179, 359)
    x, y, _ = splits.train.batch(torch.arange(1259))
    assert x.shape == (1259, 64, 1)
    assert (x.min(), x.max()) == (-1, 1)
    counts = torch.bincount(
        torch.cat([y, splits.val.batch(torch.arange(179)).y, splits.test.batch(torch.arange(359)).y])
    )
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # as the UCI page states them


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cifer", {}, "did you mean 'cifar'"),
        ("cifar", {"greyscale": True}, "did you mean 'grayscale'"),
        ("cifar", {"grayscale": "yes"}, "true or false"),
        ("cifar", {"tokenize": True}, "grayscale=true"),
        ("cifar", {"val_split": 1.5}, "between 0 and 1"),
        ("cifar", {"colour_std": [0.2, 0.2, 0.0]}, "three positive numbers"),
        ("cifar", {"colour_std": [0.2]}, "colour_std"),
        ("digits", {"val_split": 0.5, "test_split": 0.5}, "nothing to train on"),
        ("mnist", {"resolution": 32}, "unknown key 'resolution'"),
        ("cifar", {"data_dir": "/no/such/folder"}, "prepare cifar"),
    ],
)
def test_options_are_checked_in_one_line(name, options, message):
    with pytest.raises(UserError, match=message) as error:
        load(name, **options)
    assert "\n" not in str(error.value)


def test_items_and_subsets_agree_with_batches():
    images = ScaledSequences(
        torch.arange(60, dtype=torch.uint8).reshape(5, 4, 3), torch.arange(5), Scaling((0.5,) * 3, (0.25,) * 3)
    )
    subset = Subset(images, torch.tensor([4, 1]))
    assert torch.equal(subset[-1][0], images.batch(torch.tensor([1])).x[0])
    assert [int(subset[i][1]) for i in range(2)] == [4, 1]
    with pytest.raises(IndexError):
        subset[2]
    np.testing.assert_allclose(images[1][0][0].numpy(), (np.array([12, 13, 14]) / 255 - 0.5) / 0.25, rtol=1e-6)
