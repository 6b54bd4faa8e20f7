"""`python -m api`: serves the API until it is told to stop."""

from __future__ import annotations

import uvicorn

from api.app import create_app
from runtime.leaving import leave
from runtime.logging import configure
from runtime.settings import settings


def main() -> None:
    """Serves on host and port of the settings; SIGTERM and SIGINT let running requests end first."""
    known = settings()
    configure(known.log_level)
    uvicorn.run(
        create_app(known),
        host=known.host,
        port=known.api_port,
        log_config=None,
        access_log=False,
        server_header=False,
        # Who is behind a proxy is said by BAIGONG_TRUSTED_PROXIES.
        proxy_headers=False,
        timeout_graceful_shutdown=known.request_timeout_seconds + 5,
    )


if __name__ == "__main__":
    main()
    leave()
