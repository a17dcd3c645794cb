"""Regions of a label, written as the papers say."""


def names_at(x, y, hole, low, high, side, margin=0.0):
    """Return the names of the regions that a label lies in; low ... high is the hole's extent."""
    x, y = x - margin, y - margin
    in_x, in_y = low <= x <= high, low <= y <= high
    ood = {"none": False, "cross": in_x or in_y, "lesion": in_x, "square": in_x and in_y}.get(hole)
    if hole == "corner":
        ood = x <= high - low and y <= high - low
    regions = {"all"}
    if hole != "none" and 0 <= x <= side and 0 <= y <= side:
        regions.add("ood" if ood else "id")
    if hole == "cross":
        regions |= {"vertical"} if in_x and not in_y else set()
        regions |= {"horizontal"} if in_y and not in_x else set()
        regions |= {"intersection"} if in_x and in_y else set()
    return regions
