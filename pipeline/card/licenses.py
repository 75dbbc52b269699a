"""Licences as the Hugging Face hub names them; it refuses a card with any other."""

from __future__ import annotations

import re

UNKNOWN = "unknown"

_KNOWN = """
    afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc
    cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0
    cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0
    cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2
    gfdl gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail
    osl-3.0 pddl postgresql unlicense wtfpl zlib
"""


def front_matter(license: str | None) -> dict[str, str]:
    """The keys of a card's front matter for a licence in the words of whoever names it."""
    name = (license or UNKNOWN).strip()
    if name.lower() in {UNKNOWN, *_KNOWN.split()}:
        return {"license": name.lower()}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")[:60] or "other"}
