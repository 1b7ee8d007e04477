"""What comes from outside in a simulation: images, the words of senders and centers, and time."""

from __future__ import annotations

from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.trials.simulated_images import Image
from tests.trials.simulated_service import SimulatedService
from tests.trials.simulated_study import PARTIAL_AFTER_S

STUDIES = some.integers(0, 2)
IMAGES = some.integers(0, 15)
CONTENTS = some.sampled_from("aabcA")
"""The capital is the same in another transfer syntax."""
WHICH = some.integers(0, 5)


class Senders(RuleBasedStateMachine):
    """Who sends, and the clock; the service is another part."""

    def __init__(self) -> None:
        super().__init__()
        life = self.life = SimulatedService()
        self.tables, self.clock, self.archive, self.engine = life.tables, life.clock, life.archive, life.engine
        self.rounds, self.between, self.expected = life.rounds, life.between, life.expected
        self.set_back_s = 0

    @rule(study=STUDIES, image=IMAGES, content=CONTENTS, dies=some.sampled_from((False, False, True)))
    def arrives(self, study: int, image: int, content: str, dies: bool) -> None:
        """An instance comes in; now and then its process dies between the file and the rows."""
        self.life.arrive(self.tables.here, Image(study, image), content=content, dies=dies)

    @precondition(lambda self: self.expected.arrivals.kept)
    @rule(which=IMAGES, content=CONTENTS)
    def arrives_again(self, which: int, content: str) -> None:
        """An instance that is there comes once more, with the same content or other."""
        image = sorted(self.expected.arrivals.kept)[which % len(self.expected.arrivals.kept)]
        self.life.arrive(self.tables.here, image, content=content)

    @rule(seconds=some.sampled_from((1, 10, 29, 31, 61, 301, 1_801)))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.expected.studies)
    @rule(study=STUDIES, image=IMAGES, quiet_times=some.sampled_from((1.0, 0.5, 0.0)))
    def an_image_comes_near_the_limit(self, study: int, image: int, quiet_times: float) -> None:
        """So many quiet times before it, and before a worker has looked."""
        known = self.expected.studies.get(study)
        if known is not None and known.is_arriving:
            moment = known.arriving_since + PARTIAL_AFTER_S - quiet_times * Image(study, image).quiet_s
            self.clock.advance(max(0.0, moment - self.clock()))
            self.life.arrive(self.tables.here, Image(study, image))

    @rule(seconds=some.sampled_from((1, 50, 61, 3_600)))
    def the_clock_is_set_back(self, seconds: int) -> None:
        self.clock.advance(-seconds)
        self.set_back_s += seconds

    @precondition(lambda self: self.expected.studies)
    @rule(study=STUDIES, more=some.none() | some.integers(-1, 3))
    def sender_says_done(self, study: int, more: int | None) -> None:
        """The sender says how many images there are, fewer or more than came, or that these are all."""
        known = self.expected.studies.get(study)
        expected = None if more is None else max(1, more + (known.images if known else 0))
        self.life.say_done(study, expected)

    @precondition(lambda self: self.expected.studies)
    @rule(which=WHICH, priority=some.integers(1, 3))
    def center_asks_for_a_class(self, which: int, priority: int) -> None:
        self.life.ask_for(sorted(self.expected.studies)[which % len(self.expected.studies)], priority)

    @precondition(lambda self: self.expected.studies)
    @rule(study=STUDIES, image=IMAGES, more=some.integers(1, 2))
    def announced_images_come(self, study: int, image: int, more: int) -> None:
        """The sender says how many are left, and sends as many, of which some may be there already."""
        self.sender_says_done(study, more)
        for each in range(more):
            self.life.arrive(self.tables.here, Image(study, image + each))
