// SPDX-License-Identifier: MIT
//
// The C library behind the plugin. `cmake -P build_native.cmake` puts it here:
//     include/rest_bridge/rest_bridge.h
//     lib/Win64/rest_bridge.lib   bin/Win64/rest_bridge.dll      (dynamic, the default)
//     bin/Linux/librest_bridge.so.1   bin/Mac/librest_bridge.1.dylib
//     lib/Win64/rest_bridge_static.lib libzmq*.lib ...           (static: -DLINK=static)
// A folder bin/<Platform> means dynamic linking; without it lib/<Platform> is linked statically.
using System.IO;
using UnrealBuildTool;

public class RestBridgeNative : ModuleRules
{
	public RestBridgeNative(ReadOnlyTargetRules Target) : base(Target)
	{
		Type = ModuleType.External;
		string Platform = Target.Platform.ToString();
		string Libraries = Path.Combine(ModuleDirectory, "lib", Platform);
		string Binaries = Path.Combine(ModuleDirectory, "bin", Platform);
		PublicSystemIncludePaths.Add(Path.Combine(ModuleDirectory, "include"));
		if (!Directory.Exists(Binaries) && !Directory.Exists(Libraries))
		{
			throw new BuildException("RestBridge: the native library is not built yet. Run " +
				"\"cmake -P build_native.cmake\" in plugins/unreal (see its README.md).");
		}
		if (Directory.Exists(Binaries))
		{
			LinkDynamically(Target, Libraries, Binaries);
		}
		else
		{
			LinkStatically(Target, Libraries);
		}
	}

	private void LinkDynamically(ReadOnlyTargetRules Target, string Libraries, string Binaries)
	{
		foreach (string Name in Directory.GetFiles(Binaries))
		{
			// Copied beside the module, and into packaged games beside the program.
			RuntimeDependencies.Add("$(BinaryOutputDir)/" + Path.GetFileName(Name), Name);
		}
		if (Target.Platform == UnrealTargetPlatform.Win64)
		{
			PublicAdditionalLibraries.Add(Path.Combine(Libraries, "rest_bridge.lib"));
			// Loaded by StartupModule, so that a missing file is a sentence and not a crash.
			PublicDelayLoadDLLs.Add("rest_bridge.dll");
		}
		else
		{
			string Name = Target.Platform == UnrealTargetPlatform.Mac
				? "librest_bridge.1.dylib" : "librest_bridge.so.1";
			PublicAdditionalLibraries.Add(Path.Combine(Binaries, Name));
			PublicRuntimeLibraryPaths.Add(Binaries);
		}
	}

	private void LinkStatically(ReadOnlyTargetRules Target, string Libraries)
	{
		PublicDefinitions.Add("RB_STATIC=1");
		foreach (string Name in Directory.GetFiles(Libraries))
		{
			PublicAdditionalLibraries.Add(Name);
		}
		if (Target.Platform == UnrealTargetPlatform.Win64)
		{
			// What libzmq asks of Windows.
			PublicSystemLibraries.AddRange(new[]
			{
				"ws2_32.lib", "iphlpapi.lib", "advapi32.lib", "rpcrt4.lib"
			});
		}
	}
}
