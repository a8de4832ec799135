"""Python client of the Kembar service; needs httpx and pydantic only."""

from kembar_client.answers import Goal
from kembar_client.async_client import AsyncKembar
from kembar_client.bulk import Delete, Patch, Put
from kembar_client.client import Kembar
from kembar_client.errors import KembarError
from kembar_client.requests import Content
from kembar_client.retry import RetryPolicy

__all__ = ["AsyncKembar", "Content", "Delete", "Goal", "Kembar", "KembarError", "Patch", "Put", "RetryPolicy"]
