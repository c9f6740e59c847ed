"""Webhooks: operators' addresses receive events. The cron finds the events and delivers them."""
