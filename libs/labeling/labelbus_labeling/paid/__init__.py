"""Paid calls: answers kept, budgets never exceeded, rate limits held across all workers of a key."""

from labelbus_labeling.paid.answer import Answer, Estimate, PaidCalls, Unmetered
from labelbus_labeling.paid.digest import digest_of
from labelbus_labeling.paid.headers import RateHeaders
from labelbus_labeling.paid.image_tokens import image_tokens
from labelbus_labeling.paid.prices import Price, Prices

__all__ = [
    "Answer",
    "Estimate",
    "PaidCalls",
    "Price",
    "Prices",
    "RateHeaders",
    "Unmetered",
    "digest_of",
    "image_tokens",
]
