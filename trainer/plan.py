"""What Workers AI would refuse is refused before the training, by the rules that judge an adapter
after it (edgeneuro.adapter)."""

from edgeneuro.adapter.bases import LORA_BASES
from edgeneuro.adapter.preflight import Check, check_plan
from trainer.bases import Base
from trainer.errors import TrainingError
from trainer.options import Options

_SUPPORT = "base_supports_lora"  # no reason not to train: adapters are of use elsewhere too


def require_allowed(base: Base, options: Options, *, parameters: int | None = None) -> None:
    """`parameters` is how many the adapter has, once that is known. Raises TrainingError."""
    broken = [check for check in _checks(base, options, parameters) if check.passed is False]
    broken = [check for check in broken if check.rule != _SUPPORT]
    if broken:
        raise TrainingError(
            "Workers AI would refuse this adapter: "
            + " ".join(f"{check.rule}: {check.message}" for check in broken)
        )


def warning(base: Base) -> str | None:
    """What to know of a base that Workers AI takes no adapters on."""
    if base.cloudflare in LORA_BASES:
        return None
    bases = ", ".join(sorted(LORA_BASES))
    return (
        f"Workers AI is not known to take adapters on {base.cloudflare or base.name}, so it may"
        f" refuse this one. It takes them on {bases}; --cloudflare-base names another."
    )


def _checks(base: Base, options: Options, parameters: int | None) -> list[Check]:
    return check_plan(
        rank=options.rank,
        target_modules=list(options.target_modules),
        base=base.cloudflare or base.name,
        alpha=options.alpha,
        parameters=parameters,
    )
