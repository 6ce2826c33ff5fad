"""The streaming detector under its old name."""

from funnelpulse.spark import RealtimeDetector, create_realtime_detector

from advanced_anomaly_detection._moved import moved

__all__ = ["RealtimeAnomalyDetector", "create_realtime_detector"]

RealtimeAnomalyDetector = RealtimeDetector

moved(__name__, "funnelpulse.spark")
