"""The site file: what a site is made of, checked as a whole before anything starts."""

from gateway.config.document import read as places
from gateway.config.faults import Fault, SiteFaults
from gateway.config.load import configuration_hash, load, schema
from gateway.config.models import Site
from gateway.config.profiles import data_dir

__all__ = ["Fault", "Site", "SiteFaults", "configuration_hash", "data_dir", "load", "places", "schema"]
