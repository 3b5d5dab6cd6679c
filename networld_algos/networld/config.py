"""Configuration of NetWorld: every default once, every field checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from networld_algos.data.returns import ReturnOf
from networld_algos.nn.action_head import DECODES, Decode
from networld_algos.nn.diffusion import PREDICTIONS, SOLVERS, UNGUIDED_STEPS, Prediction, Solver
from networld_algos.nn.features import FEATURES, FeatureKind, feature_width
from networld_algos.nn.messages import MESSAGE_MAX_AGE
from networld_algos.nn.twohot import CODINGS, Coding
from networld_algos.nn.unet import GROUPS, check_unet
from networld_envs import validate
from networld_envs.spec import TaskSpec

Planner = Literal["diffusion", "regression"]
DenoiserKind = Literal["unet", "mlp"]
MessageKind = Literal["latent", "learned"]
MeanField = Literal["full", "classifier", "off"]
EncoderGrad = Literal["none", "inverse+reconstruction", "end_to_end"]
GuidanceKind = Literal["none", "gradient", "select"]
Weighting = Literal["none", "return", "advantage"]
ReturnHead = Literal["twohot", "mse"]
AdaptShared = Literal["tune", "frozen"]


MAX_TRAINED_COLUMNS = 4
"""Most columns of a box of actions for which the encoder is trained by default."""


@dataclass(frozen=True)
class NetWorldConfig:
    """Diffusion world model in latent space with mean-field messages.

    With z the standardised latent, m the mean message, ``x = [z; m]`` over H steps, x_t its
    corruption at diffusion step t with the first position clean::

        forecast        E[ || z_{h+1} - F(z_h, m_h, task) ||^2 ]
        diffusion       E[ sum_h w_h || x_h - f(x_t, t, F, task)_h ||^2 ],   w_0 = 0
        classifier      E[ CE( twohot(R), J(x_t, t, task) ) ],  R = sum_h discount^h r_h
        inverse         E[ -log I(a_h | z_h, z_{h+1} + inverse_noise * eps) ]
        reconstruction  E[ || D(z) - features(o) ||^2 ],   if so chosen by ``encoder_grad``

    The forecast F is the mean of the next latent, a plain network trained on agents of many
    windows. The noise model f draws the deviation from it, so that it need not learn the mean from
    corrupted samples. A learned message g(z) enters F through its mean and is trained by F's loss.

    Attributes:
        latent: Width ``d`` of a latent and of a message.
        hidden: Width of the MLPs.
        layers: Hidden layers of the MLPs.
        features: Of observations, see `ObsFeatures`. ``"auto"`` is ``"both"`` where the latent has
            room for both, so that the encoder can start lossless, and ``"symlog"`` elsewhere. On RB
            (expert data, 96 validation networks, two training seeds, forecast alone): 85 with both,
            82 with ``"linear"``, 79 with ``"symlog"``; on CBF, where both do not fit into 64, 83,
            83 and 86.
        symlog: Bins in the symlog domain; False is an ablation, see `TwoHot`.
        bins: Bins of each column of a continuous action.
        coding: Of actions and returns over their bins: ``"twohot"``, or ``"onehot"``, an ablation.
        horizon: Positions ``H`` of a segment.
        batch_size: Windows (whole teams) in an update.
        sequences: Most agent-sequences of them that noise model, classifier, inverse dynamics and
            decoder are trained on, drawn at random.
        transitions: Most agents of them that the forecast is trained on, at the first step of
            their window, drawn at random.
        planner: ``"diffusion"``, or ``"regression"``: F alone decides, the control. Solver and
            guidance then play no part.
        forecast: Show F to the noise model. Without it f starts from the present latent, as
            published: on CBF 50.5 after 4,000 updates against 68.0 after 2,000 with it
            (validation, one seed, ``latent=64``).
        forecast_hidden: Width of F.
        forecast_layers: Gated blocks of F, see `networld_algos.nn.layers.gated`.
        denoiser: ``"unet"`` or ``"mlp"`` (residual MLP over the flattened segment).
        dim: Channels of the U-Net's first level; width of the embeddings.
        mults: Channels of its levels as multiples of ``dim``.
        blocks: Residual blocks in a level (or of the MLP).
        train_steps: Diffusion steps ``T``.
        prediction: What the network predicts, ``"x0"`` or ``"epsilon"``.
        timestep_skew: Above 1, training favours high noise, see `CosineSchedule.draw`.
        next_weight: Loss weight of position 1, the only one consumed; later positions have 1.
        message: ``"latent"`` (send z, as published) or ``"learned"`` (send g(z), trained by the
            forecast loss). It lifted the normalised score on RB from about 30 to 70 (validation,
            at horizon 8 and temperature 0.7).
        mean_field: ``"full"``, ``"classifier"`` (only the classifier sees the present mean, of
            latents: no loss would train a sender) or ``"off"`` (nothing is sent).
        encoder_grad: What shapes the encoder. ``"none"``: it is a fixed random rotation of the
            features, which loses nothing. ``"inverse+reconstruction"``: these two losses.
            ``"end_to_end"``: diffusion, classifier and clean inverse losses, as published; it
            collapses and is kept to show that. ``"auto"`` is ``"none"`` for a box of more than
            `MAX_TRAINED_COLUMNS` action columns where the latent holds all features, else
            ``"inverse+reconstruction"``: trained and fixed score 56 and 64 on CBF (8 columns, mixed
            data), 96 and 92 on NS (3, medium), and on RB 79 and 88 (expert) but 80 and 80 (mixed)
            with one seed, 82 and 68 at twice the rate with another (validation, `docs/tried.md`).
        inverse_noise: Noise on z_{h+1} in inverse-dynamics training, in latent deviations.
        action_dropout: Share of present observations whose last action is another's in training,
            see `shuffle_last_action`; later ones keep theirs, which is the action to recover.
        classifier: Train the return classifier (needed for guidance).
        return_head: ``"twohot"`` logits, or ``"mse"``: one number, the standardised return, by
            least squares; an ablation.
        return_bins: Bins of its two-hot return.
        return_of: Whose rewards R and advantages count, see `networld_algos.data.returns`.
        discount: Of R.
        weighting: ``"return"`` weights a window in the planner's losses by
            ``exp(weighting_beta * standardised R)``, at most 10; ``"advantage"`` weights a step by
            its advantage, see `networld_algos.networld.advantage`.
        weighting_beta: See ``weighting``.
        value_discount: Of the returns an advantage is made of. Where an action's worth shows in the
            agent's next reward, 0 with ``return_of="agent"`` and ``weighting_beta=3`` weighs
            sharper: on CBF, medium data, 71 against 59 with the neighbourhood's returns at the
            default and a beta of 0.5 (validation, one seed, ``docs/tried.md``).
        learning_rate: Of Adam, decayed to zero along a cosine.
        ema: Decay of the averaged weights, which act.
        adapt_shared: On a new task, ``"tune"`` the shared networks, or keep them ``"frozen"`` and
            fit only the task's own, a control.
        adapt_share: Share of updates on a new task during which the shared networks are frozen.
        adapt_rate: Learning rate of the shared networks after that, as a multiple. Freezing half
            of the time and 0.1 after it, the light fine-tuning of the paper, ends below random on
            RB with one episode: -48 normalised, against 14 with these values and 3 from scratch
            (validation, one seed, temperature 0.7).
        steps: Solver steps for a decision.
        solver: ``"ddpm"``, ``"ddim"`` or ``"dpm-solver++"``.
        temperature: Scale of the sampler's noise; 0 is a deterministic plan.
        deviation: Share of what a plan's latents differ from the forecast by that is followed; 0
            leaves the forecast, and without ``forecast`` it is 1. A plan that is followed wholly
            repeats what was bad in data of mixed worth as well. RB, medium data, two training
            seeds, temperature 0: 71 and 78 with 0, 67 and 78 with 0.1, 10 and 9 with 1; 74 and 82
            with 0.1 at temperature 0.7 (validation).
        guidance: ``"none"``, ``"gradient"`` of the classifier (not in the last two solver steps,
            so it needs ``steps`` of at least 3), or ``"select"`` the best of
            ``candidates`` plans.
        guidance_weight: Weight of the unit-norm gradient.
        candidates: Plans drawn for ``"select"``.
        decode: How the inverse model's logits become an action, see `ActionHead`.
        decode_temperature: Of ``decode="sample"``.
        warm_start: Start from the previous plan shifted by one step.
        warm_start_share: Noise step at which that plan enters, as a share of ``T``.
        message_max_age: Steps the last message of a neighbour stands in for lost ones.
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
        """What shapes the encoder of a task.

        Raises:
            ValueError: If it is to be fixed and the latent does not hold all features.
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
        """Nothing of a plan would be followed: next-latent regression."""
        return self.planner == "regression" or (self.forecast and self.deviation == 0.0)

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
        validate.real(self, "action_dropout", "deviation", low=0.0, high=1.0)
        validate.real(self, "next_weight", "inverse_noise", "weighting_beta", low=0.0, high=100.0)
        validate.real(self, "guidance_weight", "temperature", "adapt_rate", low=0.0, high=100.0)
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
        ):
            validate.one_of(self, field, get_args(kind))
        validate.one_of(self, "prediction", PREDICTIONS)
        validate.one_of(self, "solver", SOLVERS)
        validate.one_of(self, "decode", DECODES)
        validate.one_of(self, "coding", CODINGS)
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
            raise ValueError("guidance='select' needs temperature above 0: plans would be equal")
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
    "adapt_share": 0.5,
    "adapt_rate": 0.1,
}
"""As published, as far as the paper says: noise model, message and adaptation; slow on a CPU.

Not so: the encoder is not trained by the diffusion loss, since it collapses if it is, and plans are
drawn by the default sampler. See `networld_algos.registry.PRESETS`."""
