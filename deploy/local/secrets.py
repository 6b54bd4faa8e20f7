"""The secrets that the local platform's processes share, made when first needed and kept with its data."""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path

_FILE = "secrets.json"


def shared_secrets(data_dir: Path) -> dict[str, str]:
    """As environment variables: the sandbox provider's key and webhook secret, its carrier's, and the platform's own keys.

    What a file of an older version lacks is added; what it has stays. The file is readable by its owner only. Raises
    OSError when it can be neither read nor written.
    """
    kept = data_dir / _FILE
    found: dict[str, str] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    made = {**_fresh(), **found}
    if made != found:
        data_dir.mkdir(parents=True, exist_ok=True)
        draft = kept.with_suffix(".draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(made, file)
        # Only whole files get the name: a start that is killed here must not spoil the next one.
        draft.replace(kept)
    return made


def _fresh() -> dict[str, str]:
    return {
        "BAIGONG_SANDBOX_API_KEY": secrets.token_urlsafe(32),
        "BAIGONG_SANDBOX_WEBHOOK_SECRET": _webhook_secret(),
        "BAIGONG_CARRIER_WEBHOOK_SECRETS": json.dumps({"sandbox": _webhook_secret()}),
        "BAIGONG_IDENTITY_KEY": secrets.token_urlsafe(32),
        "BAIGONG_TAP_KEY": secrets.token_urlsafe(32),
        "BAIGONG_TAX_KEY": secrets.token_urlsafe(32),
        "BAIGONG_PAYLOAD_KEYS": json.dumps({"local": secrets.token_urlsafe(32)}),
    }


def _webhook_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
