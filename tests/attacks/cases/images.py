"""Attacks on images: BOLD, its mask, the atlas."""

from __future__ import annotations

import gzip
import os
import struct
import zlib

import numpy as np
from attacks.cases.case import case, rows
from attacks.scene import Scene, change, put, stamp
from fmriprep_dataset import make_image
from tiny_bundle import TINY_AFFINE, TINY_SHAPE
from tiny_job import TR, tiny_bold

# Offsets of the fields of a NIfTI-1 header.
DIM, DATATYPE, BITPIX, PIXDIM, OFFSET, SLOPE, UNITS = 40, 70, 72, 76, 108, 112, 123
QFORM, SFORM, QUATERN, AFFINE, MAGIC = 252, 254, 256, 280, 344


def shorts(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}h", *values)


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


NAN, INF = float("nan"), float("inf")
BROKEN = {
    "no-magic": (MAGIC, b"\0\0\0\0"),
    "pair-magic": (MAGIC, b"ni1\0"),
    "header-size": (0, b"\xff\xff\xff\x7f"),
    "swapped-size": (0, b"\0\0\1\x5c"),
    "no-dimensions": (DIM, shorts(0, 0, 0, 0, 0)),
    "dim-0": (DIM, shorts(4, 0, 12, 9, 60)),
    "dim-negative": (DIM, shorts(4, -10, 12, 9, 60)),
    "frames-negative": (DIM, shorts(4, 10, 12, 9, -60)),
    "frames-0": (DIM, shorts(4, 10, 12, 9, 0)),
    "dim-huge": (DIM, shorts(4, 32767, 32767, 32767, 60)),
    "frames-huge": (DIM, shorts(4, 10, 12, 9, 32767)),
    "eight-dimensions": (DIM, shorts(8, 10, 12, 9, 60, 1, 1, 1)),
    "five-dimensions": (DIM, shorts(5, 10, 12, 9, 60, 3)),
    "type-0": (DATATYPE, shorts(0, 0)),
    "type-unknown": (DATATYPE, shorts(12345, 16)),
    "type-complex": (DATATYPE, shorts(32, 64)),
    "type-rgb": (DATATYPE, shorts(128, 24)),
    "type-float128": (DATATYPE, shorts(1536, 128)),
    "affine-0": (AFFINE, floats(*[0] * 12)),
    "affine-nan": (AFFINE, floats(*[NAN] * 12)),
    "affine-infinite": (AFFINE, floats(*[INF] * 12)),
    "affine-1e30": (AFFINE, floats(1e30, 0, 0, 0, 0, 1e30, 0, 0, 0, 0, 1e30, 0)),
    "affine-1e-30": (AFFINE, floats(1e-30, 0, 0, 0, 0, 1e-30, 0, 0, 0, 0, 1e-30, 0)),
    "affine-singular": (AFFINE, floats(2, 2, 0, 0, 2, 2, 0, 0, 0, 0, 2, 0)),
    "affine-far": (AFFINE, floats(2, 0, 0, 1e6, 0, 2, 0, 1e6, 0, 0, 2, 1e6)),
    "intercept-nan": (SLOPE, floats(1, NAN)),
    "intercept-infinite": (SLOPE, floats(1, INF)),
    "slope-1e38": (SLOPE, floats(1e38, 0)),
    "slope-infinite": (SLOPE, floats(INF, 0)),
    "negative-dimensions": (DIM, shorts(-4, 10, 12, 9, 60)),
}
rows(
    "bold",
    lambda scene, at: stamp(scene["bold"], *at),
    BROKEN,
    1,
    says=r"_bold\.nii\.gz",
)
rows(
    "bold",
    lambda scene, at: stamp(scene["bold"], *at),
    {
        "slope-0": (SLOPE, floats(0, 0)),
        "slope-nan": (SLOPE, floats(NAN, 0)),
        "slope-negative": (SLOPE, floats(-1, 0)),
        "slope-tiny": (SLOPE, floats(1e-38, 0)),
        "intercept-1e30": (SLOPE, floats(1, 1e30)),
        "offset-0": (OFFSET, floats(0)),
        "offset-negative": (OFFSET, floats(-352)),
        "offset-nan": (OFFSET, floats(NAN)),
        "offset-huge": (OFFSET, floats(1e18)),
        "offset-in-the-middle": (OFFSET, floats(4000)),
        "no-form": (QFORM, shorts(0, 0)),
        "form-unknown": (QFORM, shorts(99, 99)),
        "quaternion-nan": (QUATERN, floats(NAN, NAN, NAN, NAN, NAN, NAN)),
        "pixdim-nan": (PIXDIM, floats(*[NAN] * 8)),
        "pixdim-0": (PIXDIM, floats(*[0] * 8)),
        "pixdim-negative": (PIXDIM, floats(1, -2, -2, -2, -10)),
        "units-unknown": (UNITS, b"\xff"),
        "units-milliseconds": (UNITS, bytes([2 | 16])),
        "frames-of-three": (DIM, shorts(4, 10, 12, 9, 3)),
        "frames-fewer": (DIM, shorts(4, 10, 12, 9, 30)),
        "frames-one": (DIM, shorts(4, 10, 12, 9, 1)),
        "three-dimensions": (DIM, shorts(3, 10, 12, 9, 1)),
        "bitpix": (BITPIX, shorts(1)),
        "extension": (348, b"\1\0\0\0"),
        "intent": (68, shorts(1007)),
        "names": (148, b"\xff\x1b[31m\0" * 10),
    },
)


def bold(values: np.ndarray):
    return lambda scene: make_image(scene["bold"], values, TINY_AFFINE, TR)


def with_value(value: float, where=(5, 6, 4, 10)) -> np.ndarray:
    values = tiny_bold().astype(np.float32)
    values[where] = value
    return values


rows(
    "bold",
    lambda scene, make: (scene["bold"].unlink(), make(scene)),
    {
        "nan-everywhere": bold(np.full((*TINY_SHAPE, 60), np.nan, np.float32)),
        "infinite-everywhere": bold(np.full((*TINY_SHAPE, 60), np.inf, np.float32)),
        "zeros": bold(np.zeros((*TINY_SHAPE, 60), np.int16)),
        "constant": bold(np.full((*TINY_SHAPE, 60), 7, np.int16)),
        "1e38": bold(np.full((*TINY_SHAPE, 60), 1e38, np.float32)),
        "one-frame": bold(tiny_bold()[..., :1]),
        "five-frames": bold(tiny_bold()[..., :5]),
        "another-grid": bold(np.ones((2, 2, 2, 60), np.int16)),
    },
    1,
    says=r"_bold\.nii\.gz|timeseries\.tsv",
)
rows(
    "bold",
    lambda scene, make: (scene["bold"].unlink(), make(scene)),
    {
        "one-nan": bold(with_value(np.nan)),
        "one-infinite": bold(with_value(np.inf)),
        "one-1e38": bold(with_value(1e38)),
        "a-frame-of-nan": bold(with_value(np.nan, (..., 10))),
        "a-voxel-of-nan": bold(with_value(np.nan, (5, 6, 4))),
        "subnormal": bold((tiny_bold() * 1e-42).astype(np.float32)),
        "doubles-1e300": bold(tiny_bold() * 1e300),
        "integers-64": bold(tiny_bold().astype(np.int16).astype(">i2")),
    },
)


def bomb(mebibytes: int) -> bytes:
    """Compress zeros a thousandfold: one mebibyte, and its bytes again and again."""
    block, checksum = bytes(2**20), 0
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(mebibytes):
        checksum = zlib.crc32(block, checksum)
    header, end = b"\x1f\x8b\x08" + bytes(6) + b"\xff", b"\x03\x00"
    size = mebibytes * len(block) % 2**32
    return header + packed * mebibytes + end + struct.pack("<II", checksum, size)


def cut(share: float):
    return lambda content: content[: int(len(content) * share)]


def flipped(place: float):
    def flip(content: bytes) -> bytes:
        at = int(len(content) * place)
        return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]

    return flip


rows(
    "gz",
    lambda scene, edit: put(scene["bold"], edit(scene["bold"].read_bytes())),
    {
        "empty": cut(0),
        "of-ten-bytes": lambda content: content[:10],
        "cut-early": cut(0.01),
        "cut-in-the-middle": cut(0.5),
        "cut-at-the-end": lambda content: content[:-4],
        "flipped-in-the-middle": flipped(0.5),
        "flipped-in-the-header": flipped(0.0),
        "flipped-checksum": lambda content: content[:-6] + b"\0\0" + content[-4:],
        "of-text": lambda content: gzip.compress(b"<html>404</html>" * 99),
        "bomb": lambda content: bomb(1024),
        "bomb-after-a-header": lambda content: (
            gzip.compress(gzip.decompress(content)[:400]) + bomb(1024)
        ),
        "twice": lambda content: gzip.compress(content),
        "not-compressed": lambda content: gzip.decompress(content),
    },
    (0, 1),
)
rows(
    "gz",
    lambda scene, edit: put(scene["bold"], edit(scene["bold"].read_bytes())),
    {
        "garbage-after": lambda content: content + b"garbage" * 99,
        "another-member-after": lambda content: content + gzip.compress(b"x" * 999),
        "bomb-after": lambda content: content + bomb(512),
        "in-two-members": lambda content: (
            gzip.compress(gzip.decompress(content)[:5000])
            + gzip.compress(gzip.decompress(content)[5000:])
        ),
    },
)
rows(
    "bold",
    lambda scene, make: (scene["bold"].unlink(), make(scene["bold"])),
    {
        "fifo": os.mkfifo,
        "folder": os.mkdir,
        "endless": lambda path: path.symlink_to("/dev/zero"),
        "link-to-itself": lambda path: path.symlink_to(path.name),
        "broken-link": lambda path: path.symlink_to("gone"),
        "gone": lambda path: None,
    },
    1,
)


def mask(values: np.ndarray, affine: np.ndarray = TINY_AFFINE):
    return lambda scene: make_image(scene["mask"], values, affine)


SHIFTED = TINY_AFFINE.copy()
SHIFTED[:3, 3] += 500
rows(
    "mask",
    lambda scene, make: (scene["mask"].unlink(), make(scene)),
    {
        "empty": mask(np.zeros(TINY_SHAPE, np.uint8)),
        "nan": mask(np.full(TINY_SHAPE, np.nan, np.float32)),
        "negative": mask(np.full(TINY_SHAPE, -1, np.int16)),
        "of-halves": mask(np.full(TINY_SHAPE, 0.5, np.float32)),
        "elsewhere": mask(np.ones(TINY_SHAPE, np.uint8), SHIFTED),
        "of-another-grid": mask(np.ones((20, 24, 18), np.uint8)),
        "one-voxel": mask(np.ones((1, 1, 1), np.uint8)),
        "labels": mask(np.arange(1080, dtype=np.int16).reshape(TINY_SHAPE)),
        "folder": lambda scene: scene["mask"].mkdir(),
        "fifo": lambda scene: os.mkfifo(scene["mask"]),
        "text": lambda scene: put(scene["mask"], "mask"),
        "no-bytes": lambda scene: put(scene["mask"], b""),
        "link-to-itself": lambda scene: scene["mask"].symlink_to(scene["mask"].name),
        "gone": lambda scene: None,
    },
    (0, 1),
)
rows(
    "mask",
    lambda scene, make: (scene["mask"].unlink(), make(scene)),
    {
        "four-dimensions": mask(np.ones((*TINY_SHAPE, 2), np.uint8)),
        "flat": mask(np.ones((10, 12), np.uint8)),
    },
    1,
    says=r"_mask\.nii\.gz has sizes",
)


def declared(shape: tuple[int, ...], held: int, datatype: tuple[int, int] = (2, 8)) -> bytes:
    """Make an image whose header declares a shape, with some mebibytes of zeros after it."""
    header = bytearray(348)
    header[0:4] = struct.pack("<i", 348)
    header[DIM : DIM + 16] = shorts(len(shape), *shape, *[1] * (7 - len(shape)))
    header[DATATYPE : DATATYPE + 4] = shorts(*datatype)
    header[PIXDIM : PIXDIM + 32] = floats(1, 2, 2, 2, 1, 1, 1, 1)
    header[OFFSET : OFFSET + 4] = floats(352)
    header[QFORM : QFORM + 4] = shorts(0, 4)
    header[AFFINE : AFFINE + 48] = floats(*TINY_AFFINE[:3].ravel())
    header[MAGIC : MAGIC + 4] = b"n+1\0"
    return gzip.compress(bytes(header) + bytes(4)) + bomb(held)


rows(
    "mask",
    lambda scene, facts: put(scene["mask"], declared(*facts)),
    {
        "of-1-gibibyte": ((1024, 1024, 1024), 1024),
        "of-67-million-doubles": ((512, 512, 256), 512, (64, 64)),
        "declared-only": ((32767, 32767, 32767), 1),
    },
    (0, 1),
)


@case(1, says="_bold.nii.gz", seconds=3)
def frames_of_half_a_gibibyte(scene: Scene) -> None:
    put(scene["bold"], declared((1024, 1024, 512, 60), 600))


@case()
def masks_cut(scene: Scene) -> None:
    put(scene["mask"], scene["mask"].read_bytes()[:-20])


@case()
def mask_with_a_damaged_header(scene: Scene) -> None:
    stamp(scene["mask"], DIM, shorts(3, -10, 0, 9))


@case()
def bold_beside_its_uncompressed_twin(scene: Scene) -> None:
    twin = scene["bold"].with_suffix("")
    put(twin, gzip.decompress(scene["bold"].read_bytes()))


def atlas(content):
    def attack(scene: Scene) -> None:
        path = scene.place / "atlas-A_space-MNI152NLin6Asym_dseg.nii.gz"
        scene.options += ["--atlases", str(path)]
        content(path)

    return attack


ATLASES = {
    "fine": lambda path: make_image(
        path, (np.arange(1080) % 7).astype(np.int16).reshape(TINY_SHAPE), TINY_AFFINE
    ),
    "nan": lambda path: make_image(path, np.full(TINY_SHAPE, np.nan, np.float32), TINY_AFFINE),
    "negative": lambda path: make_image(path, -np.ones(TINY_SHAPE, np.int16), TINY_AFFINE),
    "labels-of-2-to-60": lambda path: make_image(path, np.full(TINY_SHAPE, 2.0**60), TINY_AFFINE),
    "fractions": lambda path: make_image(path, np.full(TINY_SHAPE, 0.3), TINY_AFFINE),
    "empty": lambda path: make_image(path, np.zeros(TINY_SHAPE, np.int16), TINY_AFFINE),
    "four-dimensions": lambda path: make_image(
        path, np.ones((*TINY_SHAPE, 3), np.int16), TINY_AFFINE
    ),
    "of-another-grid": lambda path: make_image(path, np.ones((3, 3, 3), np.int16), TINY_AFFINE),
    "a-label-a-voxel": lambda path: make_image(
        path, np.arange(1, 1081, dtype=np.int32).reshape(TINY_SHAPE), TINY_AFFINE
    ),
    "huge": lambda path: put(path, declared((1024, 1024, 1024), 1024, (16, 32))),
    "declared-only": lambda path: put(path, declared((32767, 32767, 2000), 1, (16, 32))),
    "cut": lambda path: put(path, declared(TINY_SHAPE, 0)),
    "text": lambda path: put(path, "atlas"),
    "folder": lambda path: path.mkdir(),
    "fifo": os.mkfifo,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "gone": lambda path: None,
}
rows(
    "atlas",
    lambda scene, content: atlas(content)(scene),
    ATLASES,
    (0, 1, 2),
    healthy=False,
)


@case((0, 1, 2), healthy=False)
def atlas_with_a_table_of_labels_that_is_damaged(scene: Scene) -> None:
    atlas(ATLASES["fine"])(scene)
    (scene.place / "atlas-A_space-MNI152NLin6Asym_dseg.tsv").write_bytes(
        b'index\tname\n1\t"open\n\xff\t\n' + b"\0" * 50
    )


@case(1, says=r"_mask\.nii\.gz")
def mask_of_a_scale_that_is_not_finite(scene: Scene) -> None:
    change(scene["mask"], lambda content: content[:SLOPE] + floats(1, INF) + content[SLOPE + 8 :])
