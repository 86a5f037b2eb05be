"""An event on its way."""

from __future__ import annotations

from .event import Event


class Item:
    """An event, its place in what was accepted, and how often it was sent."""

    __slots__ = ("attempts", "event", "number")

    def __init__(self, number: int, event: Event) -> None:
        self.number = number
        self.event = event
        self.attempts = 0
