"""The models that a worker has loaded from the supervisor's memory files."""

from collections.abc import Sequence
from typing import Any

from heed.model.bundles import ModelTable
from heed.model.errors import HeedError
from heed.model.inference import Bundle, OnnxClassifier
from heed.service.inference import warm_up
from heed.service.process.served_set import StoredBundle, table_of
from heed.service.settings import Settings


class LoadedModels:
    """Classifiers by the key of their bundle: those that are served, and those that may be next."""

    def __init__(self, settings: Settings, served: dict[str, Any]) -> None:
        """Load what is served first.

        Args:
            settings: options of the sessions.
            served: from `ServedSet.to_json`; this process has inherited the descriptors.

        Raises:
            HeedError: a bundle is rejected, or the device is not available.
        """
        self._settings = settings
        self._classifiers: dict[str, OnnxClassifier] = {}
        for fields in served["bundles"]:
            bundle = StoredBundle.from_json(fields)
            self._classifiers[bundle.key] = self._load(bundle)

    def load(self, bundles: Sequence[StoredBundle]) -> dict[str, str]:
        """Load and warm up more models, in any thread. Returns refusals by folder."""
        refusals = {}
        for bundle in bundles:
            try:
                classifier = self._load(bundle)
                warm_up(classifier)
            except HeedError as error:
                refusals[str(bundle.folder)] = str(error)
            else:
                self._classifiers[bundle.key] = classifier
        return refusals

    def serve(self, served: dict[str, Any]) -> ModelTable[OnnxClassifier]:
        """Return the models of a set, and forget all others."""
        table = table_of(served)
        keys = set(table.versions.values())
        self._classifiers = {k: model for k, model in self._classifiers.items() if k in keys}
        return table.map(self._classifiers.__getitem__)

    def _load(self, bundle: StoredBundle) -> OnnxClassifier:
        try:
            files = bundle.read()
        finally:
            bundle.close()
        settings = self._settings
        return OnnxClassifier(
            Bundle.from_files(files), settings.device, settings.threads, settings.precision
        )
