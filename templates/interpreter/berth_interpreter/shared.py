"""The variables that the owner of the sandbox has set for all of it, as its agent tells them."""

import asyncio
import json
import os
import urllib.error
import urllib.request

AGENT = "http://127.0.0.1:49983"
"""The agent of the sandbox, unless `BERTH_AGENT` names another address."""
PATIENCE = 2.0
"""Seconds for its answer."""
SIZE_LIMIT = 2 << 20
"""Bytes of its answer."""

# Proxies lead out of the sandbox.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _ask(token: str | None) -> dict[str, str]:
    request = urllib.request.Request(f"{os.environ.get('BERTH_AGENT', AGENT)}/envs")
    if token is not None:
        request.add_header("X-Access-Token", token)
    try:
        with _opener.open(request, timeout=PATIENCE) as response:
            answer = json.loads(response.read(SIZE_LIMIT))
    except (OSError, ValueError):
        # Nobody there, or the token of somebody else: the variables that this process was started with have to do.
        return {}
    return {str(name): str(value) for name, value in answer.items()} if isinstance(answer, dict) else {}


async def shared_variables(token: str | None) -> dict[str, str]:
    """The variables, to whom the token lets read them."""
    return await asyncio.to_thread(_ask, token)
