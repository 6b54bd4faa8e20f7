"""`python -m providers.sandbox_server`: the sandbox on the address of the settings, until a signal stops it."""

from __future__ import annotations

import uvicorn

from providers.sandbox_server.app import create_app
from providers.sandbox_server.config import SandboxOptions, config_from
from runtime.settings import settings


def main() -> None:
    """Runs until SIGINT or SIGTERM; exits non-zero when the port is taken."""
    chosen = settings()
    app = create_app(config_from(chosen, SandboxOptions()))
    uvicorn.run(
        app,
        host=chosen.host,
        port=chosen.sandbox_port,
        log_level=chosen.log_level.lower(),
        access_log=False,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
