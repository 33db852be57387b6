"""What the inputs of a retrieval must be: checked here, before anything is packed or counted."""

from torch import Tensor

MAX_CODE_LENGTH = 1024


def check_codes_shape(codes: Tensor, name: str) -> None:
    """Refuse what cannot be N codes of 1 to 1024 bits.

    Raises:
        TypeError: If `codes` is not a real tensor.
        ValueError: If it is not N x K with K from 1 to 1024.
    """
    _check_matrix(codes, name, "N x K")
    if not 1 <= codes.shape[1] <= MAX_CODE_LENGTH:
        raise ValueError(f"{name} must have 1 to {MAX_CODE_LENGTH} bits, got {codes.shape[1]}")


def check_labels_shape(labels: Tensor, name: str) -> None:
    """Refuse what cannot be N multi-hot label vectors.

    Raises:
        TypeError: If `labels` is not a real tensor.
        ValueError: If it is not N x C with C at least 1.
    """
    _check_matrix(labels, name, "N x C")
    if labels.shape[1] == 0:
        raise ValueError(f"{name} must have at least one class, got shape {tuple(labels.shape)}")


def check_vectors_shape(vectors: Tensor, name: str) -> None:
    """Refuse what cannot be N vectors of K numbers.

    Raises:
        TypeError: If `vectors` is not a real tensor.
        ValueError: If it is not N x K with K at least 1.
    """
    _check_matrix(vectors, name, "N x K")
    if vectors.shape[1] == 0:
        raise ValueError(f"{name} must have at least one entry, got shape {tuple(vectors.shape)}")


def check_retrieval_inputs(
    query_codes: Tensor, query_labels: Tensor, database_codes: Tensor, database_labels: Tensor
) -> None:
    """Refuse codes and labels whose shapes or devices do not fit together; their values are checked while packed.

    Raises:
        TypeError: If an input is not a real tensor.
        ValueError: If there is no query or no item, or shapes or devices do not fit.
    """
    for side, codes, labels in (("query", query_codes, query_labels), ("database", database_codes, database_labels)):
        check_codes_shape(codes, f"{side} codes")
        check_labels_shape(labels, f"{side} labels")
    check_sides(query_codes, query_labels, database_codes, database_labels)


def check_sides(
    query_codes: Tensor, query_labels: Tensor, database_codes: Tensor, database_labels: Tensor, kind: str = "codes"
) -> None:
    """Refuse matrices of a query side and a database side that do not fit together: codes, packed codes or vectors.

    Raises:
        ValueError: If there is no query or no item, or shapes or devices do not fit.
    """
    sides = {"query": (query_codes, query_labels), "database": (database_codes, database_labels)}
    for side, (codes, labels) in sides.items():
        if len(codes) == 0:
            raise ValueError(f"no {side} items: {side} {kind} have shape {tuple(codes.shape)}")
        if len(codes) != len(labels):
            raise ValueError(f"{len(codes)} {side} {kind}, but {len(labels)} rows of {side} labels")
    for name, query, database in ((kind, query_codes, database_codes), ("labels", query_labels, database_labels)):
        if query.shape[1] != database.shape[1]:
            raise ValueError(f"query {name} are {query.shape[1]} wide, database {name} {database.shape[1]}")
    devices = {str(tensor.device) for tensor in (query_codes, query_labels, database_codes, database_labels)}
    if len(devices) > 1:
        raise ValueError(f"{kind} and labels must be on one device, got {', '.join(sorted(devices))}")


def check_not_empty(codes: Tensor) -> None:
    """Refuse N = 0.

    Raises:
        ValueError: If there is no code.
    """
    if len(codes) == 0:
        raise ValueError(f"no codes: shape {tuple(codes.shape)}")


def _check_matrix(values: Tensor, name: str, form: str) -> None:
    if not isinstance(values, Tensor) or values.is_complex():
        found = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise TypeError(f"{name} must be a real tensor {form}, got {found}")
    if values.ndim != 2:
        raise ValueError(f"{name} must be {form}, got shape {tuple(values.shape)}")
