"""Paid calls: answers kept, budgets never exceeded, rate limits held across all workers of a key."""

from labelbus_labeling.paid.answer import Answer, Estimate, PaidCalls, PartlyBilled, Unmetered
from labelbus_labeling.paid.digest import digest_of
from labelbus_labeling.paid.headers import RateHeaders, retry_after_s
from labelbus_labeling.paid.image_tokens import image_tokens, most_image_tokens
from labelbus_labeling.paid.price_list import Price
from labelbus_labeling.paid.prices import Prices, shutdown_notice

__all__ = [
    "Answer",
    "Estimate",
    "PaidCalls",
    "PartlyBilled",
    "Price",
    "Prices",
    "RateHeaders",
    "Unmetered",
    "digest_of",
    "image_tokens",
    "most_image_tokens",
    "retry_after_s",
    "shutdown_notice",
]
