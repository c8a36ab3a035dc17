"""A real input on every machine: web pages, formulas, repositories, books, histories, packages, made from the installation.

Nothing is downloaded and the same installation gives the same bytes. 69 MB take about 35 CPU seconds, of which two thirds run in two
processes beside this one. Not covered: languages other than English, and text that no installed package carries.
"""

from datapipe.sample.budget import SampleError
from datapipe.sample.write import SampleReport, write_sample

__all__ = ["SampleError", "SampleReport", "write_sample"]
