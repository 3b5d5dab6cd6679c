"""The trials of one algorithm on one data, kept in a database."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from networld_algos.base import Range
from networld_algos.files import write_text
from networld_algos.registry import ALGORITHMS, make_config
from networld_algos.training.cpu import machine, shared_environment
from networld_algos.training.origin import data_origin, network_for
from networld_algos.training.tuning.choices import RATE
from networld_algos.training.tuning.records import record_of, restore
from networld_algos.training.tuning.storage import pruner_of, trial_id
from networld_algos.training.tuning.subject import Options, Subject, described, extends, inside
from networld_algos.training.tuning.trial import Job, Result
from networld_envs import store
from networld_envs.policies.references import score_ends
from networld_envs.simulator import added_tasks
from networld_envs.version import __version__

DATABASE, TRIALS, RUNNING, FINAL = "trials.db", "trials", ".running", "final"


@dataclass(frozen=True)
class Choice:
    """What a search found for a subject.

    Attributes:
        subject: The algorithm and its data.
        score: Score of the chosen trial on validation networks, of its final if there was one.
        first: Score of the settings as they were; None if their training failed or ended early.
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
        record = {
            **subject.record(),
            **options.record(),
            "data_hash": store.recorded_hash(dataset),
            "version": __version__,
        }
        about = json.loads(json.dumps(record))
        if not self.study.trials:
            restore(optuna, self.study, self.distributions, self._path, about)
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
            name = folder.name.removeprefix(f"{self.subject.stem}-").removeprefix(FINAL)
            if name.isdecimal():
                shutil.rmtree(folder)

    def _check(self, about: dict[str, Any]) -> None:
        """Record what the search is about, or raise if it was about something else."""
        before = self.study.user_attrs.get("about")
        if before is None:
            self.study.set_user_attr("about", about)
            return
        # Searched fields may stand elsewhere now, as when a suite has taken over the choice.
        bases = [
            {k: v for k, v in a["base"].items() if k not in a["search"]} for a in (before, about)
        ]
        if bases[0] == bases[1]:
            about["base"] = before["base"]
            self.subject = replace(self.subject, base=before["base"])
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
        return self._job(trial, str(trial.user_attrs.get("origin", trial.number)))

    def _job(self, trial: Any, folder: str, is_final: bool = False) -> Job:
        return Job(
            subject=self.subject,
            options=self.options,
            database=self.out / DATABASE,
            number=trial.number,
            params=dict(trial.params),
            updates=trial.user_attrs.get("updates", self.options.updates),
            folder=self.out / RUNNING / f"{self.subject.stem}-{folder}",
            network=self.network,
            ends=self.ends,
            algorithms=dict(ALGORITHMS),
            tasks=added_tasks(),
            environment=shared_environment(),
            is_final=is_final,
        )

    def finals(self) -> list[Job]:
        """The finals that are missing; none before all trials have ended."""
        known = self._final_scores
        missing = [trial for trial in self._finalists if trial.number not in known]
        return [self._job(trial, f"{FINAL}{trial.number}", is_final=True) for trial in missing]

    @property
    def _finalists(self) -> list[Any]:
        """The best whole trials, and the first one; none if there is nothing to choose."""
        whole, first = self._whole()
        if self.finished < self.options.trials or not self.options.finalists:
            return []
        best = sorted(whole, key=lambda t: -t.value)[: self.options.finalists]
        if first is not None and first not in best:
            best.append(first)
        return best if len(best) > 1 else []

    @property
    def _final_scores(self) -> dict[int, float | None]:
        """Number of a trial -> score of its final on as many networks; None if it failed."""
        found = self.study.user_attrs.get("finals", {})
        return {
            int(number): final["score"]
            for number, final in found.items()
            if final["networks"] == self.options.final_networks
        }

    def tell(self, job: Job, result: Result) -> None:
        """Record how a trial or a final ended, in the database and in the file of trials."""
        if job.is_final:
            if result.state != "stopped":
                self._tell_final(job, result)
                self._write()
            return
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
        self._write()

    def _tell_final(self, job: Job, result: Result) -> None:
        final = {"score": result.score, "networks": self.options.final_networks}
        final |= {"seconds": result.seconds, "machine": machine()}
        if result.error:
            final["error"] = result.error
        before = self.study.user_attrs.get("finals", {})
        self.study.set_user_attr("finals", {**before, str(job.number): final})

    @property
    def _path(self) -> Path:
        return self.out / TRIALS / f"{self.subject.stem}.json"

    def _write(self) -> None:
        record = record_of(self.study.user_attrs, self.ended)
        if (choice := self.choice()) is not None:
            found = {"score": choice.score, "first": choice.first, "params": choice.params}
            record["choice"] = found
        write_text(self._path, json.dumps(record, indent=1) + "\n")

    def _note(self, number: int, key: str, value: Any) -> None:
        """Set an attribute of a trial that has not ended."""
        self.storage.set_trial_user_attr(trial_id(self.storage, self.study, number), key, value)

    def choice(self) -> Choice | None:
        """The best whole trial so far; the first one, if no other is better by the margin.

        Once all finals have ended, they decide.
        """
        whole, first = self._whole()
        if not whole:
            return None
        scores = {trial.number: trial.value for trial in whole}
        if finalists := self._finalists:
            known, numbers = self._final_scores, [trial.number for trial in finalists]
            passed = {n: score for n in numbers if (score := known.get(n)) is not None}
            if passed and known.keys() >= set(numbers):
                scores = passed
        whole = [trial for trial in whole if trial.number in scores]
        first = first if first in whole else None
        best = max(whole, key=lambda t: scores[t.number])
        margin = 0.0 if self.ends is None else self.options.margin
        if first is not None and scores[best.number] < scores[first.number] + margin:
            best = first
        done = best.user_attrs.get("updates")
        rate = None
        if done is not None and self.options.updates is None:
            rate = done / self.options.minutes
        before = None if first is None else scores[first.number]
        return Choice(
            self.subject, scores[best.number], before, dict(best.params), self.finished, rate
        )

    def _whole(self) -> tuple[list[Any], Any]:
        """Trials that came to their end with a score, and the first one if it is among them."""
        whole = [t for t in self.ended if t.value is not None and t.state.name == "COMPLETE"]
        first = next((t for t in whole if t.user_attrs.get("origin", t.number) == 0), None)
        return whole, first

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
