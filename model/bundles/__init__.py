"""The files of bundles: strict config, hashes, choice of what is served, replacement of folders.

Needs neither onnxruntime nor tokenizers, so that a supervisor process can read bundles.
"""

from heed.model.bundles.config import (
    CARD,
    CONFIG,
    FORMAT,
    MODEL,
    MULTI_LABEL,
    TOKENIZER,
    BundleConfig,
    Name,
    Version,
    config_digest,
    format_config,
    parse_json,
)
from heed.model.bundles.files import (
    BundleFiles,
    FolderReading,
    cannot_read,
    find_bundle_folders,
    is_bundle,
    read_bundle_files,
    read_bundle_folder,
)
from heed.model.bundles.replacement import (
    METHODS,
    Method,
    remove_folder,
    replace_folder,
    whole_folder,
    write_files,
)
from heed.model.bundles.served import Candidate, ModelId, ModelTable, choose_served

__all__ = [
    "CARD",
    "CONFIG",
    "FORMAT",
    "METHODS",
    "MODEL",
    "MULTI_LABEL",
    "TOKENIZER",
    "BundleConfig",
    "BundleFiles",
    "Candidate",
    "FolderReading",
    "Method",
    "ModelId",
    "ModelTable",
    "Name",
    "Version",
    "cannot_read",
    "choose_served",
    "config_digest",
    "find_bundle_folders",
    "format_config",
    "is_bundle",
    "parse_json",
    "read_bundle_files",
    "read_bundle_folder",
    "remove_folder",
    "replace_folder",
    "whole_folder",
    "write_files",
]
