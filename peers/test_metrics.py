"""Prometheus' own reader understands the metrics."""

import json
import tempfile
import time
import unittest
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from processes import Daybook, Source


def read(daybook):
    with urllib.request.urlopen(f"{daybook.url}/metrics") as answer:
        return answer.read().decode()


class Metrics(unittest.TestCase):
    def test_every_family_is_read_and_the_counts_are_right(self):
        with tempfile.TemporaryDirectory() as folder:
            source = Source("own", "daybook", "registry", "own")
            daybook = Daybook(folder, [source], more_settings="[metrics]\npublic = true\n")
            self.addCleanup(daybook.kill)
            daybook.start()
            for number in range(25):
                status, _ = daybook.take_in(json.dumps({"id": str(number), "action": "x"}), "own")
                self.assertEqual(status, 200)
            # A request is counted after its response is sent.
            for _ in range(200):
                page = read(daybook)
                families = {family.name: family for family in text_string_to_metric_families(page)}
                all_samples = (sample for family in families.values() for sample in family.samples)
                samples = {(one.name, tuple(one.labels.values())): one.value for one in all_samples}
                requests = samples["daybook_http_request_seconds_count", ("intake",)]
                committed = samples["daybook_commit_events_sum", ()]
                if requests == 25 and committed == samples["daybook_recorded_events_total", ()]:
                    break
                time.sleep(0.05)
            # The reader removes `_total` from names of counters, and makes a family of each line it
            # cannot read.
            declared = [
                line.split(" ")[2] for line in page.splitlines() if line.startswith("# TYPE ")
            ]
            self.assertEqual({name.removesuffix("_total") for name in declared}, set(families))
            self.assertNotIn("unknown", {family.type for family in families.values()})
            self.assertEqual(samples["daybook_source_recorded_total", ("own",)], 25)
            self.assertEqual(requests, 25)
            self.assertEqual(committed, samples["daybook_recorded_events_total", ()])
            self.assertGreaterEqual(samples["daybook_journal_sync_seconds_bucket", ("+Inf",)], 25)
