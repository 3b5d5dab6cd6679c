"""Values of neighbours, gathered and averaged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from networld_algos.data import neighbours
from networld_algos.data.neighbours import gather_neighbours, mean_over_neighbours


def random_table(rng, agents=7, slots=4):
    table = rng.integers(-1, agents, size=(2, agents, slots))
    table[0, 0] = -1
    return torch.as_tensor(table)


@pytest.mark.parametrize("dense_agents", [0, 256])
def test_mean_over_neighbours_against_a_loop(dense_agents, monkeypatch):
    monkeypatch.setattr(neighbours, "DENSE_AGENTS", dense_agents)
    rng = np.random.default_rng(0)
    table, values = random_table(rng), torch.as_tensor(rng.normal(size=(2, 7, 3)))
    mean, present = mean_over_neighbours(values, table)
    for e in range(2):
        for i in range(7):
            near = [values[e, j] for j in table[e, i].tolist() if j >= 0]
            want = torch.stack(near).mean(0) if near else torch.zeros(3)
            torch.testing.assert_close(mean[e, i], want.to(mean.dtype))
            assert present[e, i].item() == float(bool(near))
    assert gather_neighbours(values, table).shape == (2, 7, 4, 3)
