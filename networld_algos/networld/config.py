"""Configuration of NetWorld: every default once, every field checked.

The fields form groups, each a small class of its own. `NetWorldConfig` joins them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from networld_algos.data.returns import ReturnOf
from networld_algos.data.symmetry import own_columns
from networld_algos.nn.action_head import DECODES, Decode
from networld_algos.nn.diffusion import PREDICTIONS, SOLVERS, UNGUIDED_STEPS, Prediction, Solver
from networld_algos.nn.features import FEATURES, FeatureKind, feature_width
from networld_algos.nn.inputs import InputsConfig
from networld_algos.nn.unet import GROUPS, check_unet
from networld_envs import validate
from networld_envs.spec import TaskSpec

Planner = Literal["forecast", "diffusion"]
DenoiserKind = Literal["unet", "mlp"]
MessageKind = Literal["latent", "learned", "features"]
EncoderGrad = Literal["none", "inverse+reconstruction", "end_to_end"]
GuidanceKind = Literal["none", "gradient", "select"]
Weighting = Literal["none", "advantage"]
AdaptShared = Literal["tune", "frozen"]
ActBy = Literal["inverse", "slot"]
Bins = Literal["twohot", "uniform", "onehot"]

INVERSE_NOISE = 0.1
"""Noise on z_{h+1} when inverse dynamics is trained, in standard deviations of a latent."""


@dataclass(frozen=True)
class LatentConfig(InputsConfig):
    """What an agent knows: its latent, and the messages of its neighbours.

    Attributes:
        features: Features of observations, see `ObsFeatures`. ``"auto"`` is ``"both"`` if the
            latent has room for both, so that the encoder starts without loss, and otherwise
            ``"symlog"``.
        action_dropout: Share of present observations that show another one's last action in
            training, see `shuffle_last_action`. Later observations keep theirs, which is the action
            to recover.
        mean_field: Whether agents exchange messages with their 1-hop neighbours.
        message: ``"latent"`` sends z, as published; ``"learned"`` sends g(z), which the forecast
            loss trains; ``"features"`` sends the features, at most ``latent`` of them, and the
            receiver maps what it has combined to m by a linear layer that the forecast loss trains.
        aggregate: How a receiver combines messages, see `MeanField`; ``"mean"`` is the published
            mean field.
        message_dropout: Share of messages that are lost in training.
        message_max_age: Steps for which a neighbour's last message replaces lost ones; with 0, an
            agent decides by the messages that arrive.
        episode_beta: See `InputsConfig`.
        entities: See `InputsConfig`. With ``"shared"`` the latent holds the columns that belong to
            no entity, and what is combined of the entities is added to the combined message.
        latent: Width ``d`` of a latent and of a message.
        encoder_grad: What trains the encoder. ``"none"``: nothing; it is a fixed random rotation of
            the features, which loses nothing. ``"inverse+reconstruction"``: these two losses.
            ``"end_to_end"``: diffusion, classifier and clean inverse losses, as published; the
            latent collapses, and the setting is kept to show that. ``"auto"`` is ``"none"`` if the
            latent has room for all features, and otherwise ``"inverse+reconstruction"``.
    """

    MESSAGES: ClassVar = get_args(MessageKind)
    FEATURES: ClassVar = ("auto", *FEATURES)

    features: FeatureKind | Literal["auto"] = "auto"  # pyright: ignore[reportIncompatibleVariableOverride]
    message: MessageKind = "learned"  # pyright: ignore[reportIncompatibleVariableOverride]
    latent: int = 64
    encoder_grad: EncoderGrad | Literal["auto"] = "auto"

    @property
    def uses_context(self) -> bool:
        """Whether an agent knows m beside its latent: messages, combined entities, or their sum."""
        return self.mean_field or self.entities == "shared"

    def columns_of(self, spec: TaskSpec) -> int:
        """Number of columns of a task's observations that the latent holds."""
        return len(own_columns(spec)) if self.entities == "shared" else spec.obs_dim

    def features_of(self, columns: int) -> FeatureKind:
        """Features of that many columns of an observation."""
        if self.features != "auto":
            return self.features
        return "both" if feature_width(columns, "both") <= self.latent else "symlog"

    def encoder_grad_of(self, spec: TaskSpec) -> EncoderGrad:
        """What trains the encoder of a task, see ``encoder_grad``.

        Raises:
            ValueError: If the encoder is fixed and the latent has no room for all features.
        """
        columns = self.columns_of(spec)
        width = feature_width(columns, self.features_of(columns))
        if self.encoder_grad == "auto":
            return "none" if width <= self.latent else "inverse+reconstruction"
        if self.encoder_grad == "none" and width > self.latent:
            raise ValueError(
                f"encoder_grad='none' on {spec.task!r} needs latent of at least {width}, the width "
                f"of the features, got {self.latent}; use a wider latent or a trained encoder"
            )
        return self.encoder_grad

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.integer(self, "latent", low=1)
        validate.one_of(self, "encoder_grad", ("auto", *get_args(EncoderGrad)))


@dataclass(frozen=True)
class ForecastConfig:
    """The forecast, and inverse dynamics.

    Attributes:
        hidden: Width of the forecast and of the other MLPs.
        layers: Gated blocks of the forecast, see `networld_algos.nn.layers.gated`.
        action_slot: Weight of the forecast's second output beside its squared error: the action
            that the next observation will show as the last one, as bins trained by cross-entropy.
            Least squares average where an action is one of several; bins do not. With 0, there is
            no such output.
        coding: Coding of box actions and returns on bins: ``"twohot"``, with bins spaced evenly in
            the symlog domain; ``"uniform"``, two-hot with bins spaced evenly; or ``"onehot"``. The
            last two are ablations.
        weighting: ``"advantage"`` weights a step in the planner's losses by its advantage, see
            `networld_algos.networld.advantage`, for data of mixed quality.
        weighting_beta: Inverse temperature of these weights.
        return_of: Whose rewards advantages and segment returns count, see
            `networld_algos.data.returns`.
        discount: Discount of the returns that advantages are computed from, and of segment returns.
            If the agent's next reward alone tells what an action was worth, as on CBF, weights are
            sharper with 0, ``return_of="agent"`` and ``weighting_beta=3``.
    """

    hidden: int = 256
    layers: int = 3
    action_slot: float = 0.1
    coding: Bins = "twohot"
    weighting: Weighting = "none"
    weighting_beta: float = 1.0
    return_of: ReturnOf = "neighbourhood"
    discount: float = 0.95

    def __post_init__(self) -> None:
        validate.integer(self, "hidden", "layers", low=1)
        validate.real(self, "action_slot", "weighting_beta", low=0.0, high=100.0)
        validate.real(self, "discount", low=0.0, high=1.0)
        validate.one_of(self, "coding", get_args(Bins))
        validate.one_of(self, "weighting", get_args(Weighting))
        validate.one_of(self, "return_of", get_args(ReturnOf))


@dataclass(frozen=True)
class PlannerConfig:
    """The noise model that draws plans around the forecast, and the classifier that guides it.

    Attributes:
        planner: ``"forecast"``: the forecast alone decides, and neither noise model nor classifier
            exists. ``"diffusion"``: they are trained, and plans are drawn.
        horizon: Positions ``H`` in a segment. Without plans, H - 1 steps are what advantages
            look ahead.
        forecast: Whether the noise model sees the forecast. If not, it starts from the present
            latent, as published.
        denoiser: ``"unet"``, or ``"mlp"``, a residual MLP over the flattened segment.
        dim: Channels of the U-Net's first level and width of the embeddings.
        mults: Channels of each level as multiples of ``dim``.
        blocks: Residual blocks per level, or in the MLP.
        train_steps: Diffusion steps ``T`` in training.
        prediction: What the network predicts, ``"x0"`` or ``"epsilon"``.
    """

    planner: Planner = "forecast"
    horizon: int = 4
    forecast: bool = True
    denoiser: DenoiserKind = "unet"
    dim: int = 32
    mults: tuple[int, ...] = (1, 2)
    blocks: int = 1
    train_steps: int = 50
    prediction: Prediction = "x0"

    def __post_init__(self) -> None:
        validate.integer(self, "blocks", low=1)
        validate.integer(self, "horizon", "train_steps", low=2)
        validate.integer(self, "dim", low=GROUPS)
        validate.flag(self, "forecast")
        validate.one_of(self, "planner", get_args(Planner))
        validate.one_of(self, "denoiser", get_args(DenoiserKind))
        validate.one_of(self, "prediction", PREDICTIONS)


@dataclass(frozen=True)
class TrainingConfig:
    """Batches and learning rates, in training and in adaptation to a new task.

    Attributes:
        batch_size: Windows per update, each of a whole team.
        transitions: Largest number of agents, drawn at random from these windows, that train the
            forecast at the first step of their window.
        sequences: How many of these agents train the other networks, with all of their window.
        learning_rate: Learning rate of Adam; decays to zero along a cosine.
        adapt_shared: On a new task, ``"tune"`` the shared networks, or keep them ``"frozen"``, a
            control in which only the task's own networks are fitted.
        adapt_share: Share of updates on a new task during which the shared networks are frozen.
        adapt_rate: Learning rate of the shared networks after that, as a multiple of
            ``learning_rate``. The paper's light fine-tuning has a share of 0.5 and a rate of 0.1.
    """

    batch_size: int = 32
    transitions: int = 384
    sequences: int = 64
    learning_rate: float = 2e-3
    adapt_shared: AdaptShared = "tune"
    adapt_share: float = 0.1
    adapt_rate: float = 1.0

    def __post_init__(self) -> None:
        validate.integer(self, "batch_size", "transitions", "sequences", low=1)
        validate.real(self, "learning_rate", above=0.0)
        validate.real(self, "adapt_share", low=0.0, high=1.0)
        validate.real(self, "adapt_rate", low=0.0, high=100.0)
        validate.one_of(self, "adapt_shared", get_args(AdaptShared))


@dataclass(frozen=True)
class DecisionConfig:
    """How a trained model decides; all of it can be changed after training.

    Attributes:
        act_by: ``"inverse"`` reads the action out of the planned latent; ``"slot"`` takes it from
            the forecast's action slot, without a plan.
        decode: How logits become an action, see `ActionHead`.
        deviation: Share of a plan's deviation from the forecast that a decision follows. 0 follows
            the forecast alone; without ``forecast`` it is always 1. On data of mixed quality, a
            plan that is followed completely also repeats what was bad in the data.
        steps: Solver steps per decision.
        solver: ``"ddpm"``, ``"ddim"`` or ``"dpm-solver++"``.
        temperature: Scale of the sampler's noise; with 0 a plan is deterministic. It also divides
            the logits of ``decode="sample"``.
        guidance: ``"none"``; ``"gradient"`` of the classifier, except in the last two solver steps,
            so that ``steps`` must be at least 3; or ``"select"`` the best of ``candidates`` plans.
        guidance_weight: Weight of the unit-norm gradient.
        candidates: Plans drawn for ``"select"``.
    """

    act_by: ActBy = "inverse"
    decode: Decode = "expectation"
    deviation: float = 0.1
    steps: int = 5
    solver: Solver = "ddim"
    temperature: float = 0.7
    guidance: GuidanceKind = "gradient"
    guidance_weight: float = 0.03
    candidates: int = 8

    def __post_init__(self) -> None:
        validate.integer(self, "steps", "candidates", low=1)
        validate.real(self, "deviation", low=0.0, high=1.0)
        validate.real(self, "guidance_weight", "temperature", low=0.0, high=100.0)
        validate.one_of(self, "act_by", get_args(ActBy))
        validate.one_of(self, "decode", DECODES)
        validate.one_of(self, "solver", SOLVERS)
        validate.one_of(self, "guidance", get_args(GuidanceKind))
        if self.guidance == "gradient" and self.steps <= UNGUIDED_STEPS and self.guidance_weight:
            raise ValueError(
                f"guidance='gradient' never acts with steps={self.steps}: the last "
                f"{UNGUIDED_STEPS} are not guided; use more steps or guidance='none'"
            )
        for field, value in (("guidance", "select"), ("decode", "sample")):
            if getattr(self, field) == value and self.temperature == 0.0:
                raise ValueError(
                    f"{field}={value!r} needs temperature above 0, which is what makes "
                    f"{'plans' if field == 'guidance' else 'samples'} differ"
                )


GROUPS_OF_FIELDS = (LatentConfig, ForecastConfig, PlannerConfig, TrainingConfig, DecisionConfig)


@dataclass(frozen=True)
class NetWorldConfig(DecisionConfig, TrainingConfig, PlannerConfig, ForecastConfig, LatentConfig):
    """World model in latent space with messages: a forecast, and plans drawn around it.

    Let z be the standardised latent, m the combined message, ``x = [z; m]`` over H steps, and x_t
    its corruption at diffusion step t with a clean first position::

        forecast        E[ ||z_{h+1} - F(z_h, m_h, task)||^2 + action_slot CE(twohot(a_h), S) ]
        inverse         E[ -log I(a_h | z_h, z_{h+1} + noise) ]
        reconstruction  E[ || D(z) - features(o) ||^2 ],   if ``encoder_grad`` chooses it
        diffusion       E[ sum_h w_h || x_h - f(x_t, t, F, task)_h ||^2 ],   w_0 = 0, w_1 = 5
        classifier      E[ CE( twohot(R), J(x_t, t, task) ) ],  R = sum_h discount^h r_h

    The forecast F predicts the mean of the next latent, and its action slot S the action. It is a
    plain network, trained on agents of many windows. A decision reads the action out of the
    forecast by inverse dynamics I. With ``planner="diffusion"`` a noise model f draws the deviation
    from F, so it need not learn the mean from corrupted samples, and the classifier J can guide it.
    A learned message g(z) enters F combined over neighbours, and the loss of F trains it.

    The fields are those of `LatentConfig`, `ForecastConfig`, `PlannerConfig`, `TrainingConfig` and
    `DecisionConfig`.
    """

    @property
    def follows_forecast(self) -> bool:
        """Whether decisions follow the forecast alone, so that no plan is needed."""
        return (
            self.planner == "forecast"
            or self.act_by == "slot"
            or (self.forecast and self.deviation == 0.0)
        )

    @property
    def uses_returns(self) -> bool:
        """Whether anything is trained on returns: advantages, or the classifier of plans."""
        return self.planner == "diffusion" or self.weighting == "advantage"

    @property
    def window(self) -> int:
        """Steps of a training window: a segment, what advantages look ahead, or one transition."""
        ahead = self.weighting == "advantage" and self.discount > 0.0
        return self.horizon - 1 if self.planner == "diffusion" or ahead else 1

    def __post_init__(self) -> None:
        for group in GROUPS_OF_FIELDS:
            group.__post_init__(self)
        if self.planner == "diffusion":
            check_unet(self)
        if self.act_by == "slot" and self.action_slot == 0.0:
            raise ValueError("act_by='slot' needs action_slot above 0")


FAITHFUL: dict[str, Any] = {
    "planner": "diffusion",
    "forecast": False,
    "horizon": 12,
    "dim": 256,
    "mults": (1, 4, 8),
    "blocks": 2,
    "train_steps": 200,
    "prediction": "epsilon",
    "encoder_grad": "inverse+reconstruction",
    "message": "latent",
    "aggregate": "mean",
    "entities": "flat",
    "action_slot": 0.0,
    "discount": 0.99,
    "adapt_share": 0.5,
    "adapt_rate": 0.1,
}
"""Noise model, message and adaptation as published, as far as the paper says; slow on a CPU.

Two things differ: the diffusion loss does not train the encoder, since the latent collapses if it
does, and plans are drawn with the default sampler. The preset ``"faithful"`` has these fields."""

DIFFUSION: dict[str, Any] = {"planner": "diffusion"}
"""The preset ``"diffusion"``: plans are drawn around the forecast and followed in part."""
