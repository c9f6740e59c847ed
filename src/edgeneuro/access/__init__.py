"""Who asks, and how much they may use: credentials, Cloudflare Access, and the limits of keys."""
