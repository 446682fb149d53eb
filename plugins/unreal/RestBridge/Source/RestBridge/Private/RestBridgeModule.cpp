// SPDX-License-Identifier: MIT
#include "RestBridgeModule.h"

#include "HAL/PlatformProcess.h"
#include "Interfaces/IPluginManager.h"
#include "Misc/Paths.h"
#include "Modules/ModuleManager.h"
#include "RestBridgeFaceComponent.h"
#include "rest_bridge/rest_bridge.h"

DEFINE_LOG_CATEGORY(LogRestBridge);

FRestBridgeModule& FRestBridgeModule::Get()
{
	return FModuleManager::LoadModuleChecked<FRestBridgeModule>(TEXT("RestBridge"));
}

void FRestBridgeModule::StartupModule()
{
#if PLATFORM_WINDOWS && !defined(RB_STATIC)
	// Delay-loaded: looked for beside the program (packaged games), then in the plugin (editor).
	const TCHAR* Name = TEXT("rest_bridge.dll");
	const TSharedPtr<IPlugin> Plugin = IPluginManager::Get().FindPlugin(TEXT("RestBridge"));
	const FString InPlugin = Plugin.IsValid()
		? FPaths::Combine(Plugin->GetBaseDir(), TEXT("Source/ThirdParty/RestBridgeNative/bin/Win64"), Name)
		: FString(Name);
	Library = FPlatformProcess::GetDllHandle(Name);
	if (Library == nullptr)
	{
		Library = FPlatformProcess::GetDllHandle(*InPlugin);
	}
	bLibraryLoaded = Library != nullptr;
	if (!bLibraryLoaded)
	{
		UE_LOG(LogRestBridge, Error, TEXT("rest_bridge.dll was found neither beside the program nor at %s. Run \"cmake -P build_native.cmake\" in plugins/unreal and build again."), *InPlugin);
		return;
	}
#else
	bLibraryLoaded = true;  // linked: without it this module would not have been loaded
#endif
	UE_LOG(LogRestBridge, Log, TEXT("Native library %s"), UTF8_TO_TCHAR(rb_version()));
}

void FRestBridgeModule::ShutdownModule()
{
	// No code of the library may run when it is unloaded: every session ends first.
	for (URestBridgeFaceComponent* Face : GetFaces())
	{
		Face->Disconnect();
	}
	Faces.Empty();
	if (Library != nullptr)
	{
		FPlatformProcess::FreeDllHandle(Library);
		Library = nullptr;
	}
	bLibraryLoaded = false;
}

void FRestBridgeModule::AddFace(URestBridgeFaceComponent* Face)
{
	Faces.AddUnique(Face);
}

void FRestBridgeModule::RemoveFace(URestBridgeFaceComponent* Face)
{
	Faces.Remove(Face);
}

TArray<URestBridgeFaceComponent*> FRestBridgeModule::GetFaces() const
{
	TArray<URestBridgeFaceComponent*> Out;
	for (const TWeakObjectPtr<URestBridgeFaceComponent>& Face : Faces)
	{
		if (Face.IsValid())
		{
			Out.Add(Face.Get());
		}
	}
	return Out;
}

IMPLEMENT_MODULE(FRestBridgeModule, RestBridge)
