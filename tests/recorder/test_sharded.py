"""Weights on two processes: each measures its part, and together they find what one process finds."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from speedlimits.runs import load_recording
from tests.recorder.loops import mlp

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without processes that talk")
def test_shards_together_are_the_whole(tmp_path):
    """DDP, ZeRO-1, FSDP and FSDP2 on gloo: path, gradients, snapshots to 1e-5, and the same drift.

    A sketch lies within its tolerance, alike on all ranks. Where some weights are cut and others whole, the path is
    exact, too, and all ranks refuse drift and sketch, not one alone. Gradients of ranks tell what half batches tell,
    clipped or not.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "tests.recorder.sharded", str(port), str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300, capture_output=True)
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert ranks[0]["ranks"] == ranks[1].pop("ranks")
    for found in ranks[0].pop("ranks"):
        for name in ("", ", share", ", error"):
            assert found[f"ranks{name}"] == pytest.approx(found[f"halves{name}"], rel=1e-4), name
        assert 0.1 < found["ranks, share"] < 0.9
        assert found["clipped"] == 1 or found["clipped"] < 0.5
    for found in (rank.pop("mixed") for rank in ranks):
        assert found["error"] < 1e-6
        assert found["sketched"] == (
            "`memory` must be 'copy' where some weights are sharded and others whole on every rank."
        )
        assert found["words"] == "`noise` needs weights that are all sharded, or none; some lie whole on every rank."
    for way in ranks[0]:
        for found in (rank[way] for rank in ranks):
            assert found["error"] < 1e-6, way
            assert found["gradient"] < 1e-5, way
            assert found["snapshots"] < 1e-6, way
            assert 0.05 < found["tolerance"] < 0.5, way
            assert abs(found["sketched"] / found["exact"] - 1) < found["tolerance"], way
            assert found["starts"] == 41, way
            assert found["drift"] == pytest.approx(found["whole"], rel=0.05), way
        for name in ("error", "drift", "sketched", "tolerance"):
            assert ranks[0][way][name] == ranks[1][way][name], way
        # Saved once, and of the whole model.
        saved = load_recording(tmp_path / way)
        assert saved.config.weights == sum(weight.numel() for weight in mlp().parameters()), way
        assert saved.noise is not None
        assert saved.noise.inefficiency == ranks[0][way]["drift"], way
        assert (tmp_path / f"{way}.html").exists()
