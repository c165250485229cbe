"""The settings of a run: checked, and with those that come with the model."""

from __future__ import annotations

from dataclasses import replace

from wsiseg.config import MEASUREMENTS, PAPER_CLEAN_UP_UM, PredictConfig, output_kinds
from wsiseg.errors import UsageError
from wsiseg.network.model import ModelInfo


def settled(config: PredictConfig, info: ModelInfo) -> PredictConfig:
    """Return the settings, with the paper's clean-up alone for its models unless one was asked for.

    Raises
    ------
    UsageError
        If there is no such choice of measurements or outputs.
    """
    objects = config.objects
    if objects.measurements not in MEASUREMENTS:
        raise UsageError(f"measurements={objects.measurements!r}: choose {' or '.join(MEASUREMENTS)}")
    if "parquet" not in output_kinds(config.only) and config.one_table:
        raise UsageError("--one-table: the table is Parquet; add parquet to --only")
    if info.preset != "paper" or objects.opening_um or objects.closing_um:
        return config
    cleaned = replace(objects, opening_um=PAPER_CLEAN_UP_UM, closing_um=PAPER_CLEAN_UP_UM, certainty=0.0)
    return replace(config, objects=cleaned)
