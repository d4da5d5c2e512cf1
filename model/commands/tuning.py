"""The hyperparameter search as a step of `train_bundle`."""

from heed.model.commands.initialization import Initialization
from heed.model.commands.steps import Run, TokenizedRows
from heed.model.metrics import Floats
from heed.model.training import Dataset, TrainingMetadata, Trial, TuningResult, search_config


def tune(
    run: Run,
    training_set: Dataset,
    data: TokenizedRows,
    metadata: TrainingMetadata,
    initialization: Initialization,
    ngram_logits: Floats | None,
) -> TrainingMetadata:
    """Return the metadata after a search for better hyperparameters, if `--tune` is given."""
    if not run.options.tune_minutes or metadata.tuning:
        return metadata
    result = _search(run, training_set, data, metadata, initialization, ngram_logits)
    return metadata.with_tuning(result)


def _search(
    run: Run,
    training_set: Dataset,
    data: TokenizedRows,
    metadata: TrainingMetadata,
    initialization: Initialization,
    ngram_logits: Floats | None,
) -> TuningResult:
    minutes = run.options.tune_minutes
    assert minutes is not None
    trials: list[Trial] = []

    def report(trial: Trial) -> None:
        trials.append(trial)
        changes = ", ".join(f"{k} {v:g}" for k, v in trial.changed.items()) or "derived values"
        run.on_message(
            f"trial {len(trials)}: {changes}: dev accuracy {trial.accuracy:.4f}, "
            f"cross-entropy {trial.cross_entropy:.4f}"
        )

    best = search_config(
        metadata.config, metadata.network, training_set, data.held_out.dev,
        initial_embeddings=initialization.embeddings, ngram_logits=ngram_logits,
        fixed=frozenset(run.options.overrides), minutes=minutes, on_trial=report,
    )  # fmt: skip
    return TuningResult(
        minutes=minutes,
        trials=len(trials),
        changed=best.changed,
        planned_accuracy=trials[0].accuracy,
        accuracy=best.accuracy,
    )
