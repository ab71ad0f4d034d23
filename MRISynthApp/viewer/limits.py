"""What visitors may ask of this machine."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds that keep one visitor from taking what the others need.

    Attributes
    ----------
    visitors:
        Scenes at a time; each takes about half a gigabyte of memory.
    upload_bytes, upload_files:
        What a visitor may bring, archives unpacked. What is packed inside images that are sent
        together may become as large.
    archive_ratio:
        How many times larger than itself an archive may become.
    idle_seconds:
        After so long without a click or key a scene ends.
    leave_seconds:
        How long a scene waits for its page to come back, as it does on a reload.
    start_seconds:
        How long a new scene may take to be ready.
    page_seconds:
        How long a page may take from one of its files to the next, or to its scene; who only
        looked at the address, as programs that make previews of links do, keeps no place.
    memory_bytes:
        Address space of a visitor's process, where the system can bound it.
    """

    visitors: int = 4
    upload_bytes: int = 2048 * MIB
    upload_files: int = 5000
    archive_ratio: int = 200
    idle_seconds: float = 30 * 60
    leave_seconds: float = 10
    start_seconds: float = 120
    page_seconds: float = 30
    memory_bytes: int = 32 * 1024 * MIB
