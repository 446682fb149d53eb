// SPDX-License-Identifier: MIT
#pragma once

#include "CoreMinimal.h"
#include "Modules/ModuleInterface.h"
#include "UObject/WeakObjectPtrTemplates.h"

class URestBridgeFaceComponent;

RESTBRIDGE_API DECLARE_LOG_CATEGORY_EXTERN(LogRestBridge, Log, All);

/** Loads the native library and knows the faces that are connected. */
class RESTBRIDGE_API FRestBridgeModule : public IModuleInterface
{
public:
	static FRestBridgeModule& Get();

	/** False if the native library was not found; the log says where it was looked for. */
	bool IsLibraryLoaded() const { return bLibraryLoaded; }

	/** Game thread only, as everything here. */
	void AddFace(URestBridgeFaceComponent* Face);
	void RemoveFace(URestBridgeFaceComponent* Face);
	TArray<URestBridgeFaceComponent*> GetFaces() const;

	virtual void StartupModule() override;
	virtual void ShutdownModule() override;

private:
	TArray<TWeakObjectPtr<URestBridgeFaceComponent>> Faces;
	void* Library = nullptr;
	bool bLibraryLoaded = false;
};
