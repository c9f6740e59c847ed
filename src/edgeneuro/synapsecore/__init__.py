"""SynapseCore, the router: a query comes in, a decision goes out."""
