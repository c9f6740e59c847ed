"""Work that the cron starts."""
