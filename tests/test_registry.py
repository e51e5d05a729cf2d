"""Registries: registering, finding, and what they say where there is nothing to find."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

import facezoo.registry
from facezoo.errors import ConfigError
from facezoo.registry import BACKBONES, OPTIMIZERS, REGISTRIES, Registry, registry_of

HOME = "facezoo.errors"  # any light module


class Plain:
    """Registered in the tests below."""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    fresh = Registry("THINGS", f"{__name__}:Plain", HOME)
    other = Registry("OTHERS", "nowhere:Nothing", HOME)
    other.register("Elsewhere")(Plain)
    monkeypatch.setattr(facezoo.registry, "REGISTRIES", (fresh, other))
    return fresh


def test_every_form_of_register_returns_the_class(registry: Registry) -> None:
    assert registry.register(Plain) is Plain
    assert registry.register()(Plain) is Plain
    assert registry.register("other name")(Plain) is Plain
    assert registry.names() == ["Plain", "other name"]
    assert registry.get("other name") is Plain
    assert "Plain" in registry
    assert dict(registry) == {"Plain": Plain, "other name": Plain}


def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    (tmp_path / f"{name}.py").write_text("class Part:\n    '''A part.'''\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return __import__(name)


def test_second_class_of_a_name_names_both_files(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.register(_module(tmp_path, monkeypatch, "first_parts").Part)
    with pytest.raises(ConfigError, match=r"'Part'.*first_parts\.py.*second_parts\.py"):
        registry.register(_module(tmp_path, monkeypatch, "second_parts").Part)


def test_same_class_of_the_same_module_registers_again(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.register(_module(tmp_path, monkeypatch, "cell").Part)
    again = _module(tmp_path, monkeypatch, "cell").Part
    registry.register(again)
    assert registry.get("Part") is again


def test_unknown_name_tells_the_nearest_and_the_registry(registry: Registry) -> None:
    registry.register(Plain)
    with pytest.raises(ConfigError, match=r"THINGS has no part 'plan' \(did you mean 'Plain'\?\)"):
        registry.get("plan")
    with pytest.raises(ConfigError, match="it has Plain; your own parts need their module in imp"):
        registry.get("x")


def test_a_name_of_another_registry_is_recognised(registry: Registry) -> None:
    with pytest.raises(ConfigError, match="'Elsewhere' is one of OTHERS"):
        registry.get("Elsewhere")


def test_adapter_serves_a_family(registry: Registry) -> None:
    @registry.register_adapter("family")
    class Adapter:
        """Takes any member."""

    assert registry.find("family.Member") == (Adapter, {"name": "Member"})
    assert registry.find("family.sub.Member") == (Adapter, {"name": "sub.Member"})
    assert registry.names() == ["family.*"]
    for name in ("family", "family.", "stranger.Member"):
        with pytest.raises(ConfigError, match="has no part"):
            registry.find(name)


def test_home_is_imported_at_the_first_look_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Registry("HOMELY", "nowhere:Nothing", "homely_parts")
    monkeypatch.setattr(facezoo.registry, "HOMELY", home, raising=False)
    (tmp_path / "homely_parts.py").write_text(
        "from facezoo.registry import HOMELY\n"
        "@HOMELY.register\nclass Chair: ...\n"
        "assert HOMELY.get('Chair') is Chair\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "homely_parts" not in sys.modules
    assert home.get("Chair").__module__ == "homely_parts"


def test_home_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Registry("BROKEN", "nowhere:Nothing", "broken_parts")
    monkeypatch.syspath_prepend(tmp_path)
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            home.names()


def test_registry_of_a_class_goes_by_its_nearest_base(registry: Registry) -> None:
    class Child(Plain):
        """Descends from the base."""

    assert registry_of(Plain) is registry
    assert registry_of(Child) is registry
    assert registry_of(int) is None


def test_registries_have_their_own_names() -> None:
    assert len({registry.name for registry in REGISTRIES}) == len(REGISTRIES) == 12
    assert BACKBONES.name == "BACKBONES"


def test_base_of_optimizers_is_where_torch_has_it() -> None:
    from torch.optim import AdamW

    assert registry_of(AdamW) is OPTIMIZERS
