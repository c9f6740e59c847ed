"""What an account of Cloudflare has besides Workers AI, as far as a deployment needs it: D1
databases, Workers with their assets and secrets, gateways and addresses. Nothing of it runs."""
