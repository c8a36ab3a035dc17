"""The embedded environments, in one literal table. What is in their databases comes from documents, or from word lists and a seed."""

import functools

from synth.tooluse.environment import Environment
from synth.tooluse.environments.bank import BANK
from synth.tooluse.environments.files import FILES
from synth.tooluse.environments.issues import ISSUES
from synth.tooluse.environments.library import LIBRARY
from synth.tooluse.environments.retail import RETAIL, shop
from synth.tooluse.environments.rooms import ROOMS

ENVIRONMENTS: dict[str, Environment] = {
    environment.name: environment for environment in (RETAIL, BANK, ROOMS, LIBRARY, FILES, ISSUES)
}


def environments(shop_folder: str = "", shop_license: str = "") -> dict[str, Environment]:
    """The environments, with the shop's data from the files of a folder where one is given."""
    if not shop_folder:
        return ENVIRONMENTS
    populate = functools.partial(shop.populate, shop_folder, shop_license)
    return {**ENVIRONMENTS, "retail": RETAIL._replace(populate=populate)}
