"""Make the English vectors that are part of Heed, of a sentence encoder.

`python -m benchmarks.english ENCODER` writes them to model/english/.
"""

import sys

from model.encoder import read_encoder, static_vectors
from model.plan import TrainConfig
from model.vectors import ENGLISH


def main() -> None:
    """Read the encoder and write its tokens' vectors."""
    (source,) = sys.argv[1:]
    encoder = read_encoder(source, "ENCODER")
    static_vectors(encoder, TrainConfig.width, []).save(ENGLISH)


if __name__ == "__main__":
    main()
