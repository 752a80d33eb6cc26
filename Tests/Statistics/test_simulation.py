"""False alarms and power, in small: simulation.py makes the tables of sql/README.md with many more weeks and windows."""

from simulation import HOURS, noise, power


def test_nothing_moved_and_hardly_anything_is_shifted(warehouse):
    alarms = []
    for n in (200, 1_000, 10_000, 100_000):
        found, judged = noise(warehouse, n, weeks=1, hours=HOURS[:42])
        assert judged == 42 * 50
        alarms += found
    # A week of a model, in quarters: one is chance.
    assert len(alarms) <= 1 and all(state == "shifted" for _, state, _ in alarms), alarms


def test_real_shifts_are_found(warehouse):
    for shift, share in power(warehouse, windows=80).items():
        assert share > 0.95, f"{shift}: found in {100 * share} %"
