"""What a kernel for Python shows beyond text: tables as data, figures as data, pictures that are shown or saved.

None of the libraries is imported before the user's code does.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from types import ModuleType
from typing import Any

from IPython.core.formatters import BaseFormatter
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display
from traitlets import ObjectName, Unicode

DATA_LIMIT = 1_000_000
"""Cells of a table that is sent as data; a larger one is only shown."""


def plain(value: Any) -> Any:
    """The value as JSON can tell it."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else None
    if isinstance(value, datetime | date | time):
        return None if value != value else value.isoformat()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    # What pandas has for a missing value is equal to nothing, not even to itself.
    return None if type(value).__name__ in ("NAType", "NaTType") else str(value)


def table(frame: Any) -> dict[str, Any] | None:
    """A table by its columns."""
    if frame.size > DATA_LIMIT:
        return None
    return {str(name): [plain(value) for value in frame.iloc[:, place]] for place, name in enumerate(frame.columns)}


def chart(figure: Any) -> dict[str, Any] | None:
    """What a figure shows; None for what cannot be told in that form."""
    from e2b_charts import chart_figure_to_dict

    try:
        # Numbers of numpy where it expects others.
        with warnings.catch_warnings(action="ignore"):
            return plain(chart_figure_to_dict(figure)) or None
    except Exception:  # the picture is there all the same
        return None


class Formatter(BaseFormatter):
    """Makes one more representation of values that have one."""

    _return_type = (dict, str)


class DataFormatter(Formatter):
    """The content of tables."""

    format_type = Unicode("e2b/data")
    print_method = ObjectName("_repr_e2b_data_")


class ChartFormatter(Formatter):
    """The content of figures."""

    format_type = Unicode("e2b/chart")
    print_method = ObjectName("_repr_e2b_chart_")

    def __call__(self, obj: Any) -> Any:
        # Not registered as a type's printer: matplotlib_inline removes those of figures.
        module = sys.modules.get("matplotlib.figure")
        if module is not None and isinstance(obj, module.Figure):
            return chart(obj)
        return super().__call__(obj)


def show_pictures(module: ModuleType) -> None:
    """Makes `Image.show()` and `Image.save()` show the picture to the client."""
    image = module.Image

    def show(self: Any, title: str | None = None) -> None:
        display(self)

    original = image.save

    def save(self: Any, place: Any, format: Any = None, **options: Any) -> None:
        if isinstance(place, str):
            display(self)
        original(self, place, format, **options)

    image.show, image.save = show, save


class PictureHook(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Waits for the import of PIL.Image."""

    NAME = "PIL.Image"

    def __init__(self) -> None:
        self._loader: importlib.abc.Loader | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.NAME or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec) if self._loader else None

    def exec_module(self, module: ModuleType) -> None:
        if self._loader is not None:
            self._loader.exec_module(module)
            module.__loader__ = self._loader
            show_pictures(module)


def install(shell: InteractiveShell) -> None:
    """Adds all of it to the shell."""
    formatters = shell.display_formatter
    if formatters is None:
        return
    data, charts = DataFormatter(parent=formatters), ChartFormatter(parent=formatters)
    # It has another home since pandas 3.
    for module in ("pandas", "pandas.core.frame"):
        data.for_type_by_name(module, "DataFrame", table)
    formatters.formatters["e2b/data"], formatters.formatters["e2b/chart"] = data, charts
    sys.meta_path.insert(0, PictureHook())
