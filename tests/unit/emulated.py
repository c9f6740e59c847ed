"""The unit tests' product with local/ behind the AI binding, vendors' hosts and Cloudflare's API:
the same that runs in workerd, in process."""

from dataclasses import replace

from edgeneuro.gateway.client import build_gateway
from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from local.app import build_app
from tests.local.emulator import Emulator, build_emulator
from tests.unit.conftest import Product
from tests.unit.upstreams import AsgiFetch, FetchedAi


def emulated_product(database: SqliteDatabase, settings: Settings) -> tuple[Product, Emulator]:
    """The product and what answers its calls."""
    emulator = build_emulator()
    app = build_app(emulator.gateway)
    settings = replace(
        settings, cloudflare_account_id="local", provider_hosts=("vendor.example.com",)
    )
    outbound = AsgiFetch(app, outbound=True)
    gateway = build_gateway(
        settings,
        binding=FetchedAi(AsgiFetch(app)),
        fetch=outbound,
        secret=lambda name: "any text",
        now=emulator.time.clock,
    )
    product = Product(database, settings, gateway=gateway, cloudflare=outbound)
    product.secrets["CLOUDFLARE_API_TOKEN"] = "any text"
    return product, emulator
