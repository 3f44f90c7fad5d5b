"""The processor is named as the kernel names it."""

import pytest

from edge.system import processor


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel name\t: A Chip 9\n", "A Chip 9"),
        ("processor\t: 0\nCPU part\t: 0xd42\n", "0xd42"),
    ],
)
def test_a_processor_is_named_as_the_kernel_does(tmp_path, monkeypatch, text, name):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(processor, "_CPU_INFO", tmp_path / "cpuinfo")
    assert processor.processor_name() == name
