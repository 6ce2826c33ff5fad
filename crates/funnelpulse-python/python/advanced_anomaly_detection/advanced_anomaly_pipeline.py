"""The batch pipeline under its old name."""

from __future__ import annotations

from typing import Any

from advanced_anomaly_detection._moved import moved
from advanced_anomaly_detection.spark_native import SparkNativePipeline

__all__ = ["create_pipeline"]

moved(__name__, "funnelpulse.spark")


def create_pipeline(spark: Any, config: Any = None) -> Any:
    """`funnelpulse.spark.create_pipeline`, or the z-score pipeline where the wheel can't be imported."""
    try:
        from funnelpulse.spark import create_pipeline as create
    except ImportError as error:
        return SparkNativePipeline(spark, reason=f"{type(error).__name__}: {error}")
    return create(spark, config)


def __getattr__(name: str) -> Any:
    if name == "AdvancedAnomalyPipeline":
        from funnelpulse.spark import SparkPipeline

        return SparkPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
