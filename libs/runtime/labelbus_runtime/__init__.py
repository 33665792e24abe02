"""Delivery, carriers, retries, dead letters, settings, logs and metrics, once for every service."""
