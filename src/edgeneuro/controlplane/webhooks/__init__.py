"""Webhooks: operators are told of events. The cron finds the events and delivers them."""
