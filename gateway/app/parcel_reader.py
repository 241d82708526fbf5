"""Builds what compares the documents of one parcel."""

from gateway.config.gateway_toml import Config
from gateway.judges.judge import Judge
from gateway.parcels.reading import ParcelReader, reader_of
from spool.store import Spool


def parcel_reader(config: Config, judge: Judge, spool: Spool) -> ParcelReader:
    """Return a reader on a spool, with the codes of the enterprises that the judge knows; for one thread."""
    codes = {one.id: one.cop_codes | one.acts_for for one in judge.enterprises.values()}
    return reader_of(spool, judge.rules, config.matching, codes)
