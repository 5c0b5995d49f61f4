"""Attacks on tables and settings files: confounds, people, filters, configuration, splits."""

from __future__ import annotations

import json
import os
from pathlib import Path

from attacks.cases.case import add, case, rows
from attacks.scene import Scene, put
from fmriprep_dataset import confound_columns, write_confounds
from tiny_job import FRAMES


def table(edit):
    """Return an attack that edits the columns of the confounds."""

    def attack(scene: Scene) -> None:
        columns = confound_columns(FRAMES)
        edit(columns)
        scene["confounds"].unlink()
        write_confounds(scene["confounds"], columns)

    return attack


def filled(value: str):
    return lambda columns: columns.update({name: [value] * FRAMES for name in columns})


def one_cell(value: str):
    return lambda columns: columns["trans_x"].__setitem__(7, value)


rows(
    "confounds",
    lambda scene, edit: table(edit)(scene),
    {
        "no-motion": lambda columns: [columns.pop(n) for n in list(columns) if "trans" in n],
        "no-csf": lambda columns: columns.pop("csf"),
        "text": filled("oops"),
        "of-no-value": filled("n/a"),
        "empty-cells": filled(""),
        "infinite": filled("inf"),
        "a-row-less": lambda columns: [column.pop() for column in columns.values()],
        "a-row-more": lambda columns: [column.append("0") for column in columns.values()],
        "one-row": lambda columns: [
            column.__delitem__(slice(1, None)) for column in columns.values()
        ],
        "no-rows": lambda columns: [column.clear() for column in columns.values()],
        "a-word": one_cell("oops"),
        "an-infinite-cell": one_cell("inf"),
        "a-number-with-a-comma": one_cell("0,5"),
        "a-number-of-5000-digits": one_cell("1" * 5000),
        "a-quoted-cell": one_cell('"0.5'),
        "hexadecimal": one_cell("0x1F"),
        "1e308": filled("1e308"),
        "a-1e300": one_cell("1e300"),
    },
    1,
    says="confounds",
)
rows(
    "confounds",
    lambda scene, edit: table(edit)(scene),
    {
        "zeros": filled("0"),
        "1e30": filled("1e30"),
        "constant": filled("1.5"),
        "a-nan": one_cell("nan"),
        "subnormal": filled("1e-320"),
        "quoted-name": lambda columns: columns.update({'"trans_x"': columns["trans_x"]}),
        "named-twice": lambda columns: columns.update({"csf ": columns["csf"]}),
        "odd-names": lambda columns: columns.update(
            {name: ["0"] * FRAMES for name in ("", "\x1b[31m", "=cmd()", "../x", "cosine-1")}
        ),
        "cosines-500": lambda columns: columns.update(
            {f"cosine{number:03d}": [str(number)] * FRAMES for number in range(500)}
        ),
        "no-cosines": lambda columns: [columns.pop(n) for n in list(columns) if "cosine" in n],
        "outliers-all": lambda columns: columns.update(
            {f"motion_outlier{n:02d}": [str(int(n == t)) for t in range(FRAMES)] for n in range(60)}
        ),
        "non-steady-all": lambda columns: columns.update(
            {"non_steady_state_outlier00": ["1"] * FRAMES}
        ),
        "non-steady-of-words": lambda columns: columns.update(
            {"non_steady_state_outlier00": ["x"] * FRAMES}
        ),
    },
)
HEAD = "\t".join(confound_columns(FRAMES))
rows(
    "confounds",
    lambda scene, content: put(scene["confounds"], content),
    {
        "empty": "",
        "newline": "\n",
        "header-only": HEAD + "\n",
        "header-without-end": HEAD,
        "binary": bytes(range(256)) * 40,
        "nul-bytes": b"\0" * 9999,
        "not-utf8": HEAD.encode() + b"\n\xff\xfe\t\xe9\n" * FRAMES,
        "commas": HEAD.replace("\t", ",") + "\n",
        "open-quote": f'{HEAD}\n"' + "1\t2\n" * 200,
        "ragged": HEAD + "\n" + "".join("1\t" * n + "\n" for n in range(FRAMES)),
        "long-line": HEAD + "\n" + "1" * 3_000_000 + "\n",
        "long-cell-in-header": "a" * 200_000 + "\t" + HEAD + "\n",
        "html": "<html><body>404</body></html>",
    },
    1,
    says="confounds",
)
rows(
    "confounds",
    lambda scene, make: (scene["confounds"].unlink(), make(scene["confounds"])),
    {
        "fifo": os.mkfifo,
        "folder": os.mkdir,
        "endless": lambda path: path.symlink_to("/dev/zero"),
        "link-to-itself": lambda path: path.symlink_to(path.name),
        "gone": lambda path: None,
    },
    1,
    says="confounds",
)


def wide(scene: Scene) -> None:
    names, values = list(confound_columns(FRAMES)), confound_columns(FRAMES)
    more = "".join(f"\tx{number}" for number in range(200_000))
    cells = "\t0" * 200_000
    lines = ["\t".join(values[name][frame] for name in names) + cells for frame in range(FRAMES)]
    put(scene["confounds"], "\t".join(names) + more + "\n" + "\n".join(lines) + "\n")


add("confounds-of-200000-columns", wide)


# With another strategy the outputs of 02 are others.
@case(healthy=False)
def confounds_described_by_a_damaged_sidecar(scene: Scene) -> None:
    put(scene["confounds"].with_suffix(".json"), "{")
    scene.options += ["--denoise-strategy", "compcor"]


@case(healthy=False)
def confounds_described_by_a_list(scene: Scene) -> None:
    put(scene["confounds"].with_suffix(".json"), '[{"Method": "aCompCor"}]')
    scene.options += ["--denoise-strategy", "compcor"]


@case(healthy=False)
def components_described_by_wrong_types(scene: Scene) -> None:
    columns = confound_columns(FRAMES)
    columns |= {f"a_comp_cor_{n:02d}": [str(n)] * FRAMES for n in range(3)}
    scene["confounds"].unlink()
    write_confounds(scene["confounds"], columns)
    facts = {"a_comp_cor_00": 5, "a_comp_cor_01": {"Mask": [], "Retained": "no"}, "x": None}
    put(scene["confounds"].with_suffix(".json"), json.dumps(facts))
    scene.options += ["--denoise-strategy", "compcor"]


@case(healthy=False)
def aroma_with_words(scene: Scene) -> None:
    stem = "sub-01_task-rest"
    put(scene["confounds"].parent / f"{stem}_desc-MELODIC_mixing.tsv", "a\tb\n\x00\n")
    put(scene["confounds"].parent / f"{stem}_AROMAnoiseICs.csv", "1,two,-5,999999999999")
    scene.options += ["--denoise-strategy", "ica_aroma"]


def given(option: str, name: str):
    """Return an attack that writes a file of settings and gives it with an option."""

    def attack(scene: Scene, content: object) -> None:
        path = scene.place / name
        scene.options += [option, str(path)]
        content(path) if callable(content) else put(path, content)

    return attack


FILTERS = {
    "empty": "",
    "list": "[]",
    "text": '"bold"',
    "null": "null",
    "cut": '{"bold": ',
    "not-utf8": b'{"bold": {"acquisition": "\xff"}}',
    "number": '{"bold": 5}',
    "run-of-30-digits": '{"bold": {"run": 1000000000000000000000000000000}}',
    "run-as-object": '{"bold": {"run": {"a": 1}}}',
    "run-nested": '{"bold": {"run": [[1]]}}',
    "misspelt": '{"blod": {"run": 1}}',
    "misspelt-entity": '{"bold": {"acquisitoin": "x"}}',
    "regular-expression": '{"bold": {"acquisition": "(a+)+$", "regex_search": true}}',
    "broken-expression": '{"bold": {"acquisition": "(((", "regex_search": true}}',
    "nan": '{"bold": {"run": NaN}}',
    "control": '{"bold": {"acquisition": "\\u001b[31m\\u0000"}}',
    "path": '{"bold": {"task": "../../x"}}',
    "root": '{"bold": {"root": "/etc"}}',
    "return-type": '{"bold": {"return_type": "object", "target": "x"}}',
    "invalid-filters": '{"bold": {"invalid_filters": "allow", "scope": "raw"}}',
    "private": '{"bold": {"__class__": "x", "self": 1}}',
    "fifo": os.mkfifo,
    "folder": Path.mkdir,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "gone": lambda path: None,
}
rows(
    "filter",
    given("--bids-filter-file", "filter.json"),
    FILTERS,
    (0, 1, 2),
    seconds=4,
    healthy=False,
)
CONFIGURATIONS = {
    "empty": "",
    "unknown-key": "nonsense = 1",
    "wrong-type": 'fd_threshold = "many"',
    "nan": "min_minutes = nan",
    "infinite": "min_minutes = inf",
    "5000-digits": "nprocs = " + "9" * 5000,
    "list": "nprocs = [1, 2]",
    "date": "nprocs = 2020-01-01",
    "cut": "nprocs = ",
    "twice": "nprocs = 1\nnprocs = 2",
    "not-utf8": b'task_id = "\xff\xfe"',
    "utf16": "nprocs = 1".encode("utf-16"),
    "nul": b"nprocs = 1\0",
    "control": 'task_id = "\\u001b[31m"',
    "json": '{"nprocs": 1}',
    "table": "[nprocs]\na = 1",
    "bids-dir": 'bids_dir = "/etc"',
    "output-dir": 'output_dir = "/etc"',
    "itself": 'config_file = "configuration.toml"',
    "true": "nprocs = true",
    "negative": "nprocs = -5",
    "long-line": "# " + "x" * 5_000_000,
    "fifo": os.mkfifo,
    "folder": Path.mkdir,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "gone": lambda path: None,
}
rows(
    "configuration",
    given("--config-file", "configuration.toml"),
    CONFIGURATIONS,
    (0, 1, 2),
    healthy=False,
)
rows(
    "custom-confounds",
    given("--custom-confounds", "custom.tsv"),
    {
        "empty": "",
        "no-rows": "a\tb\n",
        "too-many-rows": "a\n" + "1\n" * 70,
        "not-utf8": b"\xff\n" + b"1\n" * FRAMES,
        "many-columns": "\t".join(f"c{n}" for n in range(500))
        + "\n"
        + ("\t".join(["1"] * 500) + "\n") * FRAMES,
        "open-quote": '"a\n' + "1\n" * FRAMES,
        "fifo": os.mkfifo,
        "folder": Path.mkdir,
        "endless": lambda path: path.symlink_to("/dev/zero"),
        "gone": lambda path: None,
    },
    (0, 1, 2),
    healthy=False,
)
rows(
    "custom-confounds",
    given("--custom-confounds", "custom.tsv"),
    {
        "words": "a\tb\n" + "x\ty\n" * FRAMES,
        "of-no-value": "a\n" + "nan\n" * FRAMES,
        "infinite": "a\n" + "inf\n" * FRAMES,
    },
    1,
    healthy=False,
    says="custom.tsv",
)
