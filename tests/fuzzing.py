"""How schemathesis is called, in process and against workerd."""

from pathlib import Path

from scripts.paths import ROOT

CONFIG = Path(__file__).parent / "fuzzing.toml"
CASES = Path(__file__).parent / "fuzzing_cases.py"


def command(
    document: Path, url: str, key: str, *, examples: int, phases: str, without: str = ""
) -> list[str]:
    """Python's words that hold the product at the address to its OpenAPI document, but for the
    checks `without`."""
    return [
        *("-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"),
        *("--header", f"Authorization: Bearer {key}", "--phases", phases),
        *("--checks", "all", "--max-examples", str(examples), "--seed", "1", "--no-color"),
        *("--generation-database", "none", "--request-timeout", "60", "--url", url),
        *(("--exclude-checks", without) if without else ()),
        str(document),
    ]


def environment() -> dict[str, str]:
    """All that it needs of it: for each request it goes through all variables several times, in
    search of a proxy. The table of Unicode that it makes, seconds of CPU, stays for the next
    run."""
    return {
        "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis"),
        "SCHEMATHESIS_HOOKS": str(CASES),
    }
