"""The report as a whole: which parts it has, in which order."""

from collections.abc import Iterator
from pathlib import Path

from hebbit.scripts.bench import report_compare, report_costs, report_figures, report_origins, report_summary
from hebbit.scripts.bench import report_tables as tables
from hebbit.scripts.bench.report_document import (
    Block,
    Bullets,
    Document,
    Gallery,
    Heading,
    Paragraph,
)
from hebbit.scripts.bench.report_numbers import listed
from hebbit.scripts.bench.report_study import Study


def document(study: Study, out: Path) -> Document:
    """Everything there is to say.

    Args:
        study: of the results.
        out: folder that the report is written to; links are relative to it.
    """
    title = f"Benchmark: {listed(list(study.results.suites))}"
    return Document(title, report_summary.lead(study), list(_blocks(study, out)))


def _blocks(study: Study, out: Path) -> Iterator[Block]:
    yield Heading(2, "Summary")
    yield Bullets(report_summary.general(study))
    by_task = report_summary.by_task(study)
    if by_task:
        yield Heading(3, "On each task")
        yield Bullets(by_task)
        yield from _tasks(study)
        yield from _together(study)
        yield from _costs(study)
    broken = report_origins.broken(study)
    if broken is not None:
        yield Heading(2, "Failed and missing runs")
        yield broken
    yield Heading(2, "Settings and origins")
    yield report_origins.origins(study)
    yield from report_origins.settings(study)
    yield report_origins.files(study, out)


def _tasks(study: Study) -> Iterator[Block]:
    yield Heading(2, "Tasks")
    yield Bullets(tables.guide(study))
    for task in study.tasks:
        yield Heading(3, task.name)
        yield tables.outcome(study, task)
        if study.finished_on(task):
            yield tables.same_steps(study, task)
            yield Gallery(list(report_figures.of_task(study, task)))


def _together(study: Study) -> Iterator[Block]:
    """Over all tasks."""
    groups, rivals, forest = study.aggregated(), tables.rivals(study), report_compare.forest(study)
    yield Heading(2, "All tasks together")
    for group in groups:
        yield tables.aggregate(study, group)
        yield Gallery([report_compare.profiles(study, group)])
    if rivals is not None:
        yield rivals
    if forest is not None:
        yield Gallery([forest])
    if not groups:
        yield Paragraph("No task with a scale was finished by every algorithm: there are no normalised scores.")


def _costs(study: Study) -> Iterator[Block]:
    yield Heading(2, "Cost")
    yield report_costs.training(study)
    yield report_costs.answering(study)
    pictures = list(report_compare.costs(study))
    if pictures:
        yield Gallery(pictures)
