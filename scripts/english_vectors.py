"""Write the English token vectors that are part of Heed.

`python -m scripts.english_vectors ENCODER` reduces a sentence encoder to one vector per token and
writes tokenizer and vectors to model/distill/english/.
"""

import argparse
from collections.abc import Sequence

from heed.model.distill import ENGLISH, extract_static_vectors, read_encoder
from heed.model.training import TrainConfig


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the encoder and write the vectors of its tokens."""
    parser = argparse.ArgumentParser(prog="python -m scripts.english_vectors", description=__doc__)
    parser.add_argument("encoder", help="folder of the encoder, or its name on the hub")
    source = parser.parse_args(arguments).encoder
    encoder = read_encoder(source, "ENCODER")
    extract_static_vectors(encoder, TrainConfig.width, []).save(ENGLISH)


if __name__ == "__main__":
    main()
