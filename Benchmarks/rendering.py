"""The FastAPI template as an app in a folder: rendered by `berth render`, or by hand where there is no berth."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from berth import berth
from measure import HERE, REPOSITORY, BenchError

TEMPLATES = REPOSITORY / "templates"
TAG = re.compile(r"{{ *(\w+) *\| *python *}}")
CONDITION = re.compile(r"{% *if (\w+) *%}\n?(.*?){% *endif *%}\n?", re.DOTALL)


@dataclass(frozen=True)
class Model:
    """One of the bench's models and the template that serves it."""

    name: str
    template: str
    file: Path
    stock: Path

    def manifest(self, source: str) -> str:
        return "\n".join(
            [
                f"name: {self.name}",
                "model:",
                f"  files: [{{source: {json.dumps(source)}, target: {self.file.name}}}]",
                f"server: {{framework: fastapi, template: {self.template}}}",
                "smoke: [{name: row, request: {input: [[5.1, 3.5, 1.4, 0.2]]}}]",
                "",
            ]
        )

    def values(self) -> dict[str, object]:
        """What the template's placeholders become when it is rendered by hand."""
        return {
            "name": self.name,
            "model_type": self.template,
            "model_file": self.file.name,
            "golden": '{"input":[[5.1,3.5,1.4,0.2]]}',
            "port": 49999,
            "asynchronous": self.template == "python",
        }


PURE = Model("pure", "python", HERE / "apps/pure/predict.py", HERE / "apps/pure/stock.py")
SKLEARN = Model("sklearn", "sklearn", REPOSITORY / "Examples/iris/iris.joblib", HERE / "apps/sklearn/stock.py")
ONNX = Model("onnx", "onnx", HERE / "apps/onnx/iris.onnx", HERE / "apps/onnx/stock.py")
SLOW = Model("slow", "python", HERE / "apps/slow/predict.py", HERE / "apps/slow/stock.py")


def render_by_hand(template: Path, values: dict[str, object]) -> str:
    """The little of the template language that the templates use; raises `BenchError` for anything else."""
    text = CONDITION.sub(lambda part: part.group(2) if values.get(part.group(1)) else "", template.read_text())
    missing = {name for name in TAG.findall(text) if name not in values}
    text = TAG.sub(lambda tag: repr(values.get(tag.group(1))), text)
    if missing or "{%" in text or "{{ " in text:
        raise BenchError(f"{template.name} cannot be rendered by hand; pass --berth: {sorted(missing)}")
    return text


def ours(model: Model, executable: Path | None, folder: Path) -> Path:
    """The template's app for `model`, with its model file beside it."""
    target = folder / f"ours-{model.name}"
    if executable is not None:
        manifest = folder / f"{model.name}.yaml"
        shutil.copy(model.file, folder)
        manifest.write_text(model.manifest(model.file.name))
        with berth(executable, folder) as one:
            one.run("render", manifest, "-o", target)
    else:
        target.mkdir()
        sources = {
            "app.py": TEMPLATES / "fastapi/app.py.stencil",
            "launch.py": TEMPLATES / "fastapi/launch.py.stencil",
            "berth_model.py": TEMPLATES / f"models/{model.template}.py.stencil",
        }
        for name, source in sources.items():
            if not source.exists():
                raise BenchError(f"there is no template {source.relative_to(REPOSITORY)}")
            (target / name).write_text(render_by_hand(source, model.values()))
    if not (target / model.file.name).exists():
        shutil.copy(model.file, target)
    return target


def stock(model: Model, folder: Path) -> Path:
    """The tutorial's app for `model`, with its model file beside it."""
    target = folder / f"stock-{model.name}"
    target.mkdir()
    shutil.copy(model.stock, target / "stock.py")
    shutil.copy(model.file, target)
    return target
