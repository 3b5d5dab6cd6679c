"""The trials of one algorithm on one data, kept in a database."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from networld_algos.base import Range
from networld_algos.files import write_text
from networld_algos.registry import ALGORITHMS, make_config
from networld_algos.training.cpu import machine, shared_environment
from networld_algos.training.origin import data_origin, network_for
from networld_algos.training.tuning.choices import RATE
from networld_algos.training.tuning.storage import pruner_of, trial_id
from networld_algos.training.tuning.subject import Options, Subject, described, extends, inside
from networld_algos.training.tuning.trial import Job, Result
from networld_envs import store
from networld_envs.policies.references import score_ends
from networld_envs.simulator import added_tasks
from networld_envs.version import __version__

DATABASE, TRIALS, RUNNING = "trials.db", "trials", ".running"


@dataclass(frozen=True)
class Choice:
    """What a search found for a subject.

    Attributes:
        subject: The algorithm and its data.
        score: Score of the chosen trial on validation networks.
        first: Score of the settings as they were; None if that trial failed or ended early.
        params: The chosen settings: the best ones, see `Options.margin`.
        trials: Number of trials.
        updates_per_minute: How many updates the chosen trial did in a minute; None if its length
            was given in updates.
    """

    subject: Subject
    score: float
    first: float | None
    params: dict[str, Any]
    trials: int
    updates_per_minute: float | None = None


class Study:
    """The trials of one subject."""

    def __init__(
        self, optuna: Any, storage: Any, subject: Subject, options: Options, out: Path
    ) -> None:
        self.optuna, self.storage, self.out = optuna, storage, out
        self.subject, self.options = subject, options
        self.distributions = {n: _distribution(optuna, v) for n, v in subject.space.items()}
        make_config(subject.algorithm, {**subject.base, **subject.first})
        self.study = optuna.create_study(
            study_name=subject.name,
            storage=storage,
            direction="maximize",
            pruner=pruner_of(options),
            load_if_exists=True,
        )
        dataset = store.load(subject.dataset)
        network = network_for(subject.task, {"task": subject.task, "origin": data_origin(dataset)})
        self.network = {"preset": network.preset, **network.params}
        about = {
            **subject.record(),
            **options.record(),
            "data_hash": store.recorded_hash(dataset),
            "version": __version__,
        }
        self._check(about)
        ends = self.study.user_attrs.get("ends", 0)
        if ends == 0:
            ends = score_ends(subject.task, options.validation_seeds, **self.network)
            self.study.set_user_attr("ends", ends)
        self.ends = None if ends is None else (float(ends[0]), float(ends[1]))
        self._restart()
        if not self.study.trials:
            self._drop_running()
            self.study.enqueue_trial(subject.first)

    def _drop_running(self) -> None:
        """Delete unfinished trials of an earlier search, whose numbers had other settings."""
        for folder in (self.out / RUNNING).glob(f"{self.subject.stem}-*"):
            if folder.name.removeprefix(f"{self.subject.stem}-").isdecimal():
                shutil.rmtree(folder)

    def _check(self, about: dict[str, Any]) -> None:
        """Record what the search is about, or raise if it was about something else."""
        before = self.study.user_attrs.get("about")
        about = json.loads(json.dumps(about))
        if before is None:
            self.study.set_user_attr("about", about)
            return
        wider = extends(about["search"], before["search"])
        for key in [*before, *about]:
            if before.get(key) != about.get(key) and not (key == "search" and wider):
                raise ValueError(
                    f"{self.out} holds trials of {self.subject.name} with {key}="
                    f"{before.get(key)!r}, not {about.get(key)!r}; choose another --out, or use "
                    "the same options"
                )
        if about != before:
            self.study.set_user_attr("about", about)

    def _restart(self) -> None:
        """Put trials of a process that is gone back into the queue."""
        states = self.optuna.trial.TrialState
        for trial in self.study.get_trials(states=(states.RUNNING,)):
            self._again(trial)

    def _again(self, trial: Any) -> None:
        self._note(trial.number, "interrupted", True)
        self.study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)
        attrs = {"origin": trial.user_attrs.get("origin", trial.number)}
        attrs |= {
            k: trial.user_attrs[k]
            for k in ("updates", "from", "suggested")
            if k in trial.user_attrs
        }
        self.study.enqueue_trial(trial.params, user_attrs=attrs)

    @property
    def ended(self) -> list[Any]:
        """Trials that count."""
        states = self.optuna.trial.TrialState
        done = self.study.get_trials(states=(states.COMPLETE, states.PRUNED, states.FAIL))
        return [t for t in done if not t.user_attrs.get("interrupted")]

    @property
    def finished(self) -> int:
        """How many trials count."""
        return len(self.ended)

    def borrow(self, peers: Sequence[Study]) -> None:
        """Let the last trial have settings that suited other data, unless they were tried here."""
        waits = any(trial.state.name == "WAITING" for trial in self.study.trials)
        if waits or self._asked != self.options.trials - 1:
            return
        for peer in peers:
            choice = peer.choice()
            if choice is not None and self._enqueue(choice.params, {"from": peer.subject.data}):
                return

    def suggest(self, settings: Mapping[str, Any]) -> None:
        """Let one of the next trials have these settings, with the best ones so far for the rest.

        Raises:
            ValueError: If a setting is not searched, or out of its range.
        """
        space = self.subject.space
        if wrong := {
            n: v for n, v in settings.items() if n not in space or not inside(v, space[n])
        }:
            ranges = {name: described(values) for name, values in space.items()}
            raise ValueError(f"{self.subject.name} cannot try {wrong}; it searches {ranges}")
        best = self.choice()
        self._enqueue({**({} if best is None else best.params), **settings}, {"suggested": True})

    def _enqueue(self, params: Mapping[str, Any], attrs: dict[str, Any]) -> bool:
        """Let a trial have these settings, unless one had them; missing ones are as first."""
        first = self.subject.first
        wanted = {**first, **params}
        for trial in self.study.trials:  # one that waits has no parameters yet
            if {**first, **trial.system_attrs.get("fixed_params", trial.params)} == wanted:
                return False
        self.study.enqueue_trial(wanted, user_attrs=attrs)
        return True

    @property
    def _asked(self) -> int:
        """How many trials there were, also those that go on or wait."""
        return sum(not trial.user_attrs.get("interrupted") for trial in self.study.trials)

    def ask(self) -> Job:
        """The next trial. Its random numbers depend on the seed and on how many there were."""
        stream = np.random.SeedSequence([self.options.seed, self._asked])
        self.study.sampler = self.optuna.samplers.TPESampler(
            seed=int(stream.generate_state(1)[0]),
            n_startup_trials=min(10, max(3, self.options.trials // 3)),
        )
        trial = self.study.ask(self.distributions)
        origin = trial.user_attrs.get("origin", trial.number)
        return Job(
            subject=self.subject,
            options=self.options,
            database=self.out / DATABASE,
            number=trial.number,
            params=dict(trial.params),
            updates=trial.user_attrs.get("updates", self.options.updates),
            folder=self.out / RUNNING / f"{self.subject.stem}-{origin}",
            network=self.network,
            ends=self.ends,
            algorithms=dict(ALGORITHMS),
            tasks=added_tasks(),
            environment=shared_environment(),
        )

    def tell(self, job: Job, result: Result) -> None:
        """Record how a trial ended, in the database and in the file of trials."""
        if result.state == "stopped":
            self._again(self.study.trials[job.number])
            return
        self._note(job.number, "seconds", result.seconds)
        self._note(job.number, "machine", machine())
        if result.error:
            self._note(job.number, "error", result.error)
        if result.state == "complete":
            self.study.tell(job.number, result.score)
        else:
            states = self.optuna.trial.TrialState
            state = states.PRUNED if result.state == "pruned" else states.FAIL
            self.study.tell(job.number, state=state)
        path = self.out / TRIALS / f"{self.subject.stem}.json"
        write_text(path, json.dumps(self.as_json(), indent=1) + "\n")

    def _note(self, number: int, key: str, value: Any) -> None:
        """Set an attribute of a trial that has not ended."""
        self.storage.set_trial_user_attr(trial_id(self.storage, self.study, number), key, value)

    def choice(self) -> Choice | None:
        """The best whole trial so far; the first one, if no other is better by the margin."""
        whole = [t for t in self.ended if t.value is not None and t.state.name == "COMPLETE"]
        if not whole:
            return None
        best = max(whole, key=lambda t: t.value)
        first = next((t for t in whole if t.user_attrs.get("origin", t.number) == 0), None)
        margin = 0.0 if self.ends is None else self.options.margin
        if first is not None and best.value < first.value + margin:
            best = first
        done = best.user_attrs.get("updates")
        rate = None
        if done is not None and self.options.updates is None:
            rate = done / self.options.minutes
        score = None if first is None else first.value
        return Choice(self.subject, best.value, score, dict(best.params), self.finished, rate)

    def found(self) -> Choice:
        """The best trial.

        Raises:
            ValueError: If none ended well.
        """
        choice = self.choice()
        if choice is None:
            errors = [t.user_attrs.get("error", "it ended early") for t in self.ended]
            raise ValueError(
                f"no trial of {self.subject.name} ended well; the first one: {errors[0]}"
            )
        return choice

    def chosen_fields(self) -> dict[str, Any]:
        """What the file of choices says: fields of the config, without None, which is a default."""
        choice = self.found()
        fields = {name: value for name, value in choice.params.items() if value is not None}
        if choice.updates_per_minute is not None:
            fields[RATE] = round(choice.updates_per_minute, 1)
        return fields

    def as_json(self) -> dict[str, Any]:
        """All trials as JSON types."""
        about, choice = dict(self.study.user_attrs["about"]), self.choice()
        return {
            **about,
            "score": "reward" if self.ends is None else "0 random, 100 expert",
            "ends": self.ends,
            "trials": [
                {
                    "number": t.number,
                    "state": t.state.name.lower(),
                    "score": t.value if t.state.name == "COMPLETE" else None,
                    "scores": [t.intermediate_values[s] for s in sorted(t.intermediate_values)],
                    "params": t.params,
                    **{k: v for k, v in t.user_attrs.items() if k != "origin"},
                }
                for t in self.ended
            ],
            "choice": None
            if choice is None
            else {"score": choice.score, "first": choice.first, "params": choice.params},
        }


def are_peers(study: Study, other: Study) -> bool:
    """Whether two studies search the same settings of an algorithm on other data of a task."""
    a, b = study.subject, other.subject
    same = (a.algorithm, a.task, a.space) == (b.algorithm, b.task, b.space)
    return same and a.dataset != b.dataset


def _distribution(optuna: Any, values: Range | tuple[Any, ...]) -> Any:
    if isinstance(values, tuple):
        return optuna.distributions.CategoricalDistribution(values)
    if values.is_whole:
        low, high = int(values.low), int(values.high)
        return optuna.distributions.IntDistribution(low, high, log=values.log)
    return optuna.distributions.FloatDistribution(values.low, values.high, log=values.log)
