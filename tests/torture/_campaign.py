"""What every campaign shares: its tally, and a result with the environment it was measured in."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speedlimits._files import write_text_atomically
from speedlimits.runs.provenance import provenance

RESULTS = Path(__file__).parent / "results"
SHOWN = 20  # failures kept in the result


@dataclass
class Tally:
    """What a campaign tried, how each try ended, and the tries that broke a promise.

    Args:
        endings: how many tries ended in each way.
        failures: one sentence for each broken promise, enough to try it again.
    """

    endings: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, ending: str, failure: str | None = None) -> None:
        """Count one try.

        Args:
            ending: how it ended, in a word or two.
            failure: what was promised and did not hold.
        """
        self.endings[ending] += 1
        if failure is not None:
            self.failures.append(failure)

    def result(self) -> dict[str, Any]:
        """The counts as JSON."""
        return {
            "tried": self.endings.total(),
            "endings": dict(sorted(self.endings.items())),
            "failed": len(self.failures),
            "failures": self.failures[:SHOWN],
        }


def write(name: str, tally: Tally) -> None:
    """Keep a campaign's counts in tests/torture/results.

    Args:
        name: of the campaign.
        tally: its counts.
    """
    RESULTS.mkdir(exist_ok=True)
    result = {"environment": provenance(device="cpu", workers=1), **tally.result()}
    write_text_atomically(RESULTS / f"{name}.json", json.dumps(result, indent=2, ensure_ascii=False) + "\n")
