"""Bundles as one file: there and back, and what must not come out of an archive."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from tiny_bundle import write_tiny_bundle

from bids_dtg.bundles.archive import extract_archive
from bids_dtg.bundles.packing import pack_bundle, unpack_bundle
from bids_dtg.bundles.store import find_bundle, installed_models
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.errors import BundleError, OutputError


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """Make a bundle, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_tiny_bundle(tmp_path / "made" / "tiny")


@pytest.fixture
def packed(bundle, tmp_path):
    pack_bundle(bundle, tmp_path / "tiny.tar")
    return tmp_path / "tiny.tar"


@pytest.fixture
def full_disk(monkeypatch):
    """Have every file that is made anew lie on a disk without space."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    real = Path.open

    def opened(path, mode="r", *more, **options):
        return real(*(Path("/dev/full"), "wb") if "x" in mode else (path, mode), *more, **options)

    monkeypatch.setattr(Path, "open", opened)


def members(bundle) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in bundle.path.iterdir()}


def entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def write_tar(path: Path, entries, mode: str = "w", **options: object) -> Path:
    with tarfile.open(path, mode, **options) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return path


def whole(bundle) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [entry(f"tiny/{name}", content) for name, content in members(bundle).items()]


def test_there_and_back(bundle, packed, tmp_path):
    again = unpack_bundle(packed, tmp_path / "elsewhere" / "copy")
    assert again.identity == bundle.identity
    assert load_bundle(tmp_path / "elsewhere" / "copy").identity == bundle.identity
    assert {p.name for p in again.path.iterdir()} == {p.name for p in bundle.path.iterdir()}
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["copy"]


def test_equal_bundles_give_equal_bytes(bundle, packed, tmp_path):
    os.utime(bundle.path / "model.json", (1, 1))
    (bundle.path / "mask.nii.gz").chmod(0o600)
    (bundle.path / "notes.txt").write_text("not the bundle's", encoding="utf-8")
    pack_bundle(bundle, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == packed.read_bytes()
    with tarfile.open(packed) as tar:
        assert all(name.startswith("tiny/") for name in tar.getnames())
        assert {(one.uid, one.mtime, one.uname) for one in tar} == {(0, 0, "")}


def test_an_archive_is_a_model(bundle, packed, tmp_path, monkeypatch):
    first = load_bundle(packed)
    assert first.identity == bundle.identity
    first.network()
    assert first.path.is_relative_to(tmp_path / "cache" / "bids_dtg" / "unpacked")
    before = (first.path / "model.json").stat().st_mtime_ns
    monkeypatch.chdir(tmp_path)
    again = load_bundle("tiny.tar")  # a name that ends so is a path
    assert again.path == first.path
    assert (first.path / "model.json").stat().st_mtime_ns == before
    # It is found by no name.
    assert "tiny" not in [model.name for model in installed_models()]


def test_changed_content_of_the_cache_is_refused(packed):
    path = load_bundle(packed).path / "mask.nii.gz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match=r"mask\.nii\.gz has changed"):
        load_bundle(packed)


def test_an_archive_where_nothing_can_be_unpacked_says_what_to_do(packed, full_disk):
    with pytest.raises(BundleError, match=r"cannot be unpacked .*No space.*dtg-models unpack"):
        load_bundle(packed)
    with pytest.raises(BundleError, match=r"there is no cache.*dtg-models unpack"):
        find_bundle(packed, {})


def test_what_is_there_is_not_overwritten(bundle, packed, tmp_path):
    with pytest.raises(OutputError, match=r"tiny\.tar is there already"):
        pack_bundle(bundle, packed)
    with pytest.raises(OutputError, match="made/tiny is there already"):
        unpack_bundle(packed, bundle.path)
    with pytest.raises(OutputError, match="cannot be written"):
        pack_bundle(bundle, tmp_path / "absent" / "x.tar")


@pytest.mark.parametrize("layout", ["", "./", "any-name/", "./any-name/"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_the_usual_tools_are_read(bundle, tmp_path, layout, form):
    entries = [entry(f"{layout}{name}", data) for name, data in members(bundle).items()]
    if layout:
        entries.insert(0, entry(layout.rstrip("/"), type=tarfile.DIRTYPE))
    if form == tarfile.PAX_FORMAT:
        for info, _ in entries:
            info.pax_headers = {"mtime": "1700000000.25"}
    path = write_tar(tmp_path / "x.tar", entries, format=form)
    assert load_bundle(path).identity == bundle.identity


ELSEWHERE = "which leads elsewhere"
NO_FILE = "which is no plain file"


@pytest.mark.parametrize(
    ("name", "fields", "fault"),
    [
        ("../evil", {}, ELSEWHERE),
        ("tiny/../../evil", {}, ELSEWHERE),
        ("/tmp/evil", {}, ELSEWHERE),
        ("tiny/..", {}, ELSEWHERE),
        ("..", {"type": tarfile.DIRTYPE}, ELSEWHERE),
        ("tiny/.hidden", {}, ELSEWHERE),
        ("tiny/a\nb", {}, ELSEWHERE),
        ("tiny/a\\b", {}, ELSEWHERE),
        ("a/b/c", {}, "in a folder of a folder"),
        ("tiny/link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, NO_FILE),
        ("tiny", {"type": tarfile.SYMTYPE, "linkname": "/tmp"}, NO_FILE),
        ("tiny/hard", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}, NO_FILE),
        ("tiny/device", {"type": tarfile.CHRTYPE}, NO_FILE),
        ("tiny/pipe", {"type": tarfile.FIFOTYPE}, NO_FILE),
    ],
)
def test_nothing_but_plain_files_comes_out(bundle, tmp_path, name, fields, fault):
    for entries in (
        [entry(name, **fields), *whole(bundle)],
        [*whole(bundle), entry(name, **fields)],
    ):
        path = write_tar(tmp_path / "x.tar", entries)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(BundleError, match=rf"x\.tar has the entry .*{fault}"):
            unpack_bundle(path, tmp_path / "out")
        assert sorted(tmp_path.rglob("*")) == before


def test_links_are_not_followed_even_where_the_name_is_taken(bundle, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    link = entry("tiny/mask.nii.gz", type=tarfile.SYMTYPE, linkname=str(victim))
    with pytest.raises(BundleError, match="no plain file"):
        unpack_bundle(write_tar(tmp_path / "x.tar", [link, *whole(bundle)]), tmp_path / "out")
    assert victim.read_text(encoding="utf-8") == "mine"


def test_a_name_twice_is_refused(bundle, tmp_path):
    entries = [*whole(bundle), entry("tiny/model.json", b"{}")]
    with pytest.raises(BundleError, match=r"x\.tar holds a name twice"):
        unpack_bundle(write_tar(tmp_path / "x.tar", entries), tmp_path / "out")


def test_files_that_the_card_does_not_list_are_refused(bundle, tmp_path):
    entries = [*whole(bundle), entry("tiny/run.py", b"print()")]
    with pytest.raises(BundleError, match=r"holds run\.py, which its model\.json does not list"):
        load_bundle(write_tar(tmp_path / "x.tar", entries))


def test_missing_and_changed_files_are_refused(bundle, tmp_path):
    parts = members(bundle)
    del parts["mask.nii.gz"]
    path = write_tar(tmp_path / "x.tar", [entry(n, data) for n, data in parts.items()])
    with pytest.raises(BundleError, match=r"out/mask\.nii\.gz is missing"):
        unpack_bundle(path, tmp_path / "out")
    parts["mask.nii.gz"] = b"other"
    path = write_tar(tmp_path / "x.tar", [entry(n, data) for n, data in parts.items()])
    with pytest.raises(BundleError, match=r"out/mask\.nii\.gz has changed"):
        unpack_bundle(path, tmp_path / "out")
    del parts["model.json"]
    path = write_tar(tmp_path / "x.tar", [entry(n, data) for n, data in parts.items()])
    with pytest.raises(BundleError, match=r"x\.tar holds no model\.json"):
        unpack_bundle(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_sparse_file_is_refused(bundle, tmp_path):
    """A terabyte of zeros takes no room in an archive."""
    info = tarfile.TarInfo("tiny/weights.safetensors")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"%011o\0" % 2**33  # the real size, in the old GNU form
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "x.tar"
    path.write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(BundleError, match=r"x\.tar has the entry .* no plain file"):
        unpack_bundle(path, tmp_path / "out")
    assert [one.name for one in tmp_path.iterdir() if one.name != "made"] == ["x.tar"]


def test_an_entry_that_says_it_is_larger_than_the_archive_is_refused(bundle, tmp_path):
    info, _ = entry("tiny/maps.nii.gz")
    info.size = 2**40
    path = tmp_path / "x.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"a few bytes")
    with pytest.raises(BundleError, match=f"of {2**40} bytes, more than the archive has"):
        unpack_bundle(path, tmp_path / "out")


def test_a_header_that_asks_for_all_memory_is_refused(tmp_path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**32
    path = tmp_path / "x.tar"
    path.write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(4096))
    with pytest.raises(BundleError, match=r"x\.tar is damaged .*a header of 4294967296 bytes"):
        extract_archive(path, tmp_path)


def test_bounds_on_archives(tmp_path):
    many = write_tar(tmp_path / "x.tar", [entry(f"tiny/f{n}") for n in range(65)])
    with pytest.raises(BundleError, match="has over 64 entries"):
        unpack_bundle(many, tmp_path / "out")
    with many.open("ab") as file:
        file.truncate(2**32 + 1)  # which takes no room
    with pytest.raises(BundleError, match=rf"x\.tar has {2**32 + 1} bytes\. Expected: at most"):
        unpack_bundle(many, tmp_path / "out")


@pytest.mark.parametrize("kept", [0, 700, 1100, -12000])
def test_cut_archives_are_refused(packed, tmp_path, kept):
    (tmp_path / "cut.tar").write_bytes(packed.read_bytes()[:kept])
    with pytest.raises(BundleError, match=r"cut\.tar|out/"):
        unpack_bundle(tmp_path / "cut.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_compressed_and_other_files_are_refused(bundle, tmp_path):
    write_tar(tmp_path / "x.tar", whole(bundle), mode="w:gz")
    with pytest.raises(BundleError, match=r"no tar file.*without compression"):
        load_bundle(tmp_path / "x.tar")
    (tmp_path / "text.tar").write_text("text " * 500, encoding="utf-8")
    with pytest.raises(BundleError, match=r"text\.tar is damaged or no tar file"):
        load_bundle(tmp_path / "text.tar")
    with pytest.raises(BundleError, match=r"there is no .*absent\.tar"):
        load_bundle(tmp_path / "absent.tar")
    with pytest.raises(BundleError, match=r"absent\.tar cannot be read"):
        unpack_bundle(tmp_path / "absent.tar", tmp_path / "out")


def test_a_full_disk_leaves_nothing(packed, tmp_path, full_disk):
    with pytest.raises(OutputError, match="out cannot be written: No space left"):
        unpack_bundle(packed, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "tiny.tar"]


def test_nothing_is_made_for_an_archive_that_is_refused(tmp_path):
    folder = tmp_path / "models" / "x"
    for path in (tmp_path / "gone.tar", write_tar(tmp_path / "empty.tar", [])):
        with pytest.raises(BundleError, match=path.name):
            unpack_bundle(path, folder)
    assert not folder.parent.exists()
