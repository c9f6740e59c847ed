"""What wrangler.toml names as `main`: hands the runtime the entrypoint class, nothing else."""

from edgeneuro.edge.entrypoint import Default

__all__ = ["Default"]
