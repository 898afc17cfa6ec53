"""The page that results are published in, section by section, and what all sections tell."""

import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def publish(section: str, text: str) -> None:
    """Replace what stands between the marks of a section in `docs/benchmarks.md`, and print it."""
    print(text)
    begin, end = f"<!-- {section} -->\n", f"<!-- end of {section} -->\n"
    page = PAGE.read_text(encoding="utf-8")
    if begin not in page or end not in page:
        sys.exit(f"`{PAGE}` has no section `{section}`")
    before, _, rest = page.partition(begin)
    after = rest.partition(end)[2]
    PAGE.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}", encoding="utf-8")


def machine() -> str:
    """Processor, memory and system."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = models[0] if models else platform.machine()
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}"


def today() -> str:
    """The date of a sitting."""
    return f"{datetime.now(UTC):%Y-%m-%d}"
