"""The recipe's hash: moved by code and parameters, not by words; and the table of names."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from preprocessing import display, radiograph
from preprocessing.radiograph import RadiographParameters
from preprocessing.recipes import RECIPES, RadiographRecipe, bare_code, recipe_hash

CODE = '''"""Module."""

LIMIT = 3  # a comment
"""What it limits."""


def double(value: int) -> int:
    """Docstring
    of two lines.
    """
    # another comment
    text = "not # a comment"
    return value * 2 + len(text)
'''


def test_comments_docstrings_and_blank_lines_do_not_count() -> None:
    bare = """LIMIT = 3
def double(value: int) -> int:
    text = "not # a comment"
    return value * 2 + len(text)"""

    assert bare_code(CODE) == bare


@pytest.mark.parametrize(
    ("old", "new"),
    [("value * 2", "value * 3"), ("LIMIT = 3", "LIMIT = 4"), ("not # a", "now # a"), ("    return", "        return")],
)
def test_every_change_of_code_changes_the_hash(old: str, new: str) -> None:
    changed = CODE.replace(old, new)
    if new.startswith("        "):
        changed = CODE.replace("    text", "    if value:\n        text").replace(old, new)

    assert changed != CODE
    assert recipe_hash("r/1", "", CODE) != recipe_hash("r/1", "", changed)


def test_a_change_of_words_keeps_the_hash() -> None:
    changed = CODE.replace('a comment\n"', 'other words\n"').replace("of two lines", "of two\n\n    or three lines")

    assert changed != CODE
    assert recipe_hash("r/1", "", CODE) == recipe_hash("r/1", "", changed)


def test_name_parameters_and_each_module_count() -> None:
    hashes = {
        recipe_hash(*parts) for parts in (("a", "b", "c=1"), ("a", "x", "c=1"), ("z", "b", "c=1"), ("a", "b", "c=2"))
    }

    assert len(hashes) == 4
    assert recipe_hash("a", "b", "c=1", "d=1") != recipe_hash("a", "b", "c=1\nd=1")


@pytest.mark.parametrize("field", [field.name for field in fields(RadiographParameters)])
def test_every_parameter_is_part_of_the_hash(field: str) -> None:
    plain = RadiographParameters()
    value = getattr(plain, field)
    changed = replace(plain, **{field: (1.0, 99.0) if isinstance(value, tuple) else value * 2})

    assert RadiographRecipe("r/1", plain).sha256 != RadiographRecipe("r/1", changed).sha256


def test_a_comment_in_a_real_module_does_not_move_the_hash_of_the_recipe() -> None:
    for module in (display, radiograph):
        source = Path(module.__file__ or "").read_text(encoding="utf-8")

        assert bare_code(source) == bare_code(f"# more words\n{source}\n# and more\n")


def test_recipes_are_found_by_name_and_version_and_keep_their_hash() -> None:
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert len(recipe.sha256) == 64
        assert recipe.sha256 == recipe.sha256
