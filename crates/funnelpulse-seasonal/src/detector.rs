//! The model as a detector: one per metric of a frame, and how their verdicts become one score.
