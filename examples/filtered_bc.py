"""A user-defined algorithm: clone only the better part of the data ("%BC").

    networld train examples/filtered_bc.py:FilteredBC --task rb --out runs/filtered
    networld bench run demo --algorithm examples/filtered_bc.py:FilteredBC

It learns from the ``share`` of training steps with the largest average reward until the end of the
episode. All episodes must have the same length. Chen et al. (2021) compare the Decision Transformer
with this kind of cloning.
"""

from dataclasses import dataclass

import numpy as np
import torch

from networld_algos.base import Algorithm
from networld_algos.nn import ActionHead, ObsFeatures, adam, descend, masked_mean, mlp, seeded
from networld_algos.results.display import MethodLook


@dataclass(frozen=True)
class FilteredBCConfig:
    share: float = 0.3
    hidden: int = 256
    learning_rate: float = 1e-3


class FilteredBC(Algorithm):
    name = "filtered-bc"
    look = MethodLook("%BC")  # in reports; colour and marker are assigned
    config: FilteredBCConfig
    window = 1  # steps in a training window
    batch_size = 16  # windows, of whole teams

    def __init__(self, specs, config, seed):
        super().__init__(specs, config, seed)
        spec = self.single_spec()
        self.features = ObsFeatures(spec.obs_dim)
        with seeded(seed):
            self.trunk = mlp([spec.obs_dim, config.hidden, config.hidden], activate_last=True)
            self.head = ActionHead(spec, config.hidden, bins=51)
        for name in ("length", "threshold"):
            self.register_buffer(name, torch.zeros(()))
        self.optimizer = adam(self.parameters(), config.learning_rate)

    def logits(self, obs):
        return self.head(self.trunk(self.features(obs)))

    def prepare(self, episodes, total_updates):
        self.start(episodes, total_updates)
        self.features.fit(episodes)
        self.head.set_range(*episodes.action_range)
        rewards = torch.as_tensor(episodes.rewards * episodes.step_mask[..., None])  # (K, T, N)
        self.length.fill_(rewards.shape[1])
        steps_left = rewards.shape[1] - torch.arange(rewards.shape[1])
        ahead = rewards.flip(1).cumsum(1).flip(1) / steps_left[:, None]
        values = ahead[torch.as_tensor(episodes.step_mask)]
        self.threshold.fill_(float(np.quantile(values, 1.0 - self.config.share)))

    def update(self, batch, generator):
        self.known(batch.task, prepared=True)
        logits = self.logits(batch.obs[:, :-1])
        ahead = batch.returns_to_go / (self.length - batch.timesteps)[..., None]
        good = (ahead >= self.threshold) & batch.mask[..., None]
        loss = masked_mean(self.head.loss(logits, batch.actions), good.float())
        descend(self.optimizer, loss, max_norm=1.0)
        self.counters["updates"] += 1
        return {"loss": loss.item()}

    def message(self, obs, carry):
        return None

    @torch.no_grad()
    def act(self, obs, neighbours, carry, generator):
        return self.head.decode(self.logits(obs), "expectation", 1.0, generator), carry

    def optimizers(self):
        return {"policy": self.optimizer}
