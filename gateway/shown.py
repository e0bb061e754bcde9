"""From the parts of the daemon to what the local API shows of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway import __version__
from gateway.assemble import plant_of
from gateway.config import Site
from gateway.local.look import DeviceFacts, SiteFacts, StoreLook, UplinkLook
from gateway.model import Instant
from gateway.store import Store
from gateway.uplink.mqtt import MqttUplink


def facts_of(site: Site, started: Instant) -> SiteFacts:
    """What does not change while the daemon runs."""
    return SiteFacts(
        id=site.site.id,
        name=site.site.name,
        version=__version__,
        started=started,
        period_s=site.control.period,
        devices=tuple(DeviceFacts(one.id, one.role, one.driver, one.rated_power) for one in site.devices),
        plant=plant_of(site),
        buffer_max_size_bytes=site.buffer.max_size,
        buffer_max_age_s=site.buffer.max_age,
    )


def uplinks_of(site: Site, uplinks: Sequence[MqttUplink], store: Store) -> Iterator[UplinkLook]:
    """Each uplink, and what it waits for."""
    for config, uplink in zip(site.uplinks, uplinks, strict=True):
        backlog = store.backlog(config.id)
        yield UplinkLook(config.id, config.type, uplink.connected, backlog.frames, backlog.messages, backlog.oldest)


def store_of(store: Store, *, journaled: int, unjournaled: int) -> StoreLook:
    """The store, and how far the journal is behind the ticks."""
    return StoreLook(
        epoch=store.epoch,
        session=store.session,
        last_frame=store.last_frame,
        last_message=store.last_message,
        waiting=store.waiting,
        dropped=store.dropped,
        journaled=journaled,
        unjournaled=unjournaled,
        fault=None if store.fault is None else str(store.fault),
    )
