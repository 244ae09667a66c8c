"""Metrics as Prometheus reads them."""

from prometheus_client.parser import text_string_to_metric_families

from wyoming_qwen3.ops.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Values by name and the labels' values, in the order of the labels' names."""
    families = text_string_to_metric_families(metrics.text().decode())
    found = [sample for family in families for sample in family.samples]
    return {(one.name, *(one.labels[label] for label in sorted(one.labels))): one.value for one in found}
