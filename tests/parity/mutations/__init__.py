"""What is done to each project before it is compared with its baseline."""

from __future__ import annotations

from edits import Mutation
from mutations.mesh import MESH
from mutations.semantic import SEMANTIC
from mutations.shop import SHOP
from mutations.unrendered import UNRENDERED
from mutations.wide import WIDE

ALL: dict[str, list[Mutation]] = {
    "mesh": MESH,
    "semantic": SEMANTIC,
    "shop": SHOP,
    "unrendered": UNRENDERED,
    "wide": WIDE,
}
