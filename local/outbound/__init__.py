"""The internet as the Worker sees it in the emulator: a few hosts, and none besides."""
