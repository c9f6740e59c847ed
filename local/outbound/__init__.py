"""The internet as the Worker sees it at the desk: a few hosts, and none besides."""
