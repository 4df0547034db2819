"""Downloads from a server on this machine, archives made here: resumed, checked, refused where they must be."""

import contextlib
import hashlib
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from PIL import Image

from src.dataloaders import cifar, imdb, listops, load, pathfinder, sc
from src.dataloaders.obtain import prepare as preparing
from src.dataloaders.obtain.download import UnreachableError, fetch
from src.dataloaders.obtain.prepare import prepare
from src.dataloaders.obtain.recipes import RECIPES, Recipe
from src.dataloaders.obtain.unpack import by_pattern, unpack
from src.errors import UserError
from tests.dataloaders.small_sets import write_cifar, write_wav

DATA = np.random.default_rng(0).bytes(3_000_000)
MD5 = hashlib.md5(DATA).hexdigest()


class Handler(SimpleHTTPRequestHandler):
    """Serves files with Range; `cut` bytes into an answer the connection drops, `plain` ignores Range."""

    cut, plain, ranges = None, False, None

    def log_message(self, *args):
        pass

    def do_GET(self):
        path = self.translate_path(self.path)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            self.send_error(404)
            return
        wanted = None if self.plain else self.headers.get("Range")
        self.ranges.append(self.headers.get("Range"))
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(data) > 0:
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(data[start:][: self.cut])


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "www"
    folder.mkdir()
    handler = type("Local", (Handler,), {"ranges": []})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}", folder, handler
    httpd.shutdown()
    httpd.server_close()


def test_download(server, tmp_path):
    url, folder, _ = server
    (folder / "file").write_bytes(DATA)
    fetch(f"{url}/file", tmp_path / "got" / "file", MD5)
    assert (tmp_path / "got" / "file").read_bytes() == DATA
    assert [path.name for path in (tmp_path / "got").iterdir()] == ["file"]


def test_a_torn_download_is_taken_up_at_once_and_later(server, tmp_path):
    url, folder, handler = server
    (folder / "file").write_bytes(DATA)
    handler.cut = 700_000
    with pytest.raises(UserError, match="cut off after 2,100,000 bytes; run the same command again"):
        fetch(f"{url}/file", tmp_path / "file", MD5)
    assert not (tmp_path / "file").exists()
    handler.cut = None
    fetch(f"{url}/file", tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == DATA
    assert handler.ranges == [None, "bytes=700000-", "bytes=1400000-", "bytes=2100000-"]


def test_a_server_that_ignores_range_starts_anew(server, tmp_path):
    url, folder, handler = server
    (folder / "file").write_bytes(DATA)
    (tmp_path / "file.part").write_bytes(DATA[:1000])
    handler.plain = True
    fetch(f"{url}/file", tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_part_that_is_whole_is_taken(server, tmp_path):
    url, folder, _ = server
    (folder / "file").write_bytes(DATA)
    (tmp_path / "file.part").write_bytes(DATA)
    fetch(f"{url}/file", tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    url, folder, _ = server
    (folder / "file").write_bytes(DATA[:-1] + b"x")
    with pytest.raises(UserError, match=f"instead of {MD5}"):
        fetch(f"{url}/file", tmp_path / "file", MD5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["www"]


def test_unreachable(server, tmp_path):
    url, _, _ = server
    with pytest.raises(UnreachableError, match="404"):
        fetch(f"{url}/nothing", tmp_path / "file", MD5)
    with pytest.raises(UnreachableError, match="cannot reach"):
        fetch("http://127.0.0.1:9/nothing", tmp_path / "file", MD5)


def make_tar(path, members):
    """members: name -> bytes, or a TarInfo."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("../escape.txt", b"x"),
        ("set/../../escape.txt", b"x"),
        ("/tmp/escape.txt", b"x"),
        ("set/link.txt", link("set/link.txt", "/etc/passwd")),
        ("set/hard.txt", link("set/hard.txt", "set/a.txt", tarfile.LNKTYPE)),
        ("set/pipe.txt", link("set/pipe.txt", "", tarfile.FIFOTYPE)),
    ],
)
def test_an_archive_that_leads_outside_is_refused(tmp_path, name, content):
    archive = make_tar(tmp_path / "a.tar.gz", {"set/a.txt": b"a", name: content})
    with pytest.raises(UserError, match="is refused"):
        unpack(archive, tmp_path / "out", by_pattern(r"set/(?P<path>.+\.txt)"), 10**9)
    assert not (tmp_path / "escape.txt").exists()


def test_a_torn_archive_is_refused(tmp_path):
    archive = make_tar(tmp_path / "a.tar.gz", {"set/a.txt": DATA})
    archive.write_bytes(archive.read_bytes()[:1_000_000])
    with pytest.raises(UserError, match="torn or no tar archive"):
        unpack(archive, tmp_path / "out", by_pattern(r"set/(?P<path>.+)"), 10**9)
    archive.write_bytes(b"no archive at all")
    with pytest.raises(UserError, match="torn or no tar archive"):
        unpack(archive, tmp_path / "out", by_pattern(r"set/(?P<path>.+)"), 10**9)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_PATH", str(tmp_path / "data"))
    return tmp_path / "data"


def imdb_archive(path):
    members = {
        f"aclImdb/{s}/{c}/{i}_7.txt": f"{c} film {i}".encode()
        for s in ("train", "test")
        for c in ("pos", "neg")
        for i in range(3)
    }
    return make_tar(path, {"./aclImdb/README": b"r", "aclImdb/train/unsup/0_0.txt": b"u", **members})


@pytest.fixture
def small_imdb(server, monkeypatch):
    """A recipe for three reviews a folder, on the local server."""
    url, folder, _ = server
    archive = imdb_archive(folder / "aclImdb_v1.tar.gz")
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    recipe = Recipe("aclImdb", RECIPES["imdb"].pattern, ((f"{url}/{archive.name}", md5),), disk=1000)
    monkeypatch.setitem(RECIPES, "imdb", recipe)
    monkeypatch.setattr(imdb, "PER_FOLDER", 3)
    return recipe


def test_prepare_downloads_unpacks_checks_and_cleans_up(small_imdb, root):
    assert "half of them positive" in prepare("imdb", [])
    assert sorted(path.name for path in root.iterdir()) == ["aclImdb"]
    assert sorted(path.name for path in (root / "aclImdb" / "train").iterdir()) == ["neg", "pos"]
    assert len(load("imdb", min_freq=1).train) == 6
    assert "half of them positive" in prepare("imdb", [])  # again: nothing to do


def test_prepare_takes_an_archive_and_a_mirror(small_imdb, root, server, tmp_path, monkeypatch):
    urls = (("http://127.0.0.1:9/aclImdb_v1.tar.gz", small_imdb.urls[0][1]),)
    dead = Recipe(small_imdb.target, small_imdb.pattern, urls, disk=1000)
    monkeypatch.setitem(RECIPES, "imdb", dead)
    with pytest.raises(UserError, match=r"cannot reach .*curl -L -O .*--archive aclImdb_v1\.tar\.gz") as error:
        prepare("imdb", [])
    assert "\n" not in str(error.value)
    prepare("imdb", [], mirror=server[0] + "/")
    assert (root / "aclImdb").is_dir()
    monkeypatch.setenv("DATA_PATH", str(tmp_path / "other"))
    prepare("imdb", [server[1] / "aclImdb_v1.tar.gz"])
    assert (tmp_path / "other" / "aclImdb" / "test" / "neg" / "0_7.txt").is_file()


def test_an_archive_of_the_wrong_size_leaves_nothing(small_imdb, root, server, monkeypatch):
    monkeypatch.setattr(imdb, "PER_FOLDER", 4)
    with pytest.raises(UserError, match="3 reviews, expected 4"):
        prepare("imdb", [server[1] / "aclImdb_v1.tar.gz"])
    assert list(root.iterdir()) == []


def test_an_archive_that_unpacks_to_far_more_is_refused(small_imdb, root, server, monkeypatch):
    monkeypatch.setitem(RECIPES, "imdb", Recipe(small_imdb.target, small_imdb.pattern, small_imdb.urls, disk=10))
    with pytest.raises(UserError, match="is refused: it unpacks to more than"):
        prepare("imdb", [server[1] / "aclImdb_v1.tar.gz"])
    assert list(root.iterdir()) == []


def test_prepare_never_touches_what_is_there(small_imdb, root, server):
    (root / "aclImdb").mkdir(parents=True)
    with pytest.raises(UserError, match="remove it"):
        prepare("imdb", [server[1] / "aclImdb_v1.tar.gz"])


def test_a_full_disk_is_said_before_the_download(small_imdb, root, monkeypatch):
    monkeypatch.setitem(RECIPES, "imdb", Recipe("aclImdb", "x", (("http://127.0.0.1:9/x", ""),), disk=10**18))
    with pytest.raises(UserError, match=r"GB free, about 1000000000\.0 GB needed"):
        prepare("imdb", [])


def test_prepare_refuses_what_does_not_fit(root, tmp_path):
    archive = make_tar(tmp_path / "other.tar.gz", {"something/else": b"x"})
    for name, files, message in (
        ("cifar", [archive], "holds no files of cifar"),
        ("cifar", [tmp_path / "no.tar.gz"], "no such file"),
        ("cifar", [tmp_path], "is a folder"),
        ("mnist", [archive], "not one of"),
        ("aan", [], "no working download.*--archive lra_release.gz"),
        ("listops", [], "--generate"),
        ("imdbb", [], "did you mean 'imdb'"),
    ):
        with pytest.raises(UserError, match=message):
            prepare(name, files)


def test_mnist_comes_as_four_files(root, tmp_path, monkeypatch):
    from src.dataloaders import mnist

    files = []
    for stem, shape in zip(mnist.STEMS, ((5, 28, 28), (5,), (4, 28, 28), (4,)), strict=True):
        header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">i4").tobytes()
        files.append(tmp_path / stem)
        files[-1].write_bytes(header + bytes(int(np.prod(shape))))
    monkeypatch.setattr(mnist, "PARTS", {"train": 5, "t10k": 4})
    with pytest.raises(UserError, match="differs from the published file"):
        prepare("mnist", files)
    md5 = {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in files}
    monkeypatch.setattr(mnist.Options, "md5", md5)
    prepare("mnist", files)
    assert len(load("mnist").test) == 4


# the archive of LRA


def png(value, side):
    out = io.BytesIO()
    Image.fromarray(np.full((side, side), value, np.uint8)).save(out, "PNG")
    return out.getvalue()


def lra_members(prefix, resolution, value):
    base = f"{prefix}pathfinder{resolution}/curv_contour_length_14"
    lines = "".join(f"imgs/0 sample_{i}.png {i} {i % 2} 1.0 14\n" for i in range(10))
    members = {f"{base}/metadata/0.npy": lines.encode()}
    return members | {f"{base}/imgs/0/sample_{i}.png": png(value + i, resolution) for i in range(10)}


@pytest.fixture
def lra(tmp_path, monkeypatch):
    """An archive with the nested folders and the broken copy, ten images each."""
    monkeypatch.setattr(pathfinder, "PER_LEVEL", 10)
    monkeypatch.setattr(listops, "SIZES", {"train": 2, "val": 2, "test": 2})
    rows = b"Source\tTarget\r\n( ( ( [MAX 2 ) 9 ) ] )\t9\r\n( ( ( [SM 8 ) 5 ) ] )\t3\r\n"
    members = {f"lra_release/listops-1000/basic_{split}.tsv": rows for split in ("train", "val", "test")}
    members |= lra_members("lra_release/", 128, 200)
    members |= lra_members("lra_release/lra_release/", 128, 100)
    members |= lra_members("lra_release/lra_release/", 32, 50)
    return make_tar(tmp_path / "lra_release.gz", members)


def test_lra_archive(lra, root):
    assert "2 / 2 / 2" in prepare("listops", [lra])
    prepare("pathfinder", [lra])
    prepare("pathx", [lra])
    x = load("pathx", val_split=0.2, test_split=0.2).train.dataset.batch(torch.tensor([0, 7])).x
    assert x.shape == (2, 128 * 128, 1)
    np.testing.assert_allclose(x[:, 0, 0].numpy(), [100 / 255, 107 / 255], atol=1e-6)  # the nested copy
    splits = load("pathfinder", val_split=0.2, test_split=0.2)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (6, 2, 2)
    assert "published files" in splits.note
    assert splits.test.batch(torch.arange(2)).y.tolist() == (splits.test.indices % 2).tolist()


def test_the_broken_pathfinder128_is_refused(tmp_path, root, lra):
    archive = make_tar(tmp_path / "outer.tar.gz", lra_members("lra_release/", 128, 200))
    with pytest.raises(UserError, match="broken and refused"):
        prepare("pathx", [archive])
    with tarfile.open(lra) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    with pytest.raises(UserError, match="broken copy"):
        load("pathx", data_dir=str(tmp_path / "unpacked" / "lra_release" / "pathfinder128"))


def test_an_unpacked_archive_is_linked(lra, root, tmp_path):
    with tarfile.open(lra) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    assert "linked to" in prepare("pathx", [tmp_path / "unpacked"])
    assert (root / "pathfinder" / "pathfinder128").resolve().parent.parent.name == "lra_release"
    x = load("pathx", val_split=0.2, test_split=0.2).train.dataset.batch(torch.tensor([0])).x
    assert float(x[0, 0, 0]) == pytest.approx(100 / 255)


def test_repacked_folders_are_taken(tmp_path, root, lra):
    prepare("pathx", [make_tar(tmp_path / "x.tar.gz", lra_members("", 128, 7))])
    assert (root / "pathfinder" / "pathfinder128" / "curv_contour_length_14" / "imgs" / "0" / "sample_9.png").is_file()


def test_pathfinder_checks(lra, root):
    prepare("pathfinder", [lra])
    folder = root / "pathfinder" / "pathfinder32" / "curv_contour_length_14"
    options = pathfinder.Options()
    (folder / "imgs" / "0" / "sample_3.png").rename(folder / "hidden")
    with pytest.raises(UserError, match=r"1 images are missing, the first imgs/0/sample_3\.png"):
        pathfinder.check(options)
    (folder / "imgs" / "0" / "sample_3.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"sample_3\.png: not a PNG image"):
        load("pathfinder", val_split=0.2, test_split=0.2)
    (folder / "imgs" / "0" / "sample_3.png").write_bytes(png(1, 16))
    with pytest.raises(UserError, match="16 x 16 pixels, expected 32 x 32"):
        load("pathfinder", val_split=0.2, test_split=0.2)
    (folder / "metadata" / "0.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00 binary")
    with pytest.raises(UserError, match="binary array is not read"):
        pathfinder.read_metadata(folder, options.layout)


@pytest.mark.parametrize("name", ["pathfinder", "pathx"])
def test_pathfinder_pixels_are_centred_only_where_asked(lra, root, name):
    prepare(name, [lra])
    options = {"val_split": 0.2, "test_split": 0.2}
    plain, centred = (load(name, **options, **given).test[0][0] for given in ({}, {"center": True}))
    level = float(plain[0, 0]) * 255
    assert level == pytest.approx(round(level), abs=1e-4)  # a whole grey level: nothing but a division by 255
    torch.testing.assert_close(centred, 2 * plain - 1)


def test_the_empty_image_of_the_easy_level_is_skipped(tmp_path):
    folder = tmp_path / "pathfinder32" / "curv_baseline"
    (folder / "metadata").mkdir(parents=True)
    lines = [f"imgs/0 sample_{i}.png {i} 1" for i in (171, 172, 173)]
    (folder / "metadata" / "0.npy").write_text("\n".join(lines))
    assert [s.image for s in pathfinder.read_metadata(folder, pathfinder.Options(level="easy").layout)] == [
        "imgs/0/sample_171.png",
        "imgs/0/sample_173.png",
    ]


# Speech Commands


@pytest.fixture
def speech(tmp_path):
    rng = np.random.default_rng(0)
    clips = {}
    for word in sc.SC35:
        for k in range(3):
            clips[f"{word}/a_nohash_{k}.wav"] = rng.integers(-3000, 5000, 16_000 if k else 12_345)
    for name, samples in clips.items():
        write_wav(tmp_path / name, samples)
    (tmp_path / "validation_list.txt").write_text("\n".join(f"{word}/a_nohash_1.wav" for word in sc.SC35))
    (tmp_path / "testing_list.txt").write_text("\n".join(f"{word}/a_nohash_2.wav" for word in sc.SC35))
    return tmp_path, clips


@pytest.mark.parametrize(("all_classes", "words"), [(False, sc.SC10), (True, sc.SC35)])
def test_speech_commands(speech, all_classes, words):
    folder, clips = speech
    splits = load("sc", data_dir=str(folder), all_classes=all_classes)
    assert splits.n_classes == len(words)
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [len(words)] * 3
    train = np.stack([np.pad(clips[f"{word}/a_nohash_0.wav"], (0, 16_000 - 12_345)) for word in words]) / 32768
    x, y, lengths = splits.train.batch(torch.arange(len(words)))
    assert x.shape == (len(words), 16_000, 1)
    assert lengths is None
    assert y.tolist() == list(range(len(words)))
    np.testing.assert_allclose(x[..., 0].numpy(), (train - train.mean()) / train.std(), rtol=1e-4, atol=1e-5)
    val = (clips[f"{words[4]}/a_nohash_1.wav"] / 32768 - train.mean()) / train.std()
    np.testing.assert_allclose(splits.val[4][0][:, 0].numpy(), val, rtol=1e-4, atol=1e-5)


def test_the_words():
    assert len(sc.SC35) == 35
    assert set(sc.SC10) < set(sc.SC35)


def test_bad_clips_are_named(speech):
    folder, _ = speech
    path = folder / "yes" / "a_nohash_0.wav"
    for damage in (
        lambda: write_wav(path, np.zeros(100), rate=8000),
        lambda: write_wav(path, np.zeros(17_000)),
        lambda: path.write_bytes(b"RIFF"),
    ):
        damage()
        with pytest.raises(UserError, match=r"yes/a_nohash_0\.wav"):
            sc.read_clip(path)
    with pytest.raises(UserError, match="nowhere: no clips there"):
        sc.read_lists(folder, ["nowhere"])


def test_cifar_check_looks_at_the_colours(tmp_path, monkeypatch):
    write_cifar(tmp_path)
    with pytest.raises(UserError, match="expected 10,000 records"):
        cifar.check(cifar.Options(data_dir=str(tmp_path)))
    monkeypatch.setattr(cifar, "PER_FILE", 20)
    with pytest.raises(UserError, match="mean colour"):
        cifar.check(cifar.Options(data_dir=str(tmp_path)))


def test_generated_sets_are_prepared_in_the_layout_of_the_archive(root):
    preparing.generate("pathfinder", {"num": 60, "resolution": 32}, workers=1)
    folder = root / "pathfinder" / "pathfinder32" / "curv_contour_length_14"
    assert (folder / "samples.png").is_file()
    assert "60 images (as generated)" in prepare("pathfinder", [])
