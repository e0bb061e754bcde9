"""How a total is shared among several devices."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.model import Band


def share(total: float, bands: Mapping[str, Band], weights: Mapping[str, float]) -> dict[str, float]:
    """
    Split *total* in proportion to the weights, within each band; what one cannot take goes to the others.

    Args:
        total: What the sum should be.
        bands: Where each share may lie, keyed by device.
        weights: Positive; usually the rated powers.

    Returns:
        One value a device, within its band. Their sum is *total* when the sum of the bands contains it, else the
        nearest that can be reached.

    >>> share(30.0, {"a": Band(0, 60), "b": Band(0, 5)}, {"a": 60, "b": 30})
    {'a': 25.0, 'b': 5.0}
    """
    shares: dict[str, float] = {}
    free = dict(bands)
    rest = total
    while free:
        weight = sum(weights[device] for device in free)
        wanted = {device: rest * weights[device] / weight for device in free}
        over = sum(wanted[device] - band.clamp(wanted[device]) for device, band in free.items())
        # Fixing only those beyond the same edge keeps the sum right: the others may still come back inside.
        fixed = [
            device
            for device, band in free.items()
            if (over > 0 and wanted[device] > band.hi) or (over < 0 and wanted[device] < band.lo)
        ]
        if not fixed:
            shares |= {device: band.clamp(wanted[device]) for device, band in free.items()}
            break
        for device in fixed:
            shares[device] = free.pop(device).clamp(wanted[device])
            rest -= shares[device]
    return {device: shares[device] for device in bands}
