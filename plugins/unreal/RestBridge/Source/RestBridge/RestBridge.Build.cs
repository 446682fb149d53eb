// SPDX-License-Identifier: MIT
using UnrealBuildTool;

public class RestBridge : ModuleRules
{
	public RestBridge(ReadOnlyTargetRules Target) : base(Target)
	{
		PCHUsage = PCHUsageMode.UseExplicitOrSharedPCHs;
		PublicDependencyModuleNames.AddRange(new[]
		{
			"Core", "CoreUObject", "Engine", "DeveloperSettings", "LiveLinkInterface"
		});
		PrivateDependencyModuleNames.AddRange(new[]
		{
			"Projects", "RenderCore", "RHI", "RestBridgeNative"
		});
	}
}
