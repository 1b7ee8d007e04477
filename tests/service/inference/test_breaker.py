from service.inference.breaker import FAILURES, OPEN_S, Breaker
from tests.factories import Clock


def test_package_is_left_alone_after_failures_in_a_row_and_others_go_on() -> None:
    breaker = Breaker(Clock())

    for _ in range(FAILURES):
        assert not breaker.is_open("bad")
        breaker.failed("bad", "NaN")

    assert breaker.is_open("bad")
    assert not breaker.is_open("good")
    assert breaker.last_words("bad") == "NaN"


def test_success_between_failures_keeps_the_circuit_closed() -> None:
    breaker = Breaker(Clock())

    for _ in range(FAILURES - 1):
        breaker.failed("moody", "NaN")
    breaker.succeeded("moody")
    breaker.failed("moody", "NaN")

    assert not breaker.is_open("moody")


def test_package_is_tried_again_after_its_time_and_one_failure_opens_it_again() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        breaker.failed("bad", "NaN")

    clock.advance(OPEN_S)

    assert not breaker.is_open("bad")
    breaker.failed("bad", "NaN")
    assert breaker.is_open("bad")
