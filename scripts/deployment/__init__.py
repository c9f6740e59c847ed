"""`npm run deploy`: from a clone and an account to a Worker that routes."""
