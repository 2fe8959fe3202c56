"""How far the host may run ahead of the device."""

import itertools

from cnnlab.train.runtime.throttle import Throttle


def waits(seconds_of_call, calls):
    """Numbers of the calls that are waited for, on a device that takes so long for each."""
    now = 0.0
    throttle = Throttle(0.5, clock=lambda: now)
    found = []
    for call in range(1, calls + 1):
        now += seconds_of_call(call)
        if throttle.wait_is_due():
            throttle.waited()
            found.append(call)
    return found


def test_slow_calls_are_waited_for_one_by_one():
    assert waits(lambda call: 3.0, 5) == [1, 2, 3, 4, 5]


def test_fast_calls_are_waited_for_every_half_a_second():
    found = waits(lambda call: 0.01, 1000)
    assert found[:4] == [1, 3, 7, 15]  # twice as many each time, until they fill half a second
    # Sums of a hundredth are not exact.
    assert {b - a for a, b in itertools.pairwise(found[8:])} <= {49, 50}


def test_a_compilation_at_first_is_not_held_against_the_calls_after_it():
    found = waits(lambda call: 20.0 if call == 1 else 0.01, 300)
    assert found[0] == 1 and found[-1] - found[-2] in (49, 50)


def test_calls_that_get_slower():
    found = waits(lambda call: 0.01 if call < 200 else 2.0, 300)
    assert found[-1] - found[-2] == 1


def test_several_devices_of_a_cpu_are_waited_for_after_each_call():
    now = 0.0
    throttle = Throttle(clock=lambda: now)  # tests have eight devices
    for _ in range(100):
        now += 0.001
        assert throttle.wait_is_due()
        throttle.waited()
