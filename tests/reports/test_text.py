import sys

from aach_lightning.reports.text import encodable, printable


def test_every_character_can_be_printed_and_written() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    shown = printable(everything)
    assert shown.isprintable() or all(character.isprintable() or character.isspace() for character in shown)
    assert "\x1b" not in shown
    shown.encode("utf-8")
    encodable(everything).encode("utf-8")
    assert printable("写真 [bold] é €") == encodable("写真 [bold] é €") == "写真 [bold] é €"
