from tests.tiny_encoder import tiny_encoder, write_encoder

__all__ = ["tiny_encoder", "write_encoder"]
