"""(seed file, 64-bit seed) → mutant: which operators, how many, and a record that replays from the two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from tests.trials.mutants import elements, pixels, shell, values
from tests.trials.mutants.seeds import seed_files
from tests.trials.mutants.tree import File, NotATree, NotHere, read_tree, write_tree

MAX_MUTANT_BYTES = 4 << 20
_LAYERS = (
    (shell.FILE_OPERATORS, 2),
    (elements.OPERATORS, 4),
    (values.OPERATORS, 3),
    (pixels.OPERATORS, 5),
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken file, and how it came about."""

    name: str
    seed: int
    content: bytes
    operators: tuple[str, ...]


def mutate(name: str, seed: int) -> Mutant:
    """Return the mutant of a seed file and a number; the same two give the same bytes."""
    content = seed_files()[name]
    chance = Random(f"{name}/{seed}")
    done: list[str] = []
    try:
        file = read_tree(content)
    except (NotATree, RecursionError):
        file = None
    if file is not None and chance.random() < 0.85:
        done += [_changed(file, chance) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
        content = write_tree(file)
    if not done or chance.random() < 0.15:
        content, said = chance.choice(shell.BYTE_OPERATORS)(content or b"\0", chance)
        done.append(said)
    return Mutant(name, seed, content[:MAX_MUTANT_BYTES], tuple(done))


def mutants(seed: int, count: int) -> Iterator[Mutant]:
    """Give a trial's share of mutants: a stream of its own for each seed."""
    chance = Random(seed)
    names = sorted(seed_files())
    own = [name for name in names if name.startswith("made/")]
    for _ in range(count):
        # Half of them from the files that are images in scope: those go all the way to the decoders.
        name = chance.choice(own if chance.random() < 0.5 else names)
        yield mutate(name, chance.getrandbits(64))


def _changed(file: File, chance: Random) -> str:
    while True:
        [operators] = chance.choices([one for one, _ in _LAYERS], [weight for _, weight in _LAYERS])
        with suppress(NotHere):
            return chance.choice(operators)(file, chance)
