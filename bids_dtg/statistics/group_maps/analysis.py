"""Group maps: tests over participants' maps; predicted compared with measured group maps."""

from __future__ import annotations

from bids_dtg.cohort.people import gather_people
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.errors import DatasetError
from bids_dtg.notices import counted, say, show
from bids_dtg.settings import Settings
from bids_dtg.statistics.group_maps.findings import Findings
from bids_dtg.statistics.group_maps.map_tests import MapTests
from bids_dtg.statistics.group_maps.question import (
    ask,
    find_sources,
    of_those_who_have,
)

_WRITES = (
    *("desc-tests_contrasts", "desc-clusters_peaks", "desc-measured_comparison"),
    "*_statmap",
)


def run_stats(settings: Settings) -> int:
    """Test group maps, one contrast at a time; return how many people could not be read.

    Raises
    ------
    DatasetError, SettingsError
        There are too few people, or a requested variable is not known for them.
    """
    question = ask(gather_people(settings))
    sources = find_sources(question)
    question = of_those_who_have(question, sources)
    if settings.statistics.tfce and question.restricted:
        say("no threshold-free cluster enhancement: people are related or of different sites")
    if settings.behaviour.dry_run:
        show(f"would test {question.words}, of {counted(len(question.people), 'participant')}")
        return 0
    if len(question.people) < 2:
        raise DatasetError("maps of only 1 participant", expected="2 or more")
    results = ResultFolder.of(settings, question.people.output, *_WRITES)
    with results.begun():
        tests = MapTests(question, results)
        found = Findings.of(question, list(tests.tests(sources)))
        found.write(results)
        results.page(found.page())
        say(found.answer)
    return len(tests.failed)
