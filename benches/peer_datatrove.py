"""Deduplicate with datatrove: the four stages of its example, one task each, one after the other.

It runs in an environment of its own (see `environments.py`). The settings are those of the example.
"""

import argparse
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.typeshelper import Languages

CONFIG = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)


def main() -> None:
    """Decide all rows of a file and write the kept ones to `00000.jsonl` in a folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    made = options.out / "stages"
    signatures, buckets, removed = (str(made / name) for name in ("signatures", "buckets", "ids"))
    reader = JsonlReader(str(options.corpus.parent), glob_pattern=options.corpus.name)
    stages: list[tuple[int, list[PipelineStep]]] = [
        (1, [reader, MinhashDedupSignature(signatures, CONFIG, language=Languages.english)]),
        (CONFIG.num_buckets, [MinhashDedupBuckets(signatures, buckets, config=CONFIG)]),
        (1, [MinhashDedupCluster(buckets, removed, config=CONFIG)]),
        (
            1,
            [
                reader,
                MinhashDedupFilter(removed),
                JsonlWriter(str(options.out), "${rank}.jsonl", compression=None),
            ],
        ),
    ]
    for number, (tasks, pipeline) in enumerate(stages):
        logs = str(made / f"log-{number}")
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=logs).run()


if __name__ == "__main__":
    main()
