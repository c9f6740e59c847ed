"""Authentication and the limits of keys: credentials, Cloudflare Access, reservations of usage."""
