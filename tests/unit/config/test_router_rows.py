from pathlib import Path

import pytest

from farthing.config.edit import SettingsFile, set_setting, unset_setting
from farthing.config.load import load_settings
from farthing.config.schema import MAX_ROUTER_MODELS, RouterSettings, Settings
from farthing.config.stored import with_stored
from farthing.errors import ConfigError
from farthing.providers.registry import known_providers
from farthing.types.models import ModelRef
from farthing.types.settings import StoredSetting

HEAD = "version: 1\nproviders:\n  ollama: {}\nmodels:\n  small: ollama:qwen3:8b\n"
SMALL, BIG = ModelRef("ollama", "qwen3:8b"), ModelRef("ollama", "big")


def loaded(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "settings.yaml"
    path.write_text(HEAD + text)
    return load_settings(path, known=known_providers(), environment={})


def test_a_router_names_models_and_other_names_of_them_and_is_in_order_unless_told(tmp_path: Path) -> None:
    first = "  careful: {models: [ollama:big, small], strategy: cheapest}"
    settings = loaded(tmp_path, f"routers:\n{first}\n  v1.5: {{models: [nobody/knows]}}\n".replace("nobody", "ollama"))
    assert settings.routers["careful"] == RouterSettings(models=(BIG, SMALL), strategy="cheapest")
    assert settings.routers["v1.5"] == RouterSettings(models=(ModelRef("ollama", "knows"),), strategy="order")
    assert settings.said.lines["routers.v1.5"] == 8


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("x: {strategy: order}", "7: routers.x: names no models; give it models: [provider:model, ...]."),
        ("x: {models: []}", "7: routers.x.models: has 0 models; a router has 1 to 32."),
        ("x: {models: ollama:big}", "7: routers.x.models: must be a list, such as [provider:model, provider:other]"),
        ("x: {models: [big]}", "7: routers.x.models[0]: 'big' is not provider:model, such as"),
        ("x: {models: [[ollama:big]]}", "7: routers.x.models[0]: must be a single value"),
        ("x: {models: [olama:big]}", "7: routers.x.models[0]: 'olama:big' names no provider (did you mean 'ollama'?)"),
        ("x: {models: [openai:m]}", "7: routers.x.models[0]: 'openai:m' needs the provider 'openai', which is not"),
        ("x: {models: [small, ollama:qwen3:8b]}", "models[1]: 'ollama:qwen3:8b' is there twice, as 'small'"),
        (
            "x: {models: [y]}\n  y: {models: [small]}",
            "7: routers.x.models[0]: 'y' is a router itself; write the models",
        ),
        ("x: {models: [small], strategy: best}", "routers.x.strategy: 'best' is not allowed; one of: order, cheapest."),
        ("x: {models: [small], stratgy: order}", "routers.x.stratgy: is not a setting (did you mean 'strategy'?)"),
        ("x: [small]", "7: routers.x: must be a mapping, such as {models: [provider:model], strategy: order}."),
        ("small: {models: [ollama:big]}", "7: routers.small: 'small' is another name of a model already (models)"),
        ("a:b: {models: [small]}", "7: routers.a:b: 'a:b' is not a name; up to 64 letters, digits and . _ - inside."),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, entry: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, f"routers:\n  {entry}\n")
    assert told in raised.value.message


def test_a_router_has_a_bounded_number_of_models(tmp_path: Path) -> None:
    def models(count: int) -> str:
        return f"routers:\n  x: {{models: [{', '.join(f'ollama:m{index}' for index in range(count))}]}}\n"

    assert len(loaded(tmp_path, models(MAX_ROUTER_MODELS)).routers["x"].models) == MAX_ROUTER_MODELS
    with pytest.raises(ConfigError, match=f"has {MAX_ROUTER_MODELS + 1} models"):
        loaded(tmp_path, models(MAX_ROUTER_MODELS + 1))


def test_a_wrong_alias_is_told_once_and_not_again_by_the_router_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, "  odd: nobody\nrouters:\n  x: {models: [small, odd]}\n")
    assert raised.value.message.count("nobody") == 1
    assert "routers" not in raised.value.message


def test_a_command_sets_a_router_whole_or_in_parts_and_takes_it_out(tmp_path: Path) -> None:
    loaded(tmp_path, "routers:\n")
    file = SettingsFile(tmp_path / "settings.yaml", known=known_providers(), environment={})
    _, after = set_setting(file, "routers.v1.5", "{models: [small, ollama:big]}")
    assert after.routers["v1.5"].models == (SMALL, BIG)
    _, after = set_setting(file, "routers.v1.5.strategy", "cheapest")
    assert after.routers["v1.5"].strategy == "cheapest"
    _, after = set_setting(file, "routers.v1.5.models", "[ollama:big]")
    assert after.routers["v1.5"] == RouterSettings(models=(BIG,), strategy="cheapest")
    _, after = unset_setting(file, "routers.v1.5.strategy")
    assert after.routers["v1.5"].strategy == "order"
    with pytest.raises(ConfigError, match="its default holds already"):
        unset_setting(file, "routers.v1.5.strategy")
    _, after = unset_setting(file, "routers.v1.5")
    assert after.routers == {}


def stored(path: str, value: object) -> StoredSetting:
    return StoredSetting(path=path, value=value, changed_at_us=0, changed_by="me")


def test_stored_routers_lie_beside_the_files_and_may_use_stored_names(tmp_path: Path) -> None:
    file = loaded(tmp_path, "routers:\n  ours: {models: [small]}\n")
    found = with_stored(
        file,
        [
            stored("routers.more", {"models": ["tiny", "ollama:big"], "strategy": "cheapest"}),
            stored("routers.ours", {"models": ["ollama:big"]}),
            stored("routers.nested", {"models": ["ours"]}),
            stored("models.tiny", "ollama:tiny"),
            stored("models.ours", "ollama:tiny"),
        ],
        known_providers(),
        {},
    )
    assert found.settings.routers["more"].models == (ModelRef("ollama", "tiny"), BIG)
    assert found.settings.routers["ours"].models == (SMALL,)
    assert set(found.settings.models) == {"small", "tiny"}
    assert found.problems["routers.ours"] == "settings.yaml names it in line 7, and wins"
    assert "is the name of a router" in found.problems["models.ours"]
    assert "'ours' is not provider:model" in found.problems["routers.nested"]
