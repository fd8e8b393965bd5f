"""A share of each campaign breaks nothing, and the full campaigns broke nothing."""

import json

import pytest

from tests.torture import _campaign, campaigns

CAMPAIGNS = campaigns()

# What a user meets is the package's own error, not the suite's shape checks.
pytestmark = pytest.mark.usefixtures("as_user")


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_share_of_campaign(name, tmp_path):
    """A few tries, with a seed of their own, keep every promise."""
    tally = CAMPAIGNS[name].run(CAMPAIGNS[name].SHARE, seed=1, folder=tmp_path)
    assert tally.endings.total() >= CAMPAIGNS[name].SHARE
    assert not tally.failures, "\n".join(tally.failures)


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_full_campaign_was_clean(name):
    """The committed result of the full campaign has no failure."""
    result = json.loads((_campaign.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    assert result["tried"] >= CAMPAIGNS[name].TRIES
    assert result["failed"] == 0
