"""plugins/unity as a package: metas, manifests, samples; engine files compiled against stubs."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unity import csharp

PACKAGE = csharp.PACKAGE
STUBS = csharp.HERE / "stubs"


def _tool(name: str) -> ModuleType:
    """Load a script of Tools~, whose folder is no package."""
    folder = str(PACKAGE / "Tools~")
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location(name, PACKAGE / "Tools~" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(folder)


def _definitions() -> dict[str, dict[str, Any]]:
    return {
        path.relative_to(PACKAGE).as_posix(): json.loads(path.read_text())
        for path in PACKAGE.rglob("*.asmdef")
    }


def test_every_asset_has_a_meta_file_with_a_guid_of_its_own() -> None:
    assert _tool("metas").problems() == []


def test_the_check_finds_missing_orphaned_and_doubled_metas(tmp_path: Path) -> None:
    metas = _tool("metas")
    (tmp_path / "Runtime").mkdir()
    (tmp_path / "Runtime" / "A.cs").touch()
    (tmp_path / "Runtime" / "B.cs").touch()
    (tmp_path / "Hidden~").mkdir()
    (tmp_path / "Hidden~" / "C.cs").touch()
    assert len(metas.problems(tmp_path)) == 3
    assert metas.write(tmp_path) == 3
    assert metas.problems(tmp_path) == []
    a, b = tmp_path / "Runtime" / "A.cs.meta", tmp_path / "Runtime" / "B.cs.meta"
    b.write_text(a.read_text())
    (tmp_path / "Runtime" / "Gone.cs.meta").write_text(a.read_text())
    told = " ".join(metas.problems(tmp_path))
    assert "has the GUID of" in told
    assert "belongs to nothing" in told


def test_the_manifest_names_what_there_is() -> None:
    manifest = json.loads((PACKAGE / "package.json").read_text())
    assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", manifest["name"])
    assert f"[{manifest['version']}]" in (PACKAGE / "CHANGELOG.md").read_text()
    for sample in manifest["samples"]:
        assert list((PACKAGE / sample["path"]).glob("*.cs")), sample
    for name in ("README.md", "LICENSE.md", "Third Party Notices.md", "Documentation~"):
        assert (PACKAGE / name).exists()


def test_assemblies_refer_to_each_other_and_the_core_to_no_engine() -> None:
    definitions = _definitions()
    names = {each["name"] for each in definitions.values()}
    known = names | {"UnityEngine.UI", "UnityEngine.TestRunner", "UnityEditor.TestRunner"}
    for path, each in definitions.items():
        assert Path(path).stem == each["name"]
        assert set(each["references"]) <= known
    core = definitions["Runtime/Core/RestBridge.Core.asmdef"]
    assert core["noEngineReferences"]
    assert core["references"] == []
    for path in (PACKAGE / "Runtime" / "Core").glob("*.cs"):
        assert "UnityEngine" not in path.read_text(), path
    assert definitions["Editor/RestBridge.Editor.asmdef"]["includePlatforms"] == ["Editor"]
    for path in ("Tests/Runtime/RestBridge.Tests.asmdef",):
        assert definitions[path]["defineConstraints"] == ["UNITY_INCLUDE_TESTS"]


def test_a_library_is_placed_with_settings_for_its_platform_alone(tmp_path: Path) -> None:
    tool = _tool("build_native")
    library = tmp_path / "built"
    library.write_bytes(b"library")
    guids = set()
    for target in tool.TARGETS.values():
        path = tool.place(library, target, tmp_path / "Plugins")
        assert path.read_bytes() == b"library"
        meta = path.with_name(path.name + ".meta").read_text()
        assert f"Standalone: {target.standalone}\n    second:\n      enabled: 1" in meta
        assert f"OS: {target.system}\n" in meta
        assert f"Exclude {target.standalone}: 0" in meta
        assert meta.count(": 1\n") >= 5
    metas = list((tmp_path / "Plugins").rglob("*.meta"))
    assert len(metas) == 3 + 5  # libraries, Linux, Linux/x86_64, Windows, Windows/x86_64, macOS
    guids = {re.findall(r"^guid: (\w+)$", path.read_text(), re.MULTILINE)[0] for path in metas}
    assert len(guids) == len(metas)


@pytest.mark.device
@pytest.mark.skipif(
    bool(csharp.missing_tools()), reason=f"not installed: {', '.join(csharp.missing_tools())}"
)
def test_engine_files_compile_against_the_stubs(tmp_path: Path) -> None:
    """Stubs are no Unity: this finds misspelt names and types, nothing else."""
    core = csharp.compile_library(
        tmp_path / "RestBridge.Core.dll", csharp.sources(PACKAGE / "Runtime" / "Core")
    )
    engine = csharp.compile_library(tmp_path / "Engine.dll", [STUBS / "UnityEngine.Stub.cs"])
    ui = csharp.compile_library(
        tmp_path / "UI.dll", [STUBS / "UnityEngine.UI.Stub.cs"], references=[engine]
    )
    editor = csharp.compile_library(
        tmp_path / "Editor.dll", [STUBS / "UnityEditor.Stub.cs"], references=[engine]
    )
    runtime = csharp.compile_library(
        tmp_path / "RestBridge.dll", sorted((PACKAGE / "Runtime").glob("*.cs")),
        references=[core, engine, ui],
    )  # fmt: skip
    ours = csharp.compile_library(
        tmp_path / "RestBridge.Editor.dll", csharp.sources(PACKAGE / "Editor"),
        references=[core, engine, runtime, editor],
    )  # fmt: skip
    framework = csharp.nunit_framework()
    assert framework is not None
    csharp.compile_library(
        tmp_path / "Editor.Tests.dll", csharp.sources(PACKAGE / "Tests" / "Editor"),
        references=[core, engine, runtime, editor, ours, framework],
    )  # fmt: skip
    for sample in sorted((PACKAGE / "Samples~").iterdir()):
        if sample.is_dir():
            csharp.compile_library(
                tmp_path / f"{sample.name}.dll", csharp.sources(sample),
                references=[core, engine, ui, runtime],
            )  # fmt: skip
