"""Counts of values in an object: no flood may make it grow."""


def entries(value: object, *kinds: type) -> int:
    """How many values there are in all containers of an object, and of objects of some kinds in it.
    A number counts as a bitmap: by its ones. A named tuple is one value."""
    if isinstance(value, dict):
        return len(value) + sum(entries(one, *kinds) for one in value.values())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return 1
    if isinstance(value, set | list | tuple):
        return len(value) + sum(entries(one, *kinds) for one in value)
    if isinstance(value, kinds):
        return sum(entries(one, *kinds) for one in vars(value).values())
    return value.bit_count() if isinstance(value, int) else 0
