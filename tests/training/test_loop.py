"""The training loop computes what a plain loop does, bit for bit, whatever is logged beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from networld_algos import make
from networld_algos.data.batch import WindowSampler
from networld_algos.results.loggers import Log
from networld_algos.training.train import train

UPDATES, SEED = 5, 3


def prepared(name, data):
    model = make(name, data.spec, seed=1)
    model.prepare(data, UPDATES)
    model.train()
    return model


@pytest.mark.parametrize("name", ["bc", "ma-dt", "ma-dd"])
def test_the_loop_and_its_log_change_no_bit_of_a_training(toy, tmp_path, name):
    data = toy("box").collect(6)
    model = prepared(name, data)
    with Log(["csv"], tmp_path) as log:
        log.start(0, UPDATES, {})
        assert train(model, [data], UPDATES, SEED, on_update=log.losses) == UPDATES
    plain, generator = prepared(name, data), torch.Generator()
    for update in range(UPDATES):
        stream = np.random.SeedSequence([SEED, update])
        generator.manual_seed(int(stream.generate_state(1, np.uint64)[0] >> 1))
        sampler = WindowSampler(data, plain.window, plain.batch_size)
        metrics = plain.update(sampler.sample(np.random.default_rng(stream)), generator)
    for key, value in plain.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key
    logged = [line.split(",") for line in (tmp_path / "metrics.csv").read_text().splitlines()[1:]]
    assert logged == [[str(UPDATES), f"loss/{k}", repr(v)] for k, v in metrics.items()]


def test_a_batch_that_is_there_already_is_not_copied(toy):
    batch = WindowSampler(toy("box").collect(2), 3, 2).sample(np.random.default_rng(0))
    assert batch.to("cpu") is batch
    assert batch.to("meta").obs.device.type == "meta"
