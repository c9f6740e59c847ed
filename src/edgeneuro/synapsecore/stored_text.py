"""The one door for texts that callers write, before they are stored: queries, labels, imports,
notes, comments and the values beside them. Hashes of questions are over what comes out here."""

from edgeneuro.domain.decision import MetadataValue
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.synapsecore.redact import redact


def stored_text(config: RoutingConfig, text: str) -> str:
    """The text as it may be stored; the same text twice is the same question twice."""
    return redact(text) if config.redact_personal_data else text


def stored_metadata(
    config: RoutingConfig, metadata: dict[str, MetadataValue]
) -> dict[str, MetadataValue]:
    return {stored_text(config, name): _value(config, value) for name, value in metadata.items()}


def _value(config: RoutingConfig, value: MetadataValue) -> MetadataValue:
    """A number becomes a text only where it is a phone or card number."""
    if isinstance(value, bool):
        return value
    text = str(value)
    stored = stored_text(config, text)
    return value if stored == text else stored
