"""Reading back what a run wrote to TensorBoard."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def board(folder):
    """Everything TensorBoard would show, no event sampled away."""
    events = EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "tensors": 0, "histograms": 0, "images": 0}
    )
    return events.Reload()
