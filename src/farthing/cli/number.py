"""The type of options that take a whole number: click's own calls what is none "not a valid integer range"."""

import click


class Number(click.IntRange):
    """A whole number within bounds."""

    name = "number"
