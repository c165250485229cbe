"""What the report costs `predict`: CPU seconds of one page, of the table, and of both the first time.

    python benchmarks/report_pages.py OUT [--repeat 5]

OUT is a folder that `wsiseg predict` wrote to; nothing in it is computed again.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()

    # What predict has loaded anyway is not counted.
    import wsiseg.api  # noqa: F401
    from wsiseg.inference.slide import predict_slide  # noqa: F401

    started = time.process_time()
    from wsiseg.report.batch_index import finished_slides, write_index
    from wsiseg.report.slide_page import write_slide_page

    slides = finished_slides(arguments.out)
    write_slide_page(slides[0])
    write_index(arguments.out)
    print(f"{platform.machine()}, {len(slides)} slides")
    print(f"first page and table, with what is loaded for them: {time.process_time() - started:.2f} CPU s")
    for outputs in slides:
        spent = []
        for _ in range(arguments.repeat):
            before = time.process_time()
            write_slide_page(outputs)
            spent.append(time.process_time() - before)
        print(f"{outputs.name}: {statistics.median(spent):.3f} CPU s a page")
    before = time.process_time()
    write_index(arguments.out)
    print(f"table: {time.process_time() - before:.3f} CPU s")


if __name__ == "__main__":
    main()
