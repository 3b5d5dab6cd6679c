"""Configuration of NetWorld: every default once, every field checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from networld_algos.data.returns import ReturnOf
from networld_algos.nn.action_head import DECODES, Decode
from networld_algos.nn.diffusion import PREDICTIONS, SOLVERS, UNGUIDED_STEPS, Prediction, Solver
from networld_algos.nn.features import FEATURES, FeatureKind, feature_width
from networld_algos.nn.messages import AGGREGATES, MESSAGE_MAX_AGE, Aggregate
from networld_algos.nn.twohot import CODINGS, Coding
from networld_algos.nn.unet import GROUPS, check_unet
from networld_envs import validate
from networld_envs.spec import TaskSpec

Planner = Literal["diffusion", "regression"]
DenoiserKind = Literal["unet", "mlp"]
MessageKind = Literal["latent", "learned", "features"]
MeanField = Literal["full", "classifier", "off"]
EncoderGrad = Literal["none", "inverse+reconstruction", "end_to_end"]
GuidanceKind = Literal["none", "gradient", "select"]
Weighting = Literal["none", "return", "advantage"]
ReturnHead = Literal["twohot", "mse"]
AdaptShared = Literal["tune", "frozen"]
ActBy = Literal["inverse", "slot"]


MAX_TRAINED_COLUMNS = 4
"""Most columns of a box of actions for which the encoder is trained by default."""


@dataclass(frozen=True)
class NetWorldConfig:
    """Diffusion world model in latent space with mean-field messages.

    Let z be the standardised latent, m the mean message, ``x = [z; m]`` over H steps, and x_t its
    corruption at diffusion step t with a clean first position::

        forecast        E[ || z_{h+1} - F(z_h, m_h, task) ||^2 ]
        diffusion       E[ sum_h w_h || x_h - f(x_t, t, F, task)_h ||^2 ],   w_0 = 0
        classifier      E[ CE( twohot(R), J(x_t, t, task) ) ],  R = sum_h discount^h r_h
        inverse         E[ -log I(a_h | z_h, z_{h+1} + inverse_noise * eps) ]
        reconstruction  E[ || D(z) - features(o) ||^2 ],   if ``encoder_grad`` chooses it

    The forecast F predicts the mean of the next latent. It is a plain network, trained on agents of
    many windows. The noise model f draws the deviation from F, so it need not learn the mean from
    corrupted samples. A learned message g(z) enters F as a mean over neighbours, and the loss of F
    trains it.

    Attributes:
        latent: Width ``d`` of a latent and of a message.
        hidden: Width of the MLPs.
        layers: Hidden layers of the MLPs.
        features: Features of observations, see `ObsFeatures`. ``"auto"`` is ``"both"`` if the
            latent has room for both, so that the encoder starts without loss, and otherwise
            ``"symlog"``.
        symlog: Space bins in the symlog domain; False is an ablation, see `TwoHot`.
        bins: Bins for each column of a continuous action.
        coding: Coding of actions and returns on bins: ``"twohot"``, or ``"onehot"``, an ablation.
        horizon: Positions ``H`` in a segment.
        batch_size: Windows per update, each of a whole team.
        sequences: Largest number of agent-sequences, drawn at random from these windows, that train
            noise model, classifier, inverse dynamics and decoder.
        transitions: Largest number of agents, drawn at random, that train the forecast at the first
            step of their window.
        planner: ``"diffusion"``, or ``"regression"``, a control in which F alone decides. Solver
            and guidance then have no effect.
        forecast: Whether the noise model sees F. If not, f starts from the present latent, as
            published.
        action_slot: Weight of the forecast's second output beside its squared error: the action
            that the next observation will show as the last one, as bins trained by cross-entropy.
            Least squares average where an action is one of several; bins do not. With 0, there is
            no such output.
        forecast_hidden: Width of F.
        forecast_layers: Gated blocks of F, see `networld_algos.nn.layers.gated`.
        denoiser: ``"unet"``, or ``"mlp"``, a residual MLP over the flattened segment.
        dim: Channels of the U-Net's first level and width of the embeddings.
        mults: Channels of each level as multiples of ``dim``.
        blocks: Residual blocks per level, or in the MLP.
        train_steps: Diffusion steps ``T`` in training.
        prediction: What the network predicts, ``"x0"`` or ``"epsilon"``.
        timestep_skew: Above 1, training favours high noise, see `CosineSchedule.draw`.
        next_weight: Loss weight of position 1, the only one that a decision uses. Later positions
            have weight 1.
        message: ``"latent"`` sends z, as published; ``"learned"`` sends g(z), which the forecast
            loss trains; ``"features"`` sends the features, at most ``latent`` of them, and the
            receiver maps what it has combined to m by a linear layer that the forecast loss trains.
        aggregate: How a receiver combines messages, see `MeanField`; ``"mean"`` is the published
            mean field.
        message_dropout: Share of messages that are lost in training.
        mean_field: ``"full"``; ``"classifier"``, where only the classifier sees the present mean,
            which is of latents because no loss would train a sender; or ``"off"``, where nothing is
            sent.
        encoder_grad: What trains the encoder. ``"none"``: nothing; it is a fixed random rotation of
            the features, which loses nothing. ``"inverse+reconstruction"``: these two losses.
            ``"end_to_end"``: diffusion, classifier and clean inverse losses, as published; the
            latent collapses, and the setting is kept to show that. ``"auto"`` is ``"none"`` for box
            actions with more than `MAX_TRAINED_COLUMNS` columns if the latent has room for all
            features, and otherwise ``"inverse+reconstruction"``.
        inverse_noise: Noise on z_{h+1} when inverse dynamics is trained, in standard deviations of
            a latent.
        action_dropout: Share of present observations that show another one's last action in
            training, see `shuffle_last_action`. Later observations keep theirs, which is the action
            to recover.
        classifier: Whether to train the return classifier, which guidance needs.
        return_head: ``"twohot"`` logits, or ``"mse"``, an ablation with one output, the
            standardised return, trained by least squares.
        return_bins: Bins of the classifier's two-hot return.
        return_of: Whose rewards R and advantages count, see `networld_algos.data.returns`.
        discount: Discount of R.
        weighting: ``"return"`` weights a window in the planner's losses by
            ``exp(weighting_beta * standardised R)``, at most 10; ``"advantage"`` weights a step by
            its advantage, see `networld_algos.networld.advantage`.
        weighting_beta: See ``weighting``.
        value_discount: Discount of the returns that advantages are computed from. If the agent's
            next reward alone tells what an action was worth, as on CBF, weights are sharper with 0,
            ``return_of="agent"`` and ``weighting_beta=3``.
        learning_rate: Learning rate of Adam; decays to zero along a cosine.
        ema: Decay of the averaged weights, which are used to act.
        adapt_shared: On a new task, ``"tune"`` the shared networks, or keep them ``"frozen"``, a
            control in which only the task's own networks are fitted.
        adapt_share: Share of updates on a new task during which the shared networks are frozen.
        adapt_rate: Learning rate of the shared networks after that, as a multiple of
            ``learning_rate``. The paper's light fine-tuning has a share of 0.5 and a rate of 0.1.
        steps: Solver steps per decision.
        solver: ``"ddpm"``, ``"ddim"`` or ``"dpm-solver++"``.
        temperature: Scale of the sampler's noise; with 0 a plan is deterministic.
        deviation: Share of a plan's deviation from the forecast that a decision follows. 0 follows
            the forecast alone; without ``forecast`` it is always 1. On data of mixed quality, a
            plan that is followed completely also repeats what was bad in the data.
        guidance: ``"none"``; ``"gradient"`` of the classifier, except in the last two solver steps,
            so that ``steps`` must be at least 3; or ``"select"`` the best of ``candidates`` plans.
        guidance_weight: Weight of the unit-norm gradient.
        candidates: Plans drawn for ``"select"``.
        act_by: ``"inverse"`` reads the action out of the planned latent; ``"slot"`` takes it from
            the forecast's action slot, a control without plan.
        decode: How the inverse model's logits become an action, see `ActionHead`.
        decode_temperature: Divides the logits of ``decode="sample"``.
        warm_start: Whether to start from the previous plan, shifted by one step.
        warm_start_share: Noise step at which that plan enters, as a share of ``T``.
        message_max_age: Steps for which a neighbour's last message replaces lost ones; with 0, an
            agent decides by the messages that arrive.
    """

    latent: int = 64
    hidden: int = 256
    layers: int = 2
    features: FeatureKind | Literal["auto"] = "auto"
    symlog: bool = True
    bins: int = 51
    coding: Coding = "twohot"
    horizon: int = 4
    batch_size: int = 32
    sequences: int = 64
    transitions: int = 512
    planner: Planner = "diffusion"
    forecast: bool = True
    action_slot: float = 0.1
    forecast_hidden: int = 256
    forecast_layers: int = 3
    denoiser: DenoiserKind = "unet"
    dim: int = 32
    mults: tuple[int, ...] = (1, 2)
    blocks: int = 1
    train_steps: int = 50
    prediction: Prediction = "x0"
    timestep_skew: float = 2.0
    next_weight: float = 5.0
    message: MessageKind = "learned"
    aggregate: Aggregate = "difference"
    message_dropout: float = 0.0
    mean_field: MeanField = "full"
    encoder_grad: EncoderGrad | Literal["auto"] = "auto"
    inverse_noise: float = 0.1
    action_dropout: float = 1.0
    classifier: bool = True
    return_head: ReturnHead = "twohot"
    return_bins: int = 51
    return_of: ReturnOf = "neighbourhood"
    discount: float = 0.99
    weighting: Weighting = "none"
    weighting_beta: float = 1.0
    value_discount: float = 0.95
    learning_rate: float = 1e-3
    ema: float = 0.995
    adapt_shared: AdaptShared = "tune"
    adapt_share: float = 0.1
    adapt_rate: float = 1.0
    steps: int = 5
    solver: Solver = "ddim"
    temperature: float = 0.7
    deviation: float = 0.1
    guidance: GuidanceKind = "gradient"
    guidance_weight: float = 0.03
    candidates: int = 8
    act_by: ActBy = "inverse"
    decode: Decode = "expectation"
    decode_temperature: float = 0.7
    warm_start: bool = False
    warm_start_share: float = 0.5
    message_max_age: int = MESSAGE_MAX_AGE

    def features_of(self, obs_dim: int) -> FeatureKind:
        """Features of observations of length ``obs_dim``."""
        if self.features != "auto":
            return self.features
        return "both" if feature_width(obs_dim, "both") <= self.latent else "symlog"

    def encoder_grad_of(self, spec: TaskSpec) -> EncoderGrad:
        """What trains the encoder of a task, see ``encoder_grad``.

        Raises:
            ValueError: If the encoder is fixed and the latent has no room for all features.
        """
        width = feature_width(spec.obs_dim, self.features_of(spec.obs_dim))
        if self.encoder_grad == "auto":
            wide = spec.action_kind == "box" and spec.action_dim > MAX_TRAINED_COLUMNS
            return "none" if wide and width <= self.latent else "inverse+reconstruction"
        if self.encoder_grad == "none" and width > self.latent:
            raise ValueError(
                f"encoder_grad='none' on {spec.task!r} needs latent of at least {width}, the width "
                f"of the features, got {self.latent}; use a wider latent or a trained encoder"
            )
        return self.encoder_grad

    @property
    def follows_forecast(self) -> bool:
        """Whether decisions follow the forecast alone, so that no plan is needed."""
        return (
            self.planner == "regression"
            or self.act_by == "slot"
            or (self.forecast and self.deviation == 0.0)
        )

    def __post_init__(self) -> None:
        validate.integer(
            self, "latent", "hidden", "layers", "batch_size", "sequences", "blocks", "steps", low=1
        )
        validate.integer(
            self, "transitions", "candidates", "forecast_hidden", "forecast_layers", low=1
        )
        validate.integer(self, "bins", "return_bins", "horizon", "train_steps", low=2)
        validate.integer(self, "message_max_age", low=0)
        validate.integer(self, "dim", low=GROUPS)
        validate.real(self, "learning_rate", "timestep_skew", "decode_temperature", above=0.0)
        validate.real(
            self,
            "discount",
            "value_discount",
            "ema",
            "adapt_share",
            "warm_start_share",
            low=0.0,
            high=1.0,
        )
        validate.real(self, "action_dropout", "message_dropout", "deviation", low=0.0, high=1.0)
        validate.real(self, "next_weight", "inverse_noise", "weighting_beta", low=0.0, high=100.0)
        validate.real(self, "guidance_weight", "temperature", "adapt_rate", low=0.0, high=100.0)
        validate.real(self, "action_slot", low=0.0, high=100.0)
        validate.flag(self, "classifier", "forecast", "symlog", "warm_start")
        for field, kind in (
            ("planner", Planner),
            ("denoiser", DenoiserKind),
            ("message", MessageKind),
            ("mean_field", MeanField),
            ("guidance", GuidanceKind),
            ("weighting", Weighting),
            ("return_of", ReturnOf),
            ("return_head", ReturnHead),
            ("adapt_shared", AdaptShared),
            ("act_by", ActBy),
        ):
            validate.one_of(self, field, get_args(kind))
        validate.one_of(self, "prediction", PREDICTIONS)
        validate.one_of(self, "solver", SOLVERS)
        validate.one_of(self, "decode", DECODES)
        validate.one_of(self, "coding", CODINGS)
        validate.one_of(self, "aggregate", AGGREGATES)
        validate.one_of(self, "features", ("auto", *FEATURES))
        validate.one_of(self, "encoder_grad", ("auto", *get_args(EncoderGrad)))
        self._check_together()

    def _check_together(self) -> None:
        check_unet(self)
        if self.guidance == "gradient" and self.steps <= UNGUIDED_STEPS and self.guidance_weight:
            raise ValueError(
                f"guidance='gradient' never acts with steps={self.steps}: the last "
                f"{UNGUIDED_STEPS} are not guided; use more steps or guidance='none'"
            )
        if self.guidance == "select" and self.temperature == 0.0:
            raise ValueError(
                "guidance='select' needs temperature above 0, otherwise all plans are equal"
            )
        if self.act_by == "slot" and self.action_slot == 0.0:
            raise ValueError("act_by='slot' needs action_slot above 0")
        if self.planner == "diffusion" and self.guidance != "none" and not self.classifier:
            raise ValueError(f"guidance={self.guidance!r} needs classifier=True")


FAITHFUL: dict[str, Any] = {
    "forecast": False,
    "horizon": 12,
    "dim": 256,
    "mults": (1, 4, 8),
    "blocks": 2,
    "train_steps": 200,
    "prediction": "epsilon",
    "encoder_grad": "inverse+reconstruction",
    "timestep_skew": 1.0,
    "message": "latent",
    "aggregate": "mean",
    "action_slot": 0.0,
    "adapt_share": 0.5,
    "adapt_rate": 0.1,
}
"""Noise model, message and adaptation as published, as far as the paper says; slow on a CPU.

Two things differ: the diffusion loss does not train the encoder, since the latent collapses if it
does, and plans are drawn with the default sampler. The preset ``"faithful"`` has these fields."""
