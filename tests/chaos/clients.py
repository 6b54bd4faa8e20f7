"""Front ends as they should be: what got no answer is asked again, with the same key."""

from __future__ import annotations

import threading
import time
from collections import Counter

import httpx

_AGAIN = frozenset({429, 502, 503, 504})
_PATIENCE_SECONDS = 90
_LONGEST_PAUSE_SECONDS = 1.0


class StubbornTransport(httpx.BaseTransport):
    """Repeats a request until it is answered, and counts what people do.

    A request is repeated as it is, key included, after a lost connection and after an answer that says "not now"; whoever
    hears only that for too long gives up. The platform may never answer 500; what the provider's pages answer so is repeated.
    """

    def __init__(self, api_url: str) -> None:
        self._api = httpx.URL(api_url)
        self._inner = httpx.HTTPTransport(limits=httpx.Limits(max_connections=100))
        self._lock = threading.Lock()
        self.acts = 0
        """Requests that are more than a look, as often as they were answered."""
        self.repeated: Counter[str] = Counter()
        """Requests that were asked again, by what had come instead of an answer."""
        self.broken: list[str] = []
        """Answers the platform must not give."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The first real answer. Raises httpx.TransportError when none comes for too long."""
        request.read()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        pause = 0.1
        while True:
            try:
                answer = self._inner.handle_request(request)
                answer.read()
            except httpx.TransportError as lost:
                if time.monotonic() > deadline:
                    raise
                why = type(lost).__name__
            else:
                if not self._says_later(request, answer) or time.monotonic() > deadline:
                    self._note(request, answer)
                    return answer
                why = str(answer.status_code)
            with self._lock:
                self.repeated[why] += 1
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)

    def _says_later(self, request: httpx.Request, answer: httpx.Response) -> bool:
        return answer.status_code in _AGAIN or (
            answer.status_code == 500 and not self._is_ours(request)
        )

    def _is_ours(self, request: httpx.Request) -> bool:
        return (request.url.host, request.url.port) == (self._api.host, self._api.port)

    def _note(self, request: httpx.Request, answer: httpx.Response) -> None:
        with self._lock:
            if request.method != "GET":
                self.acts += 1
            is_broken = answer.status_code >= 500 and answer.status_code not in _AGAIN
            if is_broken and self._is_ours(request):
                asked = f"{request.method} {request.url.path}"
                self.broken.append(f"{asked} answered {answer.status_code}: {answer.text[:200]}")
