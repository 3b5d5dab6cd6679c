"""Tables, figures and scores of a report as files for a paper or for other programs."""

from networld_algos.report.export.frame import data_frame

__all__ = ["data_frame"]
