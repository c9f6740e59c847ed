"""Calls upstream within a time, failing in our words alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edgeneuro.errors import EdgeNeuroError, UpstreamTimeoutError
from edgeneuro.gateway.upstream_errors import raised_error


@asynccontextmanager
async def bounded(seconds: float, *, vendor: str) -> AsyncIterator[None]:
    """What is thrown that is not ours, and taking too long, becomes an UpstreamError."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except EdgeNeuroError:
        raise
    except TimeoutError as error:
        message = f"{vendor} gave no answer within {seconds * 1000:.0f} ms."
        raise UpstreamTimeoutError(message) from error
    except Exception as error:
        raise raised_error(str(error), vendor=vendor) from error
