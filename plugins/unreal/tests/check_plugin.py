"""What Unreal's build tools would say of the plugin first, as far as it can be known without them.

    check_plugin.py PLUGIN                   checks layout, module names, macros and includes
    check_plugin.py PLUGIN --generate DIR    also writes the generated headers and the forwarding
                                             headers for the stubs, for a compiler

Unreal Header Tool is not here: this reads the same macros by their lines, and its headers hold what
a compiler needs of the real ones (Super, StaticClass, StaticStruct).
"""

import argparse
import json
import re
import sys
from pathlib import Path

STUBS = Path(__file__).parents[1] / "Stubs"
MACRO = re.compile(r"^\s*(UCLASS|USTRUCT|UENUM)\(", re.MULTILINE)
TYPE = re.compile(
    r"(?:class|struct|enum class)\s+(?:(?P<api>\w+_API)\s+)?(?P<name>\w+)"
    r"(?:\s+final)?(?:\s*:\s*(?:public\s+)?(?P<base>\w+))?[^;{]*\{"
)
INCLUDE = re.compile(r'^#include\s+"([^"]+)"', re.MULTILINE)
PREFIXES = {"UCLASS": "UA", "USTRUCT": "F", "UENUM": "E"}
IMPORTED = {  # module of the engine that a stub's header belongs to: what Build.cs must name
    "ILiveLink": "LiveLinkInterface",
    "LiveLink": "LiveLinkInterface",
    "Roles/": "LiveLinkInterface",
    "Engine/DeveloperSettings.h": "DeveloperSettings",
    "Interfaces/IPluginManager.h": "Projects",
    "RHITypes.h": "RHI",
    "ISettingsModule.h": "Settings",
    "WorkspaceMenu": "WorkspaceMenuStructure",
    "Widgets/Docking": "Slate",
    "rest_bridge/": "RestBridgeNative",
}


class Checker:
    """Collects what is wrong with one plugin folder."""

    def __init__(self, plugin: Path) -> None:
        self.plugin = plugin
        self.wrong: list[str] = []
        self.bodies: dict[Path, list[tuple[int, str, str, str]]] = {}

    def complain(self, path: Path, text: str) -> None:
        """Note what is wrong in a file."""
        self.wrong.append(f"{path.relative_to(self.plugin.parent)}: {text}")

    def check(self) -> None:
        """Check everything."""
        self._check_descriptor()
        for module in ("RestBridge", "RestBridgeEditor"):
            folder = self.plugin / "Source" / module
            for path in sorted(folder.rglob("*.h")):
                if "Core" not in path.parts:
                    self._check_header(path, module)
            self._check_dependencies(folder, module)
        for path in sorted(self.plugin.rglob("Core/*.*")):
            for include in INCLUDE.findall(path.read_text()):
                if not include.startswith("rest_bridge/") and not (path.parent / include).exists():
                    self.complain(path, f"the core includes {include}, which is not of the core")

    def _check_descriptor(self) -> None:
        path = self.plugin / f"{self.plugin.name}.uplugin"
        descriptor = json.loads(path.read_text())
        if descriptor["FileVersion"] != 3 or descriptor["CanContainContent"]:
            self.complain(path, "FileVersion must be 3, and there is no content")
        for module in descriptor["Modules"]:
            folder = self.plugin / "Source" / module["Name"]
            rules = folder / f"{module['Name']}.Build.cs"
            if not rules.exists():
                self.complain(path, f"module {module['Name']} has no {rules.name}")
                continue
            if f"class {module['Name']} : ModuleRules" not in rules.read_text():
                self.complain(rules, f"its class must be {module['Name']}")
            sources = "".join(each.read_text() for each in folder.rglob("*.cpp"))
            made = re.findall(rf"IMPLEMENT_MODULE\(\w+, {module['Name']}\)", sources)
            if len(made) != 1:
                self.complain(path, f"module {module['Name']} has {len(made)} IMPLEMENT_MODULE")
        icon = self.plugin / "Resources" / "Icon128.png"
        if icon.read_bytes()[16:24] != bytes.fromhex("0000008000000080"):
            self.complain(icon, "the icon must have 128 x 128 pixels")

    def _check_header(self, path: Path, module: str) -> None:
        text = path.read_text()
        if "#pragma once" not in text:
            self.complain(path, "no #pragma once")
        generated = f"{path.stem}.generated.h"
        includes = INCLUDE.findall(text)
        macros = list(MACRO.finditer(text))
        if not macros:
            if generated in includes:
                self.complain(path, f"{generated} without a UCLASS, USTRUCT or UENUM")
            return
        if not includes or includes[-1] != generated:
            self.complain(path, f'the last include must be "{generated}"')
        for macro in macros:
            self._check_type(path, module, text, macro)
        self._check_members(path, text)

    def _check_type(self, path: Path, module: str, text: str, macro: re.Match[str]) -> None:
        kind = macro.group(1)
        found = TYPE.search(text, macro.end())
        if found is None:
            self.complain(path, f"{kind} without a type behind it")
            return
        name = found["name"]
        if name[0] not in PREFIXES[kind]:
            self.complain(path, f"{name} must begin with one of {PREFIXES[kind]}")
        if "Public" in path.parts and kind != "UENUM" and found["api"] != f"{module.upper()}_API":
            self.complain(path, f"{name} is public and needs {module.upper()}_API")
        if kind == "UENUM":
            if ": uint8" not in text[macro.end() : found.end()]:
                self.complain(path, f"{name} must be of uint8 for Blueprint")
            return
        rest = text[found.end() :]
        if not rest.lstrip().startswith("GENERATED_BODY()"):
            self.complain(path, f"GENERATED_BODY() must come first in {name}")
            return
        place = found.end() + len(rest) - len(rest.lstrip())
        line = text.count("\n", 0, place) + 1
        self.bodies.setdefault(path, []).append((line, kind, name, found["base"] or ""))

    def _check_members(self, path: Path, text: str) -> None:
        for found in re.finditer(r"UPROPERTY\(([^;]*?)\)\n\s*([^\n]*;)", text):
            if re.search(r"\bU\w+\*\s", found[2]):
                self.complain(path, f"an object in a UPROPERTY wants a TObjectPtr: {found[2]}")
            is_private = text.rfind("private:", 0, found.start()) > text.rfind(
                "public:", 0, found.start()
            )
            if is_private and "Blueprint" in found[1]:
                self.complain(path, f"Blueprint cannot reach a private member: {found[2]}")
        for found in re.finditer(r"^\s*(?:TObjectPtr<\w+>)\s+\w+;", text, re.MULTILINE):
            before = text[: found.start()].rstrip().splitlines()[-1].strip()
            if not before.startswith("UPROPERTY("):
                self.complain(path, f"the collector does not see {found[0].strip()}")

    def _check_dependencies(self, folder: Path, module: str) -> None:
        rules = (folder / f"{module}.Build.cs").read_text()
        named = set(re.findall(r'"(\w+)"', rules))
        own = {path.name for path in (self.plugin / "Source").rglob("*.h")}
        for path in sorted(folder.rglob("*.[hc]*")):
            if path.suffix not in (".h", ".cpp"):
                continue
            for include in INCLUDE.findall(path.read_text()):
                needed = [name for start, name in IMPORTED.items() if include.startswith(start)]
                if needed and needed[0] not in named and Path(include).name not in own:
                    self.complain(path, f"{include} is of {needed[0]}, which Build.cs lacks")

    def generate(self, out: Path) -> None:
        """Write the generated headers, and forwarding headers for the stubs."""
        out.mkdir(parents=True, exist_ok=True)
        for path in sorted((self.plugin / "Source").rglob("*.h")):
            if not MACRO.search(path.read_text()):
                continue
            identifier = f"FID_{path.stem}"
            lines = ["#undef CURRENT_FILE_ID", f"#define CURRENT_FILE_ID {identifier}"]
            for line, kind, name, base in self.bodies.get(path, []):
                body = "static UScriptStruct* StaticStruct();"
                if kind == "UCLASS":
                    body = (
                        f"public: using Super = {base}; using ThisClass = {name}; "
                        f"static UClass* StaticClass(); private:"
                    )
                lines.append(f"#define {identifier}_{line}_GENERATED_BODY {body}")
            (out / f"{path.stem}.generated.h").write_text("\n".join(lines) + "\n")
        for entry in (STUBS / "includes.txt").read_text().splitlines():
            if entry and not entry.startswith("#"):
                include, stub = entry.split(": ")
                target = out / include
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(f'#pragma once\n#include "{stub}"\n')
        (out / "stamp").write_text("")


def main() -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("plugin", type=Path)
    parser.add_argument("--generate", type=Path)
    options = parser.parse_args()
    checker = Checker(options.plugin)
    checker.check()
    for text in checker.wrong:
        sys.stderr.write(f"{text}\n")
    if options.generate:
        checker.generate(options.generate)
    bodies = sum(map(len, checker.bodies.values()))
    sys.stdout.write(f"{bodies} generated bodies, {len(checker.wrong)} wrong\n")
    return 1 if checker.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
