"""How schemathesis is called."""

from pathlib import Path

from scripts.paths import ROOT

CONFIG = Path(__file__).parent / "fuzzing.toml"
CASES = Path(__file__).parent / "fuzzing_cases.py"


def command(document: Path, url: str, key: str) -> list[str]:
    """Python's words that hold the product at the address to its OpenAPI document. That a request
    without a key is refused tests/unit/test_permissions.py shows for each operation."""
    return [
        *("-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"),
        *("--header", f"Authorization: Bearer {key}", "--phases", "coverage,fuzzing"),
        *("--checks", "all", "--exclude-checks", "ignored_auth", "--max-examples", "1"),
        *("--generation-database", "none", "--request-timeout", "60", "--url", url),
        *("--seed", "1", "--no-color", str(document)),
    ]


def environment() -> dict[str, str]:
    """All that it needs of it: for each request it goes through all variables several times, in
    search of a proxy, and looks for a file of passwords in the user's home, where it has not been
    named. The table of Unicode that it makes, seconds of CPU, stays for the next run."""
    return {
        "NETRC": "/nowhere",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis"),
        "SCHEMATHESIS_HOOKS": str(CASES),
    }
