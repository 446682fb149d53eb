// SPDX-License-Identifier: MIT
using UnrealBuildTool;

public class RestBridgeEditor : ModuleRules
{
	public RestBridgeEditor(ReadOnlyTargetRules Target) : base(Target)
	{
		PCHUsage = PCHUsageMode.UseExplicitOrSharedPCHs;
		PrivateDependencyModuleNames.AddRange(new[]
		{
			"Core", "CoreUObject", "Engine", "InputCore", "RestBridge", "Settings", "Slate",
			"SlateCore", "WorkspaceMenuStructure"
		});
	}
}
