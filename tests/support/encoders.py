"""Tiny sentence encoders with random weights, each with another kind of tokenizer."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from tests.support.texts import BAD, GOOD, THINGS, reviews

SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.1,
    "max_position_embeddings": 140,
}


def bert(folder: Path) -> Path:
    """An encoder with WordPiece and [PAD] at 0: all characters and the words of `texts.py`."""
    letters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    words = [*THINGS, *GOOD, *BAD, "the", "was", "word"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    tokens += [f"##{letter}" for letter in letters if letter.isalnum()] + words
    vocabulary = {token: number for number, token in enumerate(tokens)}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    torch.manual_seed(0)
    network = BertModel(BertConfig(vocab_size=len(tokens), **SIZES))
    table = network.embeddings.word_embeddings.weight.data
    for group, sign in ((GOOD, 1), (BAD, -1)):  # good and bad words differ, as after pretraining
        table[[vocabulary[word] for word in group]] += sign * torch.linspace(-1, 1, table.shape[1])
    return _save(folder, network, inner, names)


def roberta(folder: Path) -> Path:
    """An encoder with byte-level BPE, <s> at 0 and <pad> at 1."""
    inner = Tokenizer(models.BPE(unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([text for text, _ in reviews(100, 0)], trainer)
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    torch.manual_seed(0)
    config = RobertaConfig(vocab_size=inner.get_vocab_size(), pad_token_id=1, **SIZES)
    return _save(folder, RobertaModel(config), inner, names)


def unigram(folder: Path) -> Path:
    """An encoder with Unigram, <s> at 0 and <pad> at 1, both also tokens that a text can have."""
    letters = [chr(c) for c in range(33, 127)]
    tokens = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0)]
    tokens += [(letter, -5.0) for letter in letters]
    tokens += [(f"▁{word}", -4.0) for word in [*THINGS, *GOOD, *BAD]]
    inner = Tokenizer(models.Unigram(tokens, unk_id=3))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    names = {
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    torch.manual_seed(0)
    return _save(folder, BertModel(BertConfig(vocab_size=len(tokens), **SIZES)), inner, names)


def _save(
    folder: Path, network: BertModel | RobertaModel, inner: Tokenizer, names: dict[str, str]
) -> Path:
    network.save_pretrained(folder)
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, **names)  # type: ignore[no-untyped-call]
    fast.save_pretrained(folder)
    return folder
