"""From the site file to what the controller, the reporter and the messages need to know. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config import Site, configuration_hash
from gateway.config.models import DerControl, LimitValue, RampLimits, SiteRamp, StandIn
from gateway.config.models import Fallback as FallbackConfig
from gateway.config.quantities import Amount
from gateway.control.capability import SETPOINT
from gateway.control.fallback import CLOCK, METER, UPLINK
from gateway.control.functions import FUNCTIONS
from gateway.control.mirror import Mirror
from gateway.control.plant import Action, Authority, Der, Fallback, Plant, Ramps, Word
from gateway.control.pq import CIRCLE, PqCapability, d_shape
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
    losses = {UPLINK: fallback.uplink_lost, METER: fallback.pcc_meter_lost, CLOCK: fallback.clock_lost}
    return Plant(
        rated_power_w=rated,
        pcc=site.control.pcc,
        ders=tuple(_der(site, id_) for id_ in site.ders),
        devices=frozenset(device.id for device in site.devices),
        authorities={
            uplink.id: Authority(uplink.authority.priority, frozenset(uplink.authority.functions))
            for uplink in site.uplinks
        },
        ramps=_ramps(site.control.ramp, rated),
        strategy=site.control.allocation,
        nominal_voltage_v=site.control.nominal_voltage,
        nominal_hz=site.control.nominal_frequency,
        revert_s=revert_s(site),
        der_lost_s=fallback.der_lost.after if fallback.der_lost else None,
        fallbacks={name: _fallback(config, rated) for name, config in losses.items() if config is not None},
    )


def revert_s(site: Site) -> float | None:
    """After how long a device shall let go of a set-point that nobody refreshes; None: never."""
    der_lost = site.control.fallback.der_lost
    return der_lost.device_revert if der_lost else None


def _der(site: Site, id_: str) -> Der:
    device = site.device(id_)
    config = site.control.der.get(id_, DerControl())
    rated = device.rated_power
    pq = None
    if config.capability is not None:
        words = {"circle": CIRCLE, "d": d_shape(config.capability.q_max)}
        given = config.capability.shape
        pq = PqCapability(
            rated_w=rated or config.capability.rated_apparent_power,
            rated_va=config.capability.rated_apparent_power,
            shape=words[given] if isinstance(given, str) else given,
            q_at_night=config.capability.q_at_night,
        )
    return Der(
        id=id_,
        role=device.role,
        rated_power_w=rated,
        merit=config.merit,
        steps=config.steps,
        min_power=config.min_power,
        ramp=_ramp(config.ramp, rated or 0.0),
        pq=pq,
        priority=config.priority,
        soc_min=config.soc_min * 100,
        soc_max=config.soc_max * 100,
        latency_s=device.poll + site.control.period + config.dead_time,
    )


def _ramp(config: RampLimits, rated: float) -> Ramp:
    return Ramp(up=_rate(config.up, rated), down=_rate(config.down, rated))


def _rate(rate: Amount | None, rated: float) -> float | None:
    return None if rate is None else rate.of(rated)


def _ramps(config: SiteRamp, rated: float) -> Ramps:
    return Ramps(
        normal=_ramp(config, rated),
        emergency=None if config.emergency is None else _ramp(config.emergency, rated),
        release=_rate(config.release, rated),
        reconnect=_rate(config.reconnect, rated),
    )


def _fallback(config: FallbackConfig, rated: float) -> Fallback:
    return Fallback(
        config.after, active=_action(config.active_power, rated), reactive=_action(config.reactive_power, rated)
    )


def _action(config: Word | LimitValue | StandIn, rated: float) -> Action:
    if isinstance(config, LimitValue):
        return Action("limit", config.limit.of(rated))
    if isinstance(config, StandIn):
        rate = _rate(config.ramp, rated)
        return Action("value", config.value.of(rated), None if rate is None else Ramp(rate, rate))
    return Action(config)


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
                function=one.function,
                value=one.value,
                unit=one.unit,
                source=one.source,
                kind=one.kind,
                priority=one.priority,
                expires=None if one.expires is None else rfc3339(one.expires),
                limited_by=one.limited_by,
                execution=one.execution,
                by=one.by or None,
            )
            for one in mirror.quantities
        ),
        headroom=catalogue.Headroom(
            p_up=mirror.headroom.p_up,
            p_down=mirror.headroom.p_down,
            q_up=mirror.headroom.q_up,
            q_down=mirror.headroom.q_down,
        ),
        reserve=None
        if mirror.reserve is None
        else catalogue.MirroredReserve(mirror.reserve.up_w, mirror.reserve.down_w, mirror.reserve.kept),
        capability=catalogue.Capability(
            p_min=mirror.active.lo if mirror.active else None,
            p_max=mirror.active.hi if mirror.active else None,
            q_min=mirror.reactive.lo if mirror.reactive else None,
            q_max=mirror.reactive.hi if mirror.reactive else None,
        ),
    )
