"""What a link does to frames, from its keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from qemunet.plan.delays import delay_parts, mean_ns
from qemunet.plan.model import Impairments
from qemunet.topology import keys
from qemunet.topology.delays import parse_delay
from qemunet.units import parse_share, parse_time_ns


def impairments_of(
    link_type: str,
    attributes: Mapping[str, str],
    directory: Path | None,
    wrong: Callable[[str, str], None],
) -> tuple[Impairments, ...]:
    """Return what a link does to frames: once for a shared channel, per direction for others.

    Args:
        link_type: Type of the link.
        attributes: Its keys as text, checked already.
        directory: What files are relative to; None is the current directory.
        wrong: Takes the key, and what is wrong with a file that it names.
    """
    if link_type == "wifi":
        return ()
    if link_type == "csma":
        return (
            Impairments(
                rate_bps=keys.one_rate(attributes["rate"]) if "rate" in attributes else None,
                delay_ns=keys.one_delay(attributes.get("delay", "0")),
                loss=keys.one_share(attributes.get("loss", "0")),
            ),
        )
    rates = keys.directions(attributes["rate"], keys.link_rate) if "rate" in attributes else (None, None)
    delays = keys.directions(attributes.get("delay", "0"), parse_delay)
    jitters = keys.directions(attributes.get("jitter", "0"), parse_time_ns)
    losses = keys.directions(attributes.get("loss", "0"), parse_share)
    duplicates = keys.directions(attributes.get("duplicate", "0"), parse_share)
    reorders = keys.directions(attributes.get("reorder", "0"), parse_share)
    usual_queue = str(Impairments().queue_frames)
    queues = keys.directions(attributes.get("queue", usual_queue), keys.queue_frames)
    result = []
    for way in (0, 1):
        delay = delays[way]
        try:
            parts = delay_parts(delay, directory)
        except ValueError as error:
            wrong("delay", str(error))
            parts = ()
        result.append(
            Impairments(
                rate_bps=rates[way],
                delay_ns=delay if isinstance(delay, int) else round(mean_ns(parts)),
                loss=losses[way],
                jitter_ns=jitters[way],
                duplicate=duplicates[way],
                reorder=reorders[way],
                queue_frames=queues[way],
                delay_parts=parts,
            )
        )
    return tuple(result)
