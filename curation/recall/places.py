"""Sites and their folders: where the pages of a subject lie, counted per table, added up per site, never held for the whole corpus.

A page lies in the first folder of its address (`mathoverflow.net/questions`, the example that DeepSeekMath gives); a page at the top of its
site in the folder without a name. What is no web address lies nowhere. Sites with many subjects are told from those of one by their
folders: DeepSeekMath has people annotate the paths of a site with many hits; here the share of hits in a folder decides.

Costs one row per table and folder in the exchange, 60 bytes or so; the rows of a site meet in one receiver.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

MAX_FOLDERS = 100_000  # those with most hits; a verdict of 5 MB
PLACES = pa.schema([("key", pa.uint64()), ("folder", pa.string()), ("pages", pa.int64()), ("hits", pa.int64())])


@lru_cache(maxsize=10_000)
def folder_of(origin: str) -> str | None:
    """`site/folder` of an address, None for what is none. The site is the host in lower case, without port and `www.`."""
    if not origin.lower().startswith(("http://", "https://")):
        return None
    try:
        parts = urlsplit(origin)
        host = (parts.hostname or "").rstrip(".").removeprefix("www.")
    except ValueError:  # no address after all
        return None
    first, slash, _ = parts.path.lstrip("/").partition("/")
    return f"{host}/{first if slash else ''}" if host else None


def site_of(folder: str) -> str:
    """The site that a folder is part of."""
    return folder.partition("/")[0]


def counted(origins: Sequence[str], is_hit_D: np.ndarray) -> pa.Table:
    """Pages and hits by folder (`PLACES`); `key` is a hash of the site."""
    pages: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for origin, is_hit in zip(origins, is_hit_D.tolist(), strict=True):
        if folder := folder_of(origin):
            pages[folder] += 1
            hits[folder] += is_hit
    folders = sorted(pages)
    keys = np.array([xxhash.xxh3_64_intdigest(site_of(folder).encode()) for folder in folders], np.uint64)
    counts = ([counter[folder] for folder in folders] for counter in (pages, hits))
    return pa.table([keys, folders, *counts], schema=PLACES)


def hit(rows: pa.Table, *, site_share: float, folder_share: float, min_pages: int) -> pa.Table:
    """Folders that are about the subject (`PLACES`), of all rows of their sites.

    More than `site_share` of the pages of the site are hits, and more than `folder_share` of those of the folder, which has `min_pages`.
    """
    added = rows.group_by(["key", "folder"]).aggregate([("pages", "sum"), ("hits", "sum")]).rename_columns(PLACES.names)
    sites, site_F = np.unique([site_of(folder) for folder in added["folder"].to_pylist()], return_inverse=True)
    pages_F, hits_F = added["pages"].to_numpy(), added["hits"].to_numpy()
    of_site = [np.bincount(site_F, values, len(sites))[site_F] for values in (pages_F, hits_F)]
    chosen_F = (of_site[1] > site_share * of_site[0]) & (hits_F > folder_share * pages_F) & (pages_F >= min_pages)
    return most_hits(added.filter(pa.array(chosen_F, pa.bool_())).cast(PLACES))


def most_hits(folders: pa.Table) -> pa.Table:
    """At most `MAX_FOLDERS` of them, those with most hits first."""
    order = pc.sort_indices(folders, [("hits", "descending"), ("folder", "ascending")])
    return folders.take(order[:MAX_FOLDERS])
