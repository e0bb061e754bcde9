"""From the site file to what the controller, the reporter and the messages need to know. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config import Site, configuration_hash
from gateway.config.models import Fallback as FallbackConfig
from gateway.config.models import LimitValue
from gateway.control.capability import SETPOINT
from gateway.control.functions import FUNCTIONS
from gateway.control.mirror import Mirror
from gateway.control.plant import Authority, Der, Fallback, Plant
from gateway.model import Nameplate, Point, Ramp
from gateway.report import Rule
from gateway.uplink.messages import catalogue
from gateway.uplink.messages.times import rfc3339

_NOMINAL = {"frequency": 50.0, "power_factor": 1.0}
_NOMINAL_BY_UNIT = {"%": 100.0, "V": 230.0}
"""What 100 % of a deadband means for quantities that have no rated power; volts between phases are √3 times it."""


def plant_of(site: Site) -> Plant:
    """What the controller knows of the site."""
    rated = site.site.rated_power
    fallback = site.control.fallback
    up, down = site.control.ramp.up, site.control.ramp.down
    return Plant(
        rated_power_w=rated,
        pcc=site.control.pcc,
        ders=tuple(Der(id_, site.device(id_).role, site.device(id_).rated_power) for id_ in site.ders),
        devices=frozenset(device.id for device in site.devices),
        authorities={
            uplink.id: Authority(uplink.authority.priority, frozenset(uplink.authority.functions))
            for uplink in site.uplinks
        },
        ramp=Ramp(up=up.of(rated) if up else None, down=down.of(rated) if down else None),
        revert_s=revert_s(site),
        der_lost_s=fallback.der_lost.after if fallback.der_lost else None,
        uplink_lost=_fallback(fallback.uplink_lost, rated),
        pcc_meter_lost=_fallback(fallback.pcc_meter_lost, rated),
    )


def revert_s(site: Site) -> float | None:
    """After how long a device shall let go of a set-point that nobody refreshes; None: never."""
    der_lost = site.control.fallback.der_lost
    return der_lost.device_revert if der_lost else None


def _fallback(config: FallbackConfig | None, rated: float) -> Fallback | None:
    if config is None:
        return None
    limit = config.active_power.limit.of(rated) if isinstance(config.active_power, LimitValue) else None
    return Fallback(
        after_s=config.after,
        active_power_limit_w=limit,
        release_active_power=config.active_power == "release",
        release_reactive_power=config.reactive_power == "release",
    )


def report_rule(site: Site, point: Point) -> Rule:
    """When one point is reported, with its deadband in its own unit."""
    rule = site.report.rule(point.id)
    deadband = rule.deadband
    if deadband.unit not in {"", "%", point.unit}:
        deadband = site.report.default.deadband  # 100W says nothing of a voltage
    return Rule(
        deadband=deadband.of(_base(site, point)),
        min_interval=rule.min_interval,
        max_interval=rule.max_interval,
    )


def _base(site: Site, point: Point) -> float:
    if point.unit in {"W", "var", "VA"}:
        return site.device(point.device).rated_power or site.site.rated_power
    return _NOMINAL.get(point.name) or _NOMINAL_BY_UNIT.get(point.unit, 0.0)


def catalogue_of(site: Site, nameplates: Mapping[str, Nameplate]) -> catalogue.Catalogue:
    """The content of `birth`."""
    devices = []
    for device in site.devices:
        nameplate = nameplates[device.id]
        devices.append(
            catalogue.CatalogueDevice(
                id=device.id,
                role=device.role,
                rated_power=device.rated_power or nameplate.rated_power_w,
                manufacturer=nameplate.manufacturer,
                model=nameplate.model,
                points=tuple(
                    catalogue.CataloguePoint.of(p.name, p.unit, readable=p.readable, writable=p.writable)
                    for p in nameplate.points
                ),
            )
        )
    return catalogue.Catalogue(
        name=site.site.name,
        rated_power=site.site.rated_power,
        devices=tuple(devices),
        functions=tuple(function.name for function in FUNCTIONS),
        capability=_capability(site, nameplates),
        configuration=configuration_hash(site),
    )


def _capability(site: Site, nameplates: Mapping[str, Nameplate]) -> catalogue.Capability:
    """By rating: what all controllable devices can reach together; None while one of them is not known."""
    p_min = p_max = q_max = 0.0
    for id_ in site.ders:
        device, nameplate = site.device(id_), nameplates[id_]
        rated = device.rated_power or nameplate.rated_power_w
        if rated is None or not nameplate.points:
            return catalogue.Capability()
        writable = {point.name for point in nameplate.points if point.writable}
        p_max += rated
        p_min -= rated if device.role == "battery" and SETPOINT in writable else 0.0
        q_max += (nameplate.rated_reactive_power_var or rated) if "reactive_power_setpoint" in writable else 0.0
    return catalogue.Capability(p_min=p_min, p_max=p_max, q_min=-q_max, q_max=q_max)


def mirror_message(mirror: Mirror) -> catalogue.Mirror:
    """The content of `control`."""
    return catalogue.Mirror(
        quantities=tuple(
            catalogue.MirroredQuantity(
                target=one.target,
                quantity=one.quantity,
                value=one.value,
                unit=one.unit,
                source=one.source,
                kind=one.kind,
                priority=one.priority,
                expires=None if one.expires is None else rfc3339(one.expires),
                limited_by=one.limited_by,
            )
            for one in mirror.quantities
        ),
        headroom=catalogue.Headroom(
            p_up=mirror.headroom.p_up,
            p_down=mirror.headroom.p_down,
            q_up=mirror.headroom.q_up,
            q_down=mirror.headroom.q_down,
        ),
    )
