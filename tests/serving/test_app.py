"""The service over the loopback interface: codes, prices, and every refusal."""

import base64
import io
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
import urllib3
from PIL import Image
from torch import Tensor

from aach_lightning.config.serving import ServingConfig
from aach_lightning.serving.serve import ServiceError, listen
from tests.serving.conftest import BITS, KEY, LIMITS, OTHER, SIZE, WORDS, Projection, Serving

JSON = {"Content_Type": "application/json"}


def levels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, SIZE, SIZE), dtype=np.uint8)


def encoded(image: Image.Image, form: str = "PNG") -> str:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return base64.b64encode(buffer.getvalue()).decode()


def png(pixels: np.ndarray) -> str:
    return encoded(Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))))


def raw(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def images(count: int) -> dict[str, list[str]]:
    return {"images": [png(pixels) for pixels in levels(count)]}


def texts(*words: str) -> dict[str, str]:
    return {"floats": raw(np.array([[name == word for name in WORDS] for word in words], np.float32))}


def strings(relaxed: Tensor) -> list[str]:
    return ["".join("1" if value >= 0 else "0" for value in row) for row in relaxed.tolist()]


def codes(response: urllib3.BaseHTTPResponse) -> list[str]:
    assert response.status == 200, response.data
    found: list[str] = response.json()["codes"]
    assert {len(code) for code in found} == {BITS}
    return found


def reason(response: urllib3.BaseHTTPResponse) -> tuple[int, str]:
    found = response.json()
    assert found["request_id"] == response.headers.get("X-Request-ID")
    assert found["error"]["message"]
    return response.status, found["error"]["reason"]


def test_images_get_the_signs_that_the_target_has(serving: Serving) -> None:
    pixels = levels(3)
    expected = strings((torch.from_numpy(pixels).float().div(255).flatten(1) - 0.5) @ serving.target.of_images)
    assert codes(serving.send("/v1/images", images(3))) == expected
    flat = np.full((SIZE, SIZE, 3), 128, np.uint8)
    grey = Image.fromarray(flat[..., 0])
    answers = codes(serving.send("/v1/images", {"images": [encoded(Image.fromarray(flat), "JPEG"), encoded(grey)]}))
    assert answers == strings((torch.full((2, 3 * SIZE * SIZE), 128 / 255) - 0.5) @ serving.target.of_images)


def test_texts_get_the_signs_that_the_target_has(serving: Serving) -> None:
    vectors = np.array([[1, 0, 1, 0], [0, 0, 0.5, 1]], np.float32)
    expected = strings((torch.from_numpy(vectors) - 0.3) @ serving.target.of_texts)
    assert codes(serving.send("/v1/texts", {"floats": raw(vectors)})) == expected


def test_what_a_client_has_to_know(serving: Serving) -> None:
    sizes = {"code_length": BITS, "image_size": SIZE, "text_width": len(WORDS), "most_items": 16}
    about = serving.send("/v1/about").json()
    assert about == {"identity": "projection 0", "words_hash": "hash of words", **sizes}


def test_health_and_the_openapi_page_need_no_key(serving: Serving) -> None:
    assert serving.send("/health", Authorization="").json()["status"] == "ok"
    described = serving.send("/openapi.json", Authorization="").json()
    assert set(described["paths"]) == {"/health", "/v1/about", "/v1/images", "/v1/texts"}
    body = described["paths"]["/v1/texts"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/TextsBody"}
    assert set(described["components"]["schemas"]["TextsBody"]["properties"]) == {"floats"}
    assert "HTTPBearer" in described["components"]["securitySchemes"]
    assert b"swagger" in serving.send("/docs", Authorization="").data


BAD: list[tuple[str, Any, tuple[int, str]]] = [
    ("images", b"{", (400, "bad_json")),
    ("images", b'{"images": ["\xff"]}', (400, "bad_json")),
    ("images", [1], (422, "bad_body")),
    ("images", {"pictures": []}, (422, "bad_body")),
    ("images", {"images": [7]}, (422, "bad_body")),
    ("images", {"images": []}, (422, "empty")),
    ("images", {}, (422, "bad_body")),
    ("images", {"images": [], "levels": ""}, (422, "bad_body")),
    ("images", {"images": ["?"]}, (400, "bad_base64")),
    ("images", {"images": ["AAAA"]}, (422, "bad_image")),
    ("images", {"images": [encoded(Image.new("RGB", (SIZE, SIZE)), "BMP")]}, (422, "bad_image")),
    ("images", {"images": [encoded(Image.new("RGBA", (SIZE, SIZE)))]}, (422, "bad_image")),
    ("images", {"images": [encoded(Image.new("I;16", (SIZE, SIZE)))]}, (422, "bad_image")),
    (
        "images",
        {"images": [raw(np.frombuffer(base64.b64decode(png(levels(1)[0]))[:-60], "u1"))]},
        (422, "bad_image"),
    ),
    ("images", {"images": [encoded(Image.new("RGB", (SIZE, SIZE + 1)))]}, (422, "wrong_size")),
    ("images", {"images": [encoded(Image.new("1", (30_000, 30_000)))]}, (422, "bad_image")),
    ("images", {"images": [png(levels(1)[0])] * 17}, (413, "too_many")),
    ("images", b'{"images": ["' + b"A" * 2**19 + b'"]}', (413, "too_large")),
    ("texts", {"floats": ["dog"]}, (422, "bad_body")),
    ("texts", {"floats": ""}, (422, "empty")),
    ("texts", {"floats": raw(np.zeros((17, 4), np.float32))}, (413, "too_many")),
    ("texts", {"floats": raw(np.zeros(3, np.float32))}, (422, "wrong_width")),
    ("texts", {"floats": "!"}, (400, "bad_base64")),
    ("texts", {"floats": raw(np.array([[np.nan, 0, 0, 0]], np.float32))}, (422, "not_finite")),
    ("texts", {"floats": raw(np.array([[np.inf, 0, 0, 0]], np.float32))}, (422, "not_finite")),
]


def test_what_is_wrong_with_a_request_is_said_and_costs_nothing(start: Callable[..., Serving]) -> None:
    serving = start(quota=1)
    found = []
    for path, body, expected in BAD:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = reason(serving.send(f"/v1/{path}", sent, **JSON))
        if answer != expected:
            found.append(f"{path} {sent[:60]!r}: {answer}, not {expected}")
    assert not found, "\n".join(found)
    last = serving.send("/v1/texts", texts("dog"))
    assert (last.status, last.headers["X-Quota-Remaining"], serving.target.asked) == (200, "0", 1)


@pytest.mark.parametrize("path", ["/v1/about", "/v1/images", "/v1/texts"])
def test_without_a_known_key_nothing_is_answered(serving: Serving, path: str) -> None:
    body = None if path == "/v1/about" else texts("dog")
    for header, word in (
        ("", "no_key"),
        (KEY, "no_key"),
        ("Basic " + KEY, "no_key"),
        ("Bearer ", "no_key"),
        (f"Bearer {KEY}x", "unknown_key"),
        ("Bearer \xe9", "unknown_key"),
    ):
        response = serving.send(path, body, Authorization=header)
        assert reason(response) == (401, word)
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert serving.target.asked == 0


def test_pages_and_methods_that_there_are_not(serving: Serving) -> None:
    assert serving.send("/v2/images").status == 404
    assert serving.send("/v1/images").status == 405
    assert reason(serving.send("/v1/texts", b"{}", Content_Type="text/plain")) == (415, "not_json")
    assert reason(serving.send("/v1/texts", b"{}")) == (415, "not_json")


def test_a_body_says_its_length_before_it_arrives(serving: Serving) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    body = iter([b"A" * 2**16] * 9)
    response = serving.pool.request("POST", f"{serving.url}/v1/texts", body=body, headers=headers, retries=False)
    assert reason(response) == (411, "no_length")


def test_a_body_that_does_not_arrive_is_not_waited_for(start: Callable[..., Serving]) -> None:
    place = urlsplit(start(body_seconds=0.2).url)
    with socket.create_connection((place.hostname, place.port), 20) as connection:
        head = f"POST /v1/texts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{{".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_a_quota_is_of_each_key_and_of_items(start: Callable[..., Serving]) -> None:
    serving = start(quota=5)
    assert serving.send("/v1/texts", texts(*["dog"] * 3)).headers["X-Quota-Remaining"] == "2"
    spent = serving.send("/v1/images", images(3))
    assert reason(spent) == (429, "quota_spent")
    assert "Retry-After" not in spent.headers
    assert serving.send("/v1/images", images(2)).headers["X-Quota-Remaining"] == "0"
    assert reason(serving.send("/v1/texts", texts("dog")))[0] == 429
    other = serving.send("/v1/texts", texts(*["dog"] * 5), Authorization=f"Bearer {OTHER}")
    assert other.headers["X-Quota-Remaining"] == "0"
    assert serving.target.asked == 10


def test_requests_that_come_too_fast_are_told_when_to_come_again(start: Callable[..., Serving]) -> None:
    serving = start(rate=0.1, burst=2)
    answers = [serving.send("/v1/texts", texts("dog")) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert reason(answers[2]) == (429, "too_fast")
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 10
    assert serving.send("/v1/texts", texts("dog"), Authorization=f"Bearer {OTHER}").status == 200


def test_the_same_request_id_is_answered_from_memory_and_charged_once(start: Callable[..., Serving]) -> None:
    serving = start(quota=4)
    first = serving.send("/v1/texts", texts("dog", "cat"), X_Request_ID="a.1")
    again = serving.send("/v1/texts", texts("dog", "cat"), X_Request_ID="a.1")
    assert first.data == again.data
    assert [one.headers["X-Replayed"] for one in (first, again)] == ["false", "true"]
    assert [one.headers["X-Quota-Remaining"] for one in (first, again)] == ["2", "2"]
    assert [one.headers["X-Request-ID"] for one in (first, again)] == ["a.1", "a.1"]
    assert serving.target.asked == 2
    assert reason(serving.send("/v1/texts", texts("cat"), X_Request_ID="a.1")) == (409, "id_reused")
    assert reason(serving.send("/v1/images", images(1), X_Request_ID="a.1")) == (409, "id_reused")
    own = serving.send("/v1/texts", texts("cat"), X_Request_ID="a.1", Authorization=f"Bearer {OTHER}")
    assert own.headers["X-Replayed"] == "false"
    assert serving.send("/v1/texts", texts("dog", "cat")).headers["X-Quota-Remaining"] == "0"
    assert serving.target.asked == 5


def test_a_request_that_comes_again_while_it_is_answered_waits_for_that_answer(start: Callable[..., Serving]) -> None:
    serving = start(quota=1)
    serving.target.seconds = 0.3
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(serving.send, "/v1/texts", texts("dog"), X_Request_ID="same") for _ in range(8)]
    answers = [one.result() for one in sent]
    assert {codes(answer)[0] for answer in answers} == {codes(answers[0])[0]}
    assert sorted(answer.headers["X-Replayed"] for answer in answers) == ["false"] + ["true"] * 7
    assert serving.target.asked == 1


def test_only_so_many_answers_are_remembered(start: Callable[..., Serving]) -> None:
    serving = start(remembered=2)
    for name, replayed in (("a", "false"), ("b", "false"), ("a", "true"), ("c", "false"), ("b", "false")):
        response = serving.send("/v1/texts", texts("dog"), X_Request_ID=name)
        assert response.headers["X-Replayed"] == replayed, name


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "a/b", "a,b"])
def test_request_ids_are_short_words(serving: Serving, name: str) -> None:
    response = serving.send("/v1/texts", texts("dog"), X_Request_ID=name)
    assert (response.status, response.json()["error"]["reason"]) == (400, "bad_id")


def test_a_request_without_an_id_is_given_one(serving: Serving) -> None:
    names = {serving.send("/v1/texts", texts("dog")).headers["X-Request-ID"] for _ in range(2)}
    assert len(names) == 2
    assert serving.target.asked == 2


def test_a_failure_of_the_target_costs_nothing_and_can_be_tried_again(start: Callable[..., Serving]) -> None:
    serving = start(quota=1)
    serving.target.fail = 1
    assert reason(serving.send("/v1/texts", texts("dog"), X_Request_ID="once")) == (500, "failed")
    assert serving.send("/v1/texts", texts("dog"), X_Request_ID="once").headers["X-Quota-Remaining"] == "0"


def test_what_is_no_code_does_not_come_out(start: Callable[..., Serving]) -> None:
    class Broken(Projection):
        def hash_texts(self, texts: Tensor) -> Tensor:
            return torch.full((len(texts), BITS), float("nan"))

    response = start(target=Broken()).send("/v1/texts", texts("dog"))
    assert reason(response) == (500, "failed")
    assert "NaN" not in response.data.decode()


def test_one_connection_too_many_is_turned_away(start: Callable[..., Serving]) -> None:
    serving = start(connections=2)
    place = urlsplit(serving.url)
    held = [socket.create_connection((place.hostname, place.port), 20) for _ in range(3)]
    try:
        for connection in held:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"503" in b"".join(connection.recv(64) for connection in held)
    finally:
        for connection in held:
            connection.close()


def test_an_address_that_is_taken_is_an_error(serving: Serving) -> None:
    place = urlsplit(serving.url)
    with pytest.raises(ServiceError, match=rf"serving\.port={place.port}"):
        listen(None, [KEY], ServingConfig("127.0.0.1", place.port, LIMITS))  # type: ignore[arg-type]


def test_answers_are_not_held_back_on_their_way(serving: Serving) -> None:
    place = urlsplit(serving.url)
    with socket.create_connection((place.hostname, place.port), 20) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.recv(4096)
        times = []
        for _ in range(20):
            start = time.monotonic()
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            received = b""
            while not received.endswith(b"}"):
                received += connection.recv(4096)
            times.append(time.monotonic() - start)
    assert min(times) < 0.03  # 0.04 where a second packet waits for the acknowledgement of the first
