# SPDX-License-Identifier: Apache-2.0
"""Open Bandit's clicks, by policy and campaign, and the comparison of the two policies, by SQL after the whole way.

The campaign `men`, where the policies differ; all three with NADI_TEST_FULL_SIZES=1.
"""

import math
import pathlib
import statistics
import subprocess
import sys

import pytest

BANDIT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(BANDIT), str(BANDIT.parent)]
import borrowed  # noqa: E402
import replay  # noqa: E402

REASON = borrowed.missing(replay.DATA)
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

#: Clicks of 10,000 impressions each, as published with the data.
CLICKS = {("random", "all"): 38, ("random", "men"): 46, ("random", "women"): 46,
          ("bts", "all"): 42, ("bts", "men"): 69, ("bts", "women"): 46}  # fmt: skip
CAMPAIGNS = replay.CAMPAIGNS if borrowed.FULL else ("men",)
CLICKS = {key: clicks for key, clicks in CLICKS.items() if key[1] in CAMPAIGNS}
Z = statistics.NormalDist().inv_cdf(0.975)


def wilson(count, n):
    """Wilson's interval of a share, 95 %."""
    share, scale = count / n, 1 + Z**2 / n
    middle, half = share + Z**2 / (2 * n), Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return (middle - half) / scale, (middle + half) / scale


@pytest.fixture(scope="module")
def shown():
    """The database after the command, and what the command said."""
    with borrowed.database() as uri:
        yield uri, borrowed.replayed(BANDIT / "replay.py", uri, *(f"--campaign={name}" for name in CAMPAIGNS))


@pytest.mark.parametrize("policy, campaign", CLICKS)
def test_clicks_and_their_intervals(shown, policy, campaign):
    row, = borrowed.ask(shown[0], script=f"""
            SELECT * FROM nadi.outcome_rates('{replay.MODEL}', '{replay.FIRST}', '{replay.LAST}', versions => ARRAY['{policy}'],
                slice_key => 'campaign', slice_values => ARRAY['{campaign}']) WHERE outcome_name = 'click'""")
    clicks = CLICKS[policy, campaign]
    assert [int(row[name]) for name in ("prediction_count", "outcome_count", "positive_count")] == [10_000, clicks, clicks]
    lower, upper = wilson(clicks, 10_000)
    found = [float(row[name]) for name in ("positive_rate", "positive_lower", "positive_upper")]
    assert found == pytest.approx([clicks / 10_000, lower, upper], abs=1e-9)


@pytest.mark.parametrize("campaign", [*CAMPAIGNS, None])
def test_the_policies_compared(shown, campaign):
    only = "" if campaign is None else f", slice_key => 'campaign', slice_values => ARRAY['{campaign}']"
    row, = borrowed.ask(shown[0], script=f"""
            SELECT * FROM nadi.compare_versions('{replay.MODEL}', '{replay.FIRST}', '{replay.LAST}', 'random', 'bts'{only})
            WHERE measure = 'click_through'""")
    first, second = (
        sum(count for (policy, where), count in CLICKS.items() if policy == name and campaign in (None, where)) for name in replay.POLICIES)
    n = 10_000 * (1 if campaign else len(CAMPAIGNS))
    assert [int(row["first_count"]), int(row["second_count"])] == [n, n]
    assert [float(row["first_value"]), float(row["second_value"])] == pytest.approx([first / n, second / n], abs=1e-12)
    # Newcombe's interval of the difference, from Wilson's of the two (method 10).
    a, b = first / n, second / n
    (a_low, a_high), (b_low, b_high) = wilson(first, n), wilson(second, n)
    interval = [b - a - math.hypot(b - b_low, a_high - a), b - a + math.hypot(b_high - b, a - a_low)]
    assert [float(row[name]) for name in ("difference", "lower", "upper")] == pytest.approx([b - a, *interval], abs=1e-9)
    pooled = (first + second) / (2 * n)
    p_value = 2 * statistics.NormalDist().cdf(-abs(b - a) / math.sqrt(pooled * (1 - pooled) * 2 / n))
    assert float(row["p_value"]) == pytest.approx(p_value, abs=1e-6)
    assert row["comparison_state"] == ("better" if campaign == "men" or CAMPAIGNS == ("men",) else "no_difference")


def test_the_command_prints_both_tables(shown):
    _, done = shown
    printed = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines()]
    for (policy, campaign), clicks in CLICKS.items():
        assert [campaign, policy, "10000", str(clicks)] in [line[:4] for line in printed]
    written = f"{20_000 * len(CAMPAIGNS):,} impressions and {sum(CLICKS.values())} clicks"
    assert f"{written} written, shipped and loaded" in done.stderr
    assert not borrowed.FULL or written == "60,000 impressions and 287 clicks"
    assert "CLEAN: every line is accounted for." in done.stderr
    help_text = subprocess.run([BANDIT / "replay", "--help"], capture_output=True, text=True, check=True).stdout
    assert "nadi.compare_versions" in help_text
