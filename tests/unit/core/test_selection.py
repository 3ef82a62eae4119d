"""Conditions on videos, read and written."""

from __future__ import annotations

import pytest

from pipeline.core.selection import Condition, Selection


@pytest.mark.parametrize(
    "text",
    [
        *("tag.season=2025", "tag.camera!=03", "name=*final*", "name!=*.avi", "model!=rtmo-m", "model=rtmo-*"),
        *("age>30d", "age<36h", "analysed=never", "analysed=yes", "accuracy=worse"),
        *("missing>0.01", "empty>0.5", "confidence<0.5", "tag.who=a=b"),
    ],
)
def test_a_condition_is_read_as_it_is_written(text: str) -> None:
    assert str(Condition.parse(text)) == text
    assert Selection.parse(Selection.parse([text, text]).to_list()) == Selection.parse([text, text])


def test_units() -> None:
    assert Condition.parse("age > 2w").number == 14 * 86400
    assert Condition.parse("missing>2.5%").number == pytest.approx(0.025)
    assert Condition.parse(" tag. season = 2025 ") == Condition("tag", "=", "2025", key="season")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no condition"),
        ("season=2025", "is no condition"),
        ("tag=2025", "is no condition"),
        ("name.x=2025", "is no condition"),
        ("tag.a b=2025", "no key"),
        ("tag.season=", "characters"),
        ("name=", "say what"),
        ("name>a", "goes with = or !="),
        ("age=30d", "goes with < or >"),
        ("age>30", "30d"),
        ("age>-3d", "30d"),
        ("missing>lots", "share"),
        ("missing>5", "share"),
        ("missing>nan", "share"),
        ("analysed=maybe", "analysed=never or analysed=yes"),
        ("name=a\0b", "say what"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Condition.parse(text)
