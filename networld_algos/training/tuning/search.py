"""Search the settings of algorithms: the same number of trials and the same time for each.

Every trial trains with other settings on the same data, and its score on validation networks leads
the choice of the next ones: the tree-structured Parzen estimator of Optuna (Akiba et al., 2019).
Trials are kept in a SQLite database, so that a search which is stopped goes on, and the best one is
written to files that can be committed::

    trials.db                 all trials, for Optuna
    trials/<subject>.json     the trials of an algorithm on data, with scores and settings
    choices.toml              settings of the best trials

The first trial has the settings as they are, and the last one those that the same algorithm has
chosen on other data of the task, since settings often suit both. After the trials come finals: the
best ones and the first are trained once more, from another seed, and scored on many other networks,
because the best of a dozen scores on few networks is partly luck. Without a database, trials and
finals are read from their files. The best score of several is too high an estimate of its own;
score the choice on test networks.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from networld_algos.files import locked
from networld_algos.training.tuning.choices import Choices, read_choices, settings_on, write_choices
from networld_algos.training.tuning.storage import load_optuna, open_storage
from networld_algos.training.tuning.study import DATABASE, Choice, Study, are_peers
from networld_algos.training.tuning.subject import Options, Subject
from networld_algos.training.tuning.trial import Job, Result, perform
from networld_envs.store.workers import WorkerDiedError, Workers

CHOICES = "choices.toml"

OnTrial = Callable[[Subject, Result, bool], None]
"""Called with what was searched, how a trial or a final ended, and whether it is a final."""


def search(
    subjects: Sequence[Subject],
    options: Options,
    out: Path,
    jobs: int = 1,
    on_start: Callable[[int, int], None] | None = None,
    on_trial: OnTrial | None = None,
    also: Sequence[Choices] = (),
) -> list[Choice]:
    """Do the trials that are missing, and write what was found.

    Args:
        subjects: What to search. Their trials take turns.
        options: The options, the same for all.
        out: Folder of the search.
        jobs: Number of parallel processes, with one thread each.
        on_start: Called with the numbers of trials that are done, and of all; once more, before the
            finals, with these included.
        on_trial: Called after each trial and each final, see `OnTrial`.
        also: Settings to try, over the best ones so far; one trial of a subject for each element
            that has some for it. They count among the trials.

    Returns:
        One choice for each subject.

    Raises:
        ValueError: If the folder holds a search with other options, another process is searching
            in it, settings in ``also`` are not searched, or no trial of a subject has ended well.
        ImportError: If Optuna is not installed.
        KeyboardInterrupt: After a signal; what was done is saved.
    """
    optuna = load_optuna()
    out = out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    with _only_search(out), open_storage(out / DATABASE) as storage:
        known = read_choices(out / CHOICES) if (out / CHOICES).exists() else {}
        write_choices(out / CHOICES, known)  # an unwritable folder is found out before training
        studies = [Study(optuna, storage, s, options, out) for s in subjects]
        for study in studies:
            subject = study.subject
            for choices in also:
                if fields := settings_on(choices, subject.algorithm, subject.task, subject.dataset):
                    study.suggest(fields)
        waiting = [max(0, options.trials - study.finished) for study in studies]
        total = options.trials * len(studies)
        if on_start is not None:
            on_start(total - sum(waiting), total)
        turns = [k for n in range(options.trials) for k, w in enumerate(waiting) if n < w]
        with Workers(perform, jobs) as workers:

            def work(todo: Sequence[Job]) -> None:
                for job, answer in workers.map(todo):
                    study = next(s for s in studies if s.subject == job.subject)
                    if isinstance(answer, WorkerDiedError):
                        result = Result("failed", error=str(answer))
                    else:
                        result = answer
                    study.tell(job, result)
                    if study.choice() is not None:
                        known.setdefault(study.subject.algorithm, {})
                        known[study.subject.algorithm][study.subject.data] = study.chosen_fields()
                        write_choices(out / CHOICES, known)
                    if on_trial is not None and result.state != "stopped":
                        on_trial(study.subject, result, job.is_final)
                    if result.signal:
                        signal.raise_signal(result.signal)  # the training had taken it

            work(_Jobs(studies, turns))
            finals = [job for study in studies for job in study.finals()]
            if on_start is not None and finals:
                on_start(total, total + len(finals))
            work(finals)
        return [study.found() for study in studies]


class _Jobs(Sequence[Job]):
    """Trials in the order of their turns; the settings of one are chosen when a worker takes it."""

    def __init__(self, studies: Sequence[Study], turns: Sequence[int]) -> None:
        self._studies, self._turns = studies, turns
        self._asked: dict[int, Job] = {}

    def __len__(self) -> int:
        return len(self._turns)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        if index not in self._asked:  # a trial whose worker died is taken again
            study = self._studies[self._turns[index]]
            study.borrow([other for other in self._studies if are_peers(study, other)])
            self._asked[index] = study.ask()
        return self._asked[index]


@contextmanager
def _only_search(folder: Path) -> Iterator[None]:
    """Lock a folder, so that two searches never do the same trial."""
    try:
        with locked(folder / ".lock", wait=False):
            yield
    except BlockingIOError as error:
        raise ValueError(
            f"another process is searching in {folder}; wait for it, or choose another --out"
        ) from error
