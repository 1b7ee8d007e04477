"""The tools of the trials of hostile input: they do what they say, and would notice what they look for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np

from tests.trials.decoders import lossless_jpeg
from tests.trials.mutants.doors import WRITES
from tests.trials.mutants.mutate import mutants, mutate
from tests.trials.mutants.seeds import seed_files
from tests.trials.mutants.tree import NotATree, read_tree, write_tree


def test_a_mutant_is_made_again_from_its_seed_file_and_its_number() -> None:
    made = list(mutants(7, 40))

    again = [mutate(one.name, one.seed) for one in made]

    assert again == made
    assert len({one.content for one in made}) > 35
    assert all(one.operators for one in made)


def test_a_tree_that_nobody_changed_is_written_as_it_was_read() -> None:
    same = 0
    for name, content in seed_files().items():
        try:
            tree = read_tree(content)
        except NotATree:
            continue
        same += write_tree(tree) == content
        assert not name.startswith("made/") or write_tree(tree) == content

    assert same > 100


def test_a_process_that_writes_outside_its_folders_is_reported(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    writes = "open('inside/a', 'w').close(); open('outside', 'w').close(); import os; os.mkdir('folder')"
    environment = {
        **os.environ,
        "PYTHONPATH": str(WRITES),
        "PANDOK_TRIAL_WRITES": str(tmp_path / "report"),
        "PANDOK_TRIAL_MAY_WRITE": str(tmp_path / "inside"),
    }

    subprocess.run([sys.executable, "-c", writes], cwd=tmp_path, env=environment, check=True)

    assert (tmp_path / "report").read_text().split() == ["outside", "folder"]


def test_the_lossless_encoder_writes_the_difference_that_has_no_further_bits() -> None:
    values = np.zeros((9, 8), np.uint16)
    values[:, 1::2] = 32_768
    values[4] = 65_535
    for predictor in range(1, 8):
        data = lossless_jpeg.encode(values, bits=16, predictor=predictor)

        assert np.array_equal(imagecodecs.jpeg8_decode(data), values)
