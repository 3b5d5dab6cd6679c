"""Models on the Hugging Face Hub: a checkpoint with a model card; needs the extra ``[hub]``.

    networld push models/cbf owner/networld-cbf
    networld evaluate hf://owner/networld-cbf

A repository holds what `networld_algos.training.checkpoint` writes, safetensors and JSON. Loading
it makes the same checks: format, algorithm, task, sizes, and the content of every file. The Hub
controls access: log in with ``hf auth login`` or set ``HF_TOKEN``. ``HF_ENDPOINT`` selects a
mirror.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from networld_algos.base import Algorithm
from networld_algos.deploy.monitor.reference import FILE as MONITOR
from networld_algos.files import reading, write_text
from networld_algos.results.text import markdown
from networld_algos.training import checkpoint, pretrained
from networld_envs.spec import TaskSpec

SCHEME = "hf://"
EVALUATION = "evaluation.json"
CARD = "README.md"
REMEDY = "delete it, and record the score again with networld evaluate --record"
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
FILES = [checkpoint.INDEX, *checkpoint.TENSOR_FILES, EVALUATION, MONITOR, CARD]

CARD_TEXT = """---
library_name: networld
license: mit
tags: [networld, offline-rl, multi-agent, wireless]
---

# {title}

A {algorithm} model for {tasks}, made with networld {version}.

| | |
|---|---|
{rows}

```python
from networld_algos.training.hub import from_pretrained

model, about = from_pretrained("{repo_id}")
```

or `networld evaluate {scheme}{repo_id}`. The folder holds safetensors and JSON, no pickle.
"""


def push_to_hub(
    model: Algorithm | str | Path,
    repo_id: str,
    *,
    extra: dict[str, Any] | None = None,
    private: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
) -> str:
    """Upload a model and its card. A missing repository is created; old weights are replaced.

    Args:
        model: An algorithm, or a checkpoint as `fetch` takes it.
        repo_id: ``owner/name``.
        extra: Values that `from_pretrained` returns with the algorithm; only if ``model`` is an
            algorithm, because a checkpoint's folder has its own.
        private: Create the repository as private.
        token: Access token; by default, the one of your login.
        endpoint: Address of the Hub; by default, ``HF_ENDPOINT``.

    Returns:
        Address of the repository.

    Raises:
        ValueError: If ``repo_id`` is malformed or the folder holds no usable checkpoint.
        ImportError: If the extra ``[hub]`` is not installed.
        OSError: If the Hub denies access or cannot be reached.
    """
    _check_repository(repo_id)
    hub = _hub()
    with tempfile.TemporaryDirectory(prefix="networld-") as made:
        folder = Path(made)
        if isinstance(model, Algorithm):
            checkpoint.save(model, folder, extra)
        else:
            if extra is not None:
                raise ValueError("extra needs an algorithm; a checkpoint's folder has its own")
            source = fetch(model, token=token, endpoint=endpoint)
            checkpoint.load(source)  # raises, so that no unusable checkpoint is uploaded
            with checkpoint.unchanged(source):
                for pattern in FILES:
                    for file in source.glob(pattern):
                        shutil.copy(file, folder / file.name)
            checkpoint.verify(folder)
        write_text(folder / CARD, model_card(folder, repo_id))
        api = hub.HfApi(endpoint=endpoint, token=token)
        with _clear_errors(hub, repo_id):
            url = api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                commit_message="Upload a NetWorld model",
                delete_patterns=list(checkpoint.TENSOR_FILES),
            )
    return str(url)


def from_pretrained(
    source: str | Path,
    expect_task: str | TaskSpec | None = None,
    device: torch.device | str = "cpu",
    *,
    token: str | None = None,
    endpoint: str | None = None,
) -> tuple[Algorithm, dict[str, Any]]:
    """Load a model from a folder, from this package or from the Hub.

    Args:
        source: A folder, ``pretrained:NAME``, ``owner/name`` or ``hf://owner/name``; ``@revision``
            may follow a name on the Hub.
        expect_task: See `networld_algos.training.checkpoint.load`.
        device: Where to put the model.
        token: Access token; by default, the one of your login.
        endpoint: Address of the Hub; by default, ``HF_ENDPOINT``.

    Returns:
        The algorithm, and the ``extra`` that was saved with it.

    Raises:
        ValueError: If there is no usable checkpoint, or it is for another task.
        ImportError: If the extra ``[hub]`` is not installed.
        OSError: If the Hub denies access or cannot be reached.
    """
    text = str(source)
    named = text.startswith((SCHEME, pretrained.SCHEME))
    if isinstance(source, str) and not named and not Path(text).exists():
        text = SCHEME + text
    return checkpoint.load(fetch(text, token=token, endpoint=endpoint), expect_task, device)


def fetch(source: str | Path, *, token: str | None = None, endpoint: str | None = None) -> Path:
    """Folder of a checkpoint. ``hf://owner/name`` is downloaded, once per revision.

    Every command and function that takes a model finds it here.

    Args:
        source: A folder, ``pretrained:NAME`` or ``hf://owner/name[@revision]``.
        token: Access token.
        endpoint: Address of the Hub.
    """
    text = str(source)
    if text.startswith(pretrained.SCHEME):
        return pretrained.folder(text)
    if not text.startswith(SCHEME):
        return Path(source)
    repo_id, _, revision = text.removeprefix(SCHEME).partition("@")
    _check_repository(repo_id)
    hub = _hub()
    with _clear_errors(hub, repo_id):
        folder = hub.snapshot_download(
            repo_id,
            revision=revision or None,
            allow_patterns=FILES,
            token=token,
            endpoint=endpoint,
            library_name="networld",
        )
    return Path(folder)


def model_card(folder: Path, repo_id: str) -> str:
    """README of a repository, from the checkpoint in ``folder``."""
    index = checkpoint.read_index(folder)
    tasks = [TaskSpec.from_dict(spec) for spec in index["specs"]]
    about = index["extra"]
    facts = {
        "task": ", ".join(f"{spec.task} ({spec.num_agents} agents in the data)" for spec in tasks),
        "dataset": about.get("dataset"),
        "episodes": _episodes(about),
        "updates": about.get("updates"),
        "started from": about.get("init", {}).get("source"),
        "seed": about.get("seed"),
        "score": score_of(folder),
    }
    rows = [
        f"| {name} | {markdown(str(value))} |" for name, value in facts.items() if value is not None
    ]
    changed = json.dumps(index["config"], sort_keys=True).replace("|", "\\|").replace("`", "'")
    rows.append(f"| configuration | `{changed}` |")
    return CARD_TEXT.format(
        title=markdown(repo_id.split("/")[1]),
        algorithm=markdown(index["algorithm"]),
        tasks=" and ".join(markdown(spec.task) for spec in tasks),
        version=markdown(str(index.get("version", ""))),
        rows="\n".join(rows),
        repo_id=repo_id,
        scheme=SCHEME,
    )


def _episodes(about: dict[str, Any]) -> str | None:
    """Number of training and held-out episodes, in words."""
    total, fitted = about.get("episodes"), about.get("trained_on")
    if fitted is None:
        return None if total is None else str(total)
    return f"{fitted}, {total - fitted} more held out"


def record_score(folder: Path, weights: str, values: dict[str, Any]) -> None:
    """Write the result of `networld evaluate` beside the checkpoint, for its card.

    Args:
        folder: Folder of the checkpoint.
        weights: Name of the file of the weights that were scored.
        values: ``task``, ``preset``, ``episodes``, ``mean``, ``low``, ``high`` and ``normalised``
            (or None); perhaps ``params`` of the task and a ``warning``.

    Raises:
        ValueError: If the folder holds other weights by now.
    """
    if checkpoint.weights_file(folder) != weights:
        raise ValueError(
            f"the score is not recorded: the model in {folder} was replaced during the evaluation; "
            "evaluate it again"
        )
    about = {**values, "model": weights}
    write_text(folder / EVALUATION, json.dumps(about, indent=1) + "\n")


def score_of(folder: Path) -> str | None:
    """The recorded score in words; None if there is no score of exactly these weights."""
    file = folder / EVALUATION
    if not file.is_file():
        return None
    with reading(file, REMEDY):
        return _score_in_words(json.loads(file.read_bytes()), checkpoint.weights_file(folder))


def _score_in_words(found: dict[str, Any], weights: str) -> str | None:
    if found.pop("model", None) != weights:
        return None
    text = (
        f"{found['mean']:.4g} [{found['low']:.4g}, {found['high']:.4g}] average reward per agent "
        f"and step, {found['episodes']} episodes of {found['task']} ({found['preset']})"
    )
    if found["normalised"] is not None:
        text += f"; normalised {found['normalised']:.1f} (random 0, expert 100)"
    if found.get("warning"):
        text += f"; note: {found['warning']}"
    return text


def _check_repository(repo_id: str) -> None:
    if not REPOSITORY.fullmatch(repo_id):
        raise ValueError(
            f"{repo_id!r} is neither an existing folder nor a model named owner/name on the Hub; "
            "give the folder of a checkpoint, or such a name"
        )


def _hub() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise ImportError(
            "models on the Hub need huggingface_hub: pip install 'networld[hub]'"
        ) from error


@contextmanager
def _clear_errors(hub: Any, repo_id: str) -> Iterator[None]:
    httpx = importlib.import_module("httpx")  # the HTTP client of huggingface_hub
    try:
        yield
    except hub.errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"there is no model {repo_id} on the Hub, or it is private: check the name, or log in "
            "with hf auth login"
        ) from error
    except (hub.errors.HfHubHTTPError, hub.errors.LocalEntryNotFoundError) as error:
        first = str(error).strip().splitlines()[0]
        raise OSError(f"the Hub did not serve {repo_id}: {first}") from error
    except httpx.TransportError as error:
        raise OSError(f"the Hub cannot be reached: {error}") from error
