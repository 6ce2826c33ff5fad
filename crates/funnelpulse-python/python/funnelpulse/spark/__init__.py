"""The pipeline on Spark: one group of rows per site, scored where the rows are.

    from funnelpulse.spark import create_pipeline

    statistics = create_pipeline(spark).run_pipeline("tables/gold_funnel_hourly_brand", "tables/gold_anomalies_advanced")

Spark 3.5 or 4, with this wheel on the driver and on every executor. Needs `pip install "funnelpulse[spark]"`.
"""

try:
    import pandas as _pandas  # noqa: F401
    import pyarrow as _pyarrow  # noqa: F401
    import pyspark as _pyspark  # noqa: F401
except ImportError as error:
    raise ImportError(f"funnelpulse.spark needs {error.name}: pip install 'funnelpulse[spark]'") from error

from funnelpulse.spark.batch import SparkPipeline, create_pipeline
from funnelpulse.spark.streaming import RealtimeDetector, create_realtime_detector

__all__ = ["RealtimeDetector", "SparkPipeline", "create_pipeline", "create_realtime_detector"]
