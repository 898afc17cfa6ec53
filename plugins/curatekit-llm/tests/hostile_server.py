"""A server that speaks as OpenAI's API does, and answers what a test tells it to, however bad."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Request(NamedTuple):
    """What a client sent."""

    body: dict[str, Any]
    key: str
    at: float
    """When it came, in seconds of a monotonic clock."""

    @property
    def shown(self) -> str:
        """What the user says."""
        return str(self.body["messages"][-1]["content"])


class Answer(NamedTuple):
    """What goes back."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


class Hostile:
    """The server.

    Attributes:
        url: What clients take for `base_url`.
        requests: All that came, in order.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.lock = threading.Lock()


Script = Answer | Callable[[Request], Answer]


def completion(content: str | None, *, end: str = "stop", refusal: str | None = None) -> Answer:
    """Make an answer of a model, of 100 tokens for 1000."""
    message = {"role": "assistant", "content": content, "refusal": refusal}
    whole = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": end}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }
    return Answer(200, json.dumps(whole).encode())


def verdict(score: object, reason: str = "because") -> Answer:
    """Make the answer of a judge."""
    return completion(json.dumps({"reason": reason, "score": score}))


def error(status: int, message: str = "no", code: str | None = None, **headers: str) -> Answer:
    """Make an answer that says what is wrong."""
    said = {"error": {"message": message, "type": "t", "code": code, "param": None}}
    spelled = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(said).encode(), spelled)


@contextmanager
def hostile(*script: Script) -> Iterator[Hostile]:
    """Run a server that answers by the script, line by line, and then by its last line for ever."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = self.headers["Authorization"].removeprefix("Bearer ")
            request = Request(body, key, time.monotonic())
            with found.lock:
                line = script[min(len(found.requests), len(script) - 1)]
                found.requests.append(request)
            answer = line if isinstance(line, Answer) else line(request)
            self.send_response(answer.status)
            headers = {"Content-Type": "application/json", **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Bear with clients that went away, as some are made to."""

    with Server(("127.0.0.1", 0), Handler) as server:
        found = Hostile(f"http://127.0.0.1:{server.server_port}/v1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
